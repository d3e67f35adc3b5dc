"""The mosaic of real patches and the rebuilt slide, through the scripts of docs/results.md."""

import csv
import json
import re
from pathlib import Path

import mosaic_cohort
import mosaic_controls
import numpy as np
import pytest
import rebuild_slide

from napari_hagmil.cli import main
from napari_hagmil.models import load_bundle
from napari_hagmil.slide import open_slide
from napari_hagmil.training.protocol.toml_file import load_protocol

PROTOCOL = Path(__file__).parents[2] / "docs" / "protocols" / "mosaic.toml"

SMALL = """
[protocol]
repeats = 1

[[method]]
name = "evidence cascade"
model = "evidence_pooling"
depths = [0, 1, 2]
schedule = "guided"
teacher_context = "none"
guidance = 2.0
decision = "all depths"
standardise = true
background = 0
epochs = 3
learning_rate = 3e-4
budget = [2, 2]
options = { hidden = 16, top = 4 }
"""


def marks(value):
    """Patches of one colour, (n, 50, 50, 3)."""
    return np.full((3, 50, 50, 3), value, dtype=np.uint8)


def test_every_cell_takes_its_patch_from_the_slides_patients_and_from_its_class():
    palette = [(marks(10), marks(110)), (marks(20), marks(120))]
    cells = mosaic_cohort.tumour_cells(np.random.default_rng(0))
    slide = mosaic_cohort.lay(palette, cells, np.random.default_rng(1))
    values = slide[:: mosaic_cohort.PATCH, :: mosaic_cohort.PATCH, 0]
    assert set(values[cells]) <= {110, 120}
    assert set(values[~cells]) == {10, 20}
    assert 0.01 <= cells.mean() <= 0.09


def test_no_patient_is_in_two_parts_and_all_have_both_classes(data_dir):
    parts = mosaic_cohort.palettes(data_dir / "idc_patches.npz", 0)
    assert list(parts) == ["train", "val", "test"]
    seen = [{patches.tobytes() for own in part for patches in own} for part in parts.values()]
    assert len(set().union(*seen)) == sum(map(len, seen))
    assert all(len(a) >= 8 and len(b) >= 3 for part in parts.values() for a, b in part)


def test_the_committed_protocol_reads_at_most_a_fifth_of_the_patches():
    cascades = [m for m in load_protocol(PROTOCOL).methods if len(m.on(3)) > 1]
    assert {"evidence cascade", "HAG-MIL"} <= {m.name for m in cascades}
    every = 36 + 144 + 576
    assert all(36 + 4 * sum(m.budget) <= every / 5 for m in cascades)


@pytest.mark.slow
def test_a_small_mosaic_is_laid_encoded_learnt_from_and_a_slide_of_another_patient_read(
    data_dir, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(mosaic_cohort, "SIDE", 8)
    cohort = ["--data", str(data_dir), "--out", str(tmp_path), "--slides", "4", "4", "4"]
    mosaic_cohort.main(cohort)
    rows = list(csv.DictReader((tmp_path / "cohort.csv").read_text().splitlines()))
    assert [row["label"] for row in rows[:2]] == ["normal", "tumor"]
    assert all(bool(row["truth"]) == (row["label"] == "tumor") for row in rows)
    table, store = str(tmp_path / "cohort.csv"), str(tmp_path / "features")
    encode = ["encode", table, "--store", store, "--depths", "1,0.5,0.25", "--patch-size", "64"]
    assert main(encode) == 0
    (tmp_path / "small.toml").write_text(SMALL)
    out = tmp_path / "results"
    protocol = ["protocol", table, "--store", store, "--out", str(out)]
    assert main([*protocol, "--config", str(tmp_path / "small.toml")]) == 0
    run = out / "runs" / "evidence-cascade" / "seed-0"
    record = json.loads((run / "run.json").read_text())
    assert record["figures"]["patches"] == 4 + 4 * 2 + 4 * 2
    assert len(load_bundle(run / "model.hagmil").config.depth_weights) == 3
    capsys.readouterr()
    mosaic_controls.main([table, "--store", store, "--runs", str(run.parent)])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    ways = {row[0].strip("| "): [float(row[i].strip("| ")) for i in (1, 4, 6)] for row in rows}
    assert list(ways) == ["attention", "random k", "oracle k"]
    assert ways["attention"][0] == pytest.approx(record["figures"]["auc"], abs=6e-4)
    assert ways["oracle k"][1] > ways["random k"][1]  # tumour that is read
    assert {way[2] for way in ways.values()} == {20.0}  # patches
    rebuilt = tmp_path / "rebuilt"
    bundle = str(run / "model.hagmil")
    rebuild_slide.main(["--data", str(data_dir), "--model", bundle, "--out", str(rebuilt)])
    told = capsys.readouterr().out
    found = re.search(r"all read, 40x: AUC 0\.\d+, (\d+) of (\d+) places on tumour", told)
    # All of its 478 patches but pale ones; nearly all of its 197 of carcinoma.
    assert 190 <= int(found[1]) <= 197
    assert 350 <= int(found[2]) <= 478
    assert (rebuilt / "attention.png").exists()


def test_the_rebuilt_slide_has_each_patch_at_its_place(data_dir, tmp_path):
    slide, truth = rebuild_slide.read_patches(data_dir / "idc_slide_14082.npz")
    mosaic_cohort.write_pyramid(tmp_path / "s.tiff", slide)
    data = np.load(data_dir / "idc_slide_14082.npz")
    assert np.isfinite(truth).sum() == 478
    assert np.nansum(truth) == data["label"].sum()
    with open_slide(tmp_path / "s.tiff") as opened:
        assert opened.shape == slide.shape[:2]
    row = int((data["y"][7] - data["y"].min()) // 50)
    column = int((data["x"][7] - data["x"].min()) // 50)
    size = mosaic_cohort.PATCH
    cut = slide[row * size : (row + 1) * size, column * size : (column + 1) * size]
    np.testing.assert_array_equal(cut, mosaic_cohort.enlarged(data["patches"][7]))
    assert truth[row, column] == data["label"][7]

"""``predict``: slides without labels, from stored features."""

import csv
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from test_evaluation import ENCODER, STAGE, make_store

from json_schemas import require_schemas
from napari_hagmil.cli import main
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.evaluation.evaluate import evaluate_slide, stored
from napari_hagmil.ledger import check_manifest
from napari_hagmil.models import BundleConfig, CascadeModel, save_bundle

CONFIG = BundleConfig(
    name="finder",
    encoder=ENCODER,
    patch_size=32,
    mpp=(1.0, 0.5),
    classes=("normal", "tumor"),
    stages=(STAGE, STAGE),
    budget=(2,),
)
#: Every setting that changes what a bag holds.
SETTINGS = {
    "plain": {},
    "ancestors": {"context": "ancestors", "stages": (STAGE, replace(STAGE, n_features=4))},
    "all children": {"children": "all"},
    "by attention": {"order": "attention"},
    "pooled": {"depth_weights": (0.4, 0.6)},
    "thresholds": {"thresholds": {"tumor": 0.01}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three slides in a store, two of them of one patient, and a table without labels."""
    folder = tmp_path_factory.mktemp("predict")
    rng = np.random.default_rng(0)
    for i in range(3):
        make_store(folder / "store", f"s{i}", [(10, 10, 60, 60)] if i else [], rng, placed=i < 2)
    (folder / "table.csv").write_text(
        "slide,patient,name\na.svs,=p0,s0\nb.svs,=p0,s1\nc.svs,p1,s2\n"
    )
    return folder


def bundle(path, **settings):
    torch.manual_seed(0)
    model = CascadeModel(replace(CONFIG, **settings))
    save_bundle(model, path)
    return model.eval()


def predict(folder, model, out, *more):
    words = ["--store", str(folder / "store"), "--model", str(model), "--out", str(out)]
    return main(["predict", str(folder / "table.csv"), *words, *more])


def rows(out):
    with (out / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_a_slide_is_called_as_an_evaluation_calls_it(folder, tmp_path, settings):
    model = bundle(tmp_path / "a.hagmil", **settings)
    assert predict(folder, tmp_path / "a.hagmil", tmp_path / "out") == 0
    for row in rows(tmp_path / "out"):
        record = SlideRecord(folder / "x.svs", "tumor", "p", name=row["slide"])
        expected = evaluate_slide(record, model, stored(folder / "store", model))
        assert row["called"] == expected.called
        found = [float(row["p_normal"]), float(row["p_tumor"])]
        assert found == pytest.approx(expected.probabilities.tolist(), abs=1e-6)
        assert int(row["patches_encoded"]) == sum(expected.own.encoded)
        assert row["fingerprint"] == expected.fingerprint == "f"


def test_every_slide_has_its_attention_and_its_result(folder, tmp_path, capsys):
    bundle(tmp_path / "a.hagmil")
    out = tmp_path / "out"
    assert predict(folder, tmp_path / "a.hagmil", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["[1/3] s0", "[2/3] s1", "[3/3] s2"]
    assert lines[3].startswith("3 of 3 slides called (")
    table = pq.read_table(out / "slides/s0/nodes.parquet")
    assert table["depth"].to_pylist().count(0) == 36
    first = table.filter(np.array(table["depth"]) == 0)["attention"].to_numpy()
    assert first.sum() == pytest.approx(1, abs=1e-5)
    assert (table["x"][1].as_py(), table["y"][1].as_py()) == (128, 0)
    # The third slide's features have no places on it.
    assert set(pq.read_table(out / "slides/s2/nodes.parquet")["x"].to_pylist()) == {None}
    result = json.loads((out / "slides/s0/result.json").read_text())
    assert (result["state"], result["slide"]["name"]) == ("done", "s0")
    assert result["prediction"]["class"] == rows(out)[0]["called"]
    # A cell that a spreadsheet would run is none.
    assert rows(out)[0]["patient"] == "'=p0"
    assert check_manifest(out) == {}


def test_the_same_features_give_the_same_files(folder, tmp_path):
    bundle(tmp_path / "a.hagmil")
    for name in ("one", "two"):
        assert predict(folder, tmp_path / "a.hagmil", tmp_path / name) == 0
    one, two = ((tmp_path / name / "manifest.json").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_slide_that_cannot_be_called_is_told_and_the_rest_is(folder, tmp_path, capsys):
    bundle(tmp_path / "a.hagmil")
    table = tmp_path / "table.csv"
    table.write_text("slide\ns0.svs\nelsewhere.svs\n")
    words = ["--store", str(folder / "store"), "--model", str(tmp_path / "a.hagmil")]
    out = tmp_path / "out"
    assert main(["predict", str(table), *words, "--out", str(out), "--json"]) == 3
    summary = json.loads(capsys.readouterr().out)
    assert summary["states"] == {"done": 1, "failed": 1}
    assert json.loads((out / "summary.json").read_text()) == summary
    assert require_schemas(out) == {"predictions", "result", "manifest"}
    assert "run encode with this --store" in rows(out)[1]["why"]


def test_a_slide_of_which_much_is_unread_is_not_called(tmp_path):
    class Lossy(np.random.Generator):
        def random(self, n):
            return np.where(np.arange(n) % 4 == 0, np.nan, 0.5)

    make_store(tmp_path / "store", "s0", [], Lossy(np.random.PCG64()))
    (tmp_path / "table.csv").write_text("slide\ns0.svs\n")
    bundle(tmp_path / "a.hagmil")
    assert predict(tmp_path, tmp_path / "a.hagmil", tmp_path / "out") == 3
    (row,) = rows(tmp_path / "out")
    assert (row["state"], row["called"], row["p_tumor"]) == ("incomplete", "", "")
    assert "places could not be read" in row["why"]


def test_a_folder_of_another_command_is_not_written_into(folder, tmp_path, capsys):
    bundle(tmp_path / "a.hagmil")
    (tmp_path / "run.json").write_text("{}")
    assert predict(folder, tmp_path / "a.hagmil", tmp_path) == 1
    assert "which another command wrote" in capsys.readouterr().err
    assert not (tmp_path / "predictions.csv").exists()

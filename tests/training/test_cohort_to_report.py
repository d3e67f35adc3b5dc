"""From slides to a report, as the tutorial goes: phantom cohort, encode, evaluate."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from napari_hagmil.cli import main
from napari_hagmil.cohort import read_cohort

SCRIPT = Path(__file__).parents[2] / "docs" / "scripts" / "phantom_cohort.py"

#: The demo model's first two depths: a tenth of the patches of all three.
DEPTHS = ("--depths", "1,0.5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort")
    words = ["--slides", "6", "--size", "2048"]
    subprocess.run([sys.executable, str(SCRIPT), str(out), *words], check=True)
    return out


@pytest.mark.slow
def test_the_phantom_cohort_is_one(folder):
    cohort = read_cohort(folder / "COHORT.csv")
    assert cohort.classes == ("normal", "tumor")
    assert cohort.labels.tolist() == [0, 1, 1, 1, 0, 0]
    assert [record.split for record in cohort.records] == [None] * 4 + ["test"] * 2
    before = (folder / "tumor-001.tiff").stat().st_mtime_ns
    words = ["--slides", "6", "--size", "2048"]
    subprocess.run([sys.executable, str(SCRIPT), str(folder), *words], check=True)
    assert (folder / "tumor-001.tiff").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_cohort_is_encoded_and_a_model_evaluated_on_it(folder, tmp_path):
    table, store = str(folder / "COHORT.csv"), str(tmp_path / "store")
    assert main(["encode", table, "--store", store, *DEPTHS, "--device", "cpu"]) == 0
    # The features are all that is needed from here on.
    for path in folder.glob("*.tiff"):
        path.unlink()
    out = tmp_path / "out"
    words = ["--model", "demo", "--store", store, "--split", "all", "--device", "cpu"]
    assert main(["evaluate", table, *words, "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["slides"], metrics["patients"], metrics["failed"]) == (6, 3, [])
    assert len(metrics["depth_auc"]) == 2
    assert metrics["auc"]["value"] >= 0.8  # the demo model knows phantoms
    assert metrics["lesions"] > 0
    assert metrics["attention_auc"][0] > 0.6
    with (out / "predictions.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6

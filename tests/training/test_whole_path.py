"""Camelyon16 from its folders to a slide in the viewer's files, on phantoms at reduced sizes."""

import csv
import json

import numpy as np
import pytest
import rehearse

from napari_hagmil.cohort import read_cohort
from napari_hagmil.models import load_bundle

METHODS = {"HAG-MIL": "hag-mil", "mean pooling": "mean-pooling", "CLAM-SB": "clam-sb"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of a rehearsal of the paper's protocol: slides, features, runs and tables."""
    folder = tmp_path_factory.mktemp("rehearsal")
    slides = rehearse.camelyon16(training=3, tested=2)
    rehearse.rehearse("camelyon16", folder, 1536, slides, list(METHODS))
    return folder


def table(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_cohort_is_what_the_folders_say(out):
    cohort = read_cohort(out / "cohort.csv")
    assert cohort.classes == ("normal", "tumor")
    assert [(r.name, r.label, r.split) for r in cohort.records] == [
        *[(f"normal_{i:03d}", "normal", "train") for i in (1, 2, 3)],
        *[(f"tumor_{i:03d}", "tumor", "train") for i in (1, 2, 3)],
        ("test_001", "tumor", "test"),
        ("test_002", "normal", "test"),
    ]
    assert [r.truth is not None for r in cohort.records] == [False] * 3 + [True] * 3 + [False] * 2


def test_the_tables_are_those_of_the_runs(out):
    rows = {row["method"]: row for row in table(out / "tables" / "tables.csv")}
    assert list(rows) == list(METHODS)
    for method, folder in METHODS.items():
        runs = [
            json.loads((out / "tables" / "runs" / folder / f"seed-{i}" / "run.json").read_text())
            for i in (0, 1)
        ]
        for figure in ("auc", "f1", "accuracy"):
            values = [run["figures"][figure] for run in runs]
            assert float(rows[method][figure]) == np.mean(values)
            assert float(rows[method][f"{figure}_sd"]) == pytest.approx(np.std(values, ddof=1))


@pytest.mark.parametrize("method", METHODS.values())
def test_evaluate_agrees_with_the_tables_to_the_last_digit(out, method):
    run = rehearse.first_run(out, method)
    measured = rehearse.evaluate(out, run)
    assert measured["auc"]["value"] == run.figures["auc"]
    (called,) = measured["called"]
    assert called["f1"]["value"] == run.figures["f1"]
    assert called["accuracy"]["value"] == run.figures["accuracy"]
    assert measured["budgets"][0]["encoded"] == run.figures["patches"]
    probabilities = [(row["slide"], row["p_normal"], row["p_tumor"]) for row in run.tested]
    again = table(out / "evaluation" / "predictions.csv")
    assert [(row["slide"], row["p_normal"], row["p_tumor"]) for row in again] == probabilities


@pytest.mark.parametrize("method", METHODS.values())
def test_analyze_shows_the_same_prediction_for_a_test_slide(out, method):
    run = rehearse.first_run(out, method)
    document = rehearse.analyze(out, run)
    row = run.tested[0]
    expected = [float(row["p_normal"]), float(row["p_tumor"])]
    assert document["prediction"]["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert sum(stage["nodes"] for stage in document["stages"]) == int(row["patches"])
    called = load_bundle(run.folder / "model.hagmil").config.classes[int(np.argmax(expected))]
    assert document["prediction"]["class"] == called


def test_the_rehearsed_protocol_is_the_papers_but_for_its_sizes():
    text = (rehearse.PROTOCOLS / "camelyon16.toml").read_text(encoding="utf-8")
    small = rehearse.reduced(text)
    assert small.count("[[method]]") == text.count("[[method]]") == 20
    changed = [(a, b) for a, b in zip(text.splitlines(), small.splitlines(), strict=True) if a != b]
    names = {a.split("=")[0].strip() for a, _ in changed if "=" in a}
    assert names == {
        "repeats", "encoder", "n_features", "patch_size", "epochs", "patience", "budget", "options",
        "min_epochs", "rate_epochs",
    }  # fmt: skip

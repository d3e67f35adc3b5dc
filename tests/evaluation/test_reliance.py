"""What a bundle says of its answers: made by ``calibrate``, told by ``predict``, ``evaluate``."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from test_evaluation import make_store
from test_predict import bundle

from napari_hagmil.cli import main
from napari_hagmil.evaluation.calibration import calibration
from napari_hagmil.models import load_bundle
from napari_hagmil.uncertainty import tempered

N_TRAIN, N_VAL, N_TEST = 6, 20, 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cohort in a store: half of its slides with lesions, and one slide of another kind."""
    folder = tmp_path_factory.mktemp("reliance")
    rng = np.random.default_rng(0)
    lines = ["slide,label,patient,split"]
    parts = ["train"] * N_TRAIN + ["val"] * N_VAL + ["test"] * N_TEST
    for i, part in enumerate(parts):
        boxes = [(10, 10, 60 + 5 * (i % 7), 60)] if i % 2 else []
        make_store(folder / "store", f"s{i}", boxes, rng)
        lines.append(f"s{i}.svs,{('normal', 'tumor')[i % 2]},p{i},{part}")
    make_store(folder / "store", "odd", [(0, 0, 768, 768)] * 9, rng)
    lines.append("odd.svs,tumor,q,test")
    (folder / "cohort.csv").write_text("\n".join(lines))
    bundle(folder / "before.hagmil", thresholds={"tumor": 0.52})
    return folder


def calibrate(folder, out):
    words = ["--model", str(folder / "before.hagmil"), "--store", str(folder / "store")]
    return main(["calibrate", str(folder / "cohort.csv"), *words, "--out", str(out)])


@pytest.fixture(scope="module")
def calibrated(folder):
    assert calibrate(folder, folder / "after.hagmil") == 0
    return folder / "after.hagmil"


def evaluate(folder, model, out, *more):
    words = ["--model", str(model), "--store", str(folder / "store"), "--factors", "1"]
    assert main(["evaluate", str(folder / "cohort.csv"), *words, "--out", str(out), *more]) == 0
    with (out / "predictions.csv").open(newline="", encoding="utf-8-sig") as file:
        return json.loads((out / "metrics.json").read_text()), list(csv.DictReader(file))


@pytest.fixture(scope="module")
def evaluated(folder, calibrated):
    return evaluate(folder, calibrated, folder / "out", "--error-rate", "0.2")


def test_the_weights_stay_and_what_was_called_is_called_again(
    folder, calibrated, evaluated, tmp_path
):
    before, after = load_bundle(folder / "before.hagmil"), load_bundle(calibrated)
    assert after.sha256 == before.sha256
    assert replace(
        after.config, confidence=None, familiarity=None, thresholds={"tumor": 0.52}
    ) == replace(before.config)
    _, first = evaluate(folder, folder / "before.hagmil", tmp_path / "before")
    _, then = evaluated
    assert [row["called"] for row in then] == [row["called"] for row in first]
    warmth = after.config.confidence.temperatures[-1]
    assert abs(warmth - 1) > 0.01
    for row, other in zip(then, first, strict=True):
        p = tempered([float(other["p_normal"]), float(other["p_tumor"])], warmth)
        assert float(row["p_tumor"]) == pytest.approx(p[1], abs=1e-4)


def test_an_evaluation_tells_before_and_after_and_how_often_the_sets_held(
    folder, calibrated, evaluated
):
    metrics, rows = evaluated
    said = metrics["uncertainty"]
    labels = [("normal", "tumor").index(row["label"]) for row in rows]
    p = np.array([[float(row["p_normal"]), float(row["p_tumor"])] for row in rows])
    warmth = load_bundle(calibrated).config.confidence.temperatures[-1]
    assert metrics["calibration"]["brier"] == pytest.approx(calibration(labels, p).brier, abs=1e-4)
    assert said["uncalibrated"]["brier"] == pytest.approx(
        calibration(labels, tempered(p, 1 / warmth)).brier, abs=1e-4
    )
    held = [row["label"] in row["class_set"].split(" | ") for row in rows]
    assert said["coverage"]["value"] == pytest.approx(np.mean(held))
    assert said["error_rate"] == 0.2
    assert said["set_size"] == np.mean([len(row["class_set"].split(" | ")) for row in rows])
    report = (folder / "out" / "report.md").read_text()
    assert "class in its set, at an error rate of 0.2" in report
    assert "Brier score, uncalibrated" in report


def test_a_slide_of_another_kind_is_flagged_and_the_others_are_not(
    folder, calibrated, evaluated, tmp_path
):
    metrics, rows = evaluated
    assert metrics["uncertainty"]["unfamiliar"] == ["odd"]
    assert [float(row["unfamiliarity"]) > 1 for row in rows] == [r["slide"] == "odd" for r in rows]
    words = ["--store", str(folder / "store"), "--model", str(calibrated)]
    out = tmp_path / "predicted"
    assert main(["predict", str(folder / "cohort.csv"), *words, "--out", str(out)]) == 0
    with (out / "predictions.csv").open(newline="", encoding="utf-8-sig") as file:
        (odd,) = [row for row in csv.DictReader(file) if row["slide"] == "odd"]
    assert odd["class_set"] == "normal | tumor"
    assert odd["why"].startswith("The model finder does not know slides like this one: it is ")
    result = json.loads((out / "slides" / "odd" / "result.json").read_text())
    assert result["unfit"] == odd["why"]
    assert result["uncertainty"]["distance"] > result["uncertainty"]["limit"]


def test_calibrate_says_in_one_sentence_what_it_lacks(folder, tmp_path, capsys):
    (folder / "tests.csv").write_text("slide,label,patient,split\ns0.svs,normal,p0,test\n")
    words = ["--model", str(folder / "before.hagmil"), "--store", str(folder / "store")]
    assert main(["calibrate", str(folder / "tests.csv"), *words, "--out", str(tmp_path / "a")]) == 1
    assert "it needs slides of the splits train and val" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("rate", ["0", "1", "x", "nan"])
def test_an_error_rate_is_a_share(rate, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "a.csv", "--model", "m", "--out", "o", "--error-rate", rate])
    assert ended.value.code == 2
    assert "is not a number between 0 and 1" in capsys.readouterr().err

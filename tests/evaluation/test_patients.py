"""Patients with several slides: pooled, or read as one."""

import csv
import json

import numpy as np
import pytest
import torch
from test_evaluation import ENCODER, STAGE, Finder, make_store

from napari_hagmil.cli import main
from napari_hagmil.cohort import read_cohort
from napari_hagmil.evaluation.evaluate import evaluate_cohort, stored
from napari_hagmil.evaluation.patients import (
    best_rule,
    patient_bags,
    patient_record,
    pooled,
    slides_by_patient,
)
from napari_hagmil.evaluation.predict import call_patients, predict_cohort
from napari_hagmil.features import SlidePlane, columns_of, shifted
from napari_hagmil.models import BundleConfig, CascadeModel, save_bundle
from napari_hagmil.quadtree import children

CLASSES = ("normal", "tumor")
CONFIG = BundleConfig(
    name="finder",
    encoder=ENCODER,
    patch_size=32,
    mpp=(1.0, 0.5),
    classes=CLASSES,
    stages=(STAGE, STAGE),
    budget=(2,),
)


@pytest.fixture(scope="module")
def model():
    made = CascadeModel(CONFIG)
    made.stages = torch.nn.ModuleList([Finder(), Finder()])
    return made


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Eight patients; those with a tumour have it in one of their three slides."""
    folder = tmp_path_factory.mktemp("patients")
    rng = np.random.default_rng(1)
    lines = ["slide,label,patient,split"]
    for i in range(24):
        patient = i // 3
        has_lesion = bool(patient % 2) and i % 3 == 1
        make_store(folder / "store", f"s{i}", [(10, 10, 60, 60)] if has_lesion else [], rng)
        split = "val" if patient < 4 else "test"
        lines.append(f"s{i}.svs,{CLASSES[has_lesion]},p{patient},{split}")
    (folder / "cohort.csv").write_text("\n".join(lines))
    return folder


def records(cohort):
    return read_cohort(cohort / "cohort.csv", classes=CLASSES, files=False).records


def test_slides_in_one_plane_keep_their_own_features():
    first = children(np.zeros((1, 2), np.int64))
    slides = [first, first[:2], first]
    offsets = columns_of(slides)
    assert offsets == (0, 2, 4)

    def source(number):
        return lambda depth, nodes: torch.tensor(
            [[number, depth, *node] for node in nodes.tolist()], dtype=torch.float32
        ).reshape(-1, 4)

    plane = SlidePlane(tuple(source(i) for i in range(3)), offsets)
    for depth in range(3):
        nodes = np.concatenate(
            [shifted(s, at, depth) for s, at in zip(slides, offsets, strict=True)]
        )
        shuffled = np.random.default_rng(0).permutation(len(nodes))
        expected = torch.cat([source(i)(depth, slide) for i, slide in enumerate(slides)])
        assert torch.equal(plane(depth, nodes[shuffled]), expected[torch.from_numpy(shuffled)])
        # A child lies in the same slide as its parent.
        below = children(nodes)
        owners = plane(depth + 1, below)[:, 0]
        assert torch.equal(owners, plane(depth, nodes)[:, 0].repeat_interleave(4))
    assert plane(0, np.empty((0, 2), np.int64)).shape == (0, 4)


def test_the_mean_and_the_slide_least_like_the_negative_class():
    rows = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert pooled(rows, "mean") == pytest.approx([0.6, 0.4])
    assert pooled(rows, "max") == pytest.approx([0.2, 0.8])


def test_one_slide_with_a_tumour_makes_a_patient_with_one(cohort):
    groups = slides_by_patient(records(cohort))
    assert [len(slides) for slides in groups.values()] == [3] * 8
    labels = [patient_record(slides, CLASSES).label for slides in groups.values()]
    assert labels == ["normal", "tumor"] * 4


def test_a_bag_of_all_slides_is_read_with_one_budget(cohort, model):
    groups = slides_by_patient(records(cohort))
    bags = patient_bags(stored(cohort / "store", model), groups)
    patients = [patient_record(slides, CLASSES) for slides in groups.values()]
    found = list(evaluate_cohort(patients, model, bags))
    assert [one.called for one in found] == ["normal", "tumor"] * 4
    # 36 patches of each of three slides, and the children of two.
    assert {one.own.encoded for one in found} == {(108, 8)}
    assert {one.tissue for one in found} == {(108, 432)}


@pytest.mark.parametrize("rule", ["mean", "max", "bag"])
def test_patients_are_called_by_each_rule(cohort, model, rule):
    source = stored(cohort / "store", model)
    events = list(predict_cohort(records(cohort), model, source))
    calls = call_patients(events, rule, model, source)
    assert [call.patient for call in calls] == [f"p{i}" for i in range(8)]
    assert {call.slides for call in calls} == {3}
    # The mean over three slides drowns the one with the lesion; the others do not.
    tumour = "normal" if rule == "mean" else "tumor"
    assert [call.called for call in calls] == ["normal", tumour] * 4


def test_a_patient_with_a_slide_that_is_not_there_is_not_called(cohort, model):
    source = stored(cohort / "store", model)
    some = [*records(cohort)[:3], *[r for r in records(cohort) if r.patient == "p1"]]
    lost = type(some[0])(some[0].path, "normal", "p1", name="gone")
    calls = call_patients(list(predict_cohort([*some, lost], model, source)), "max", model, source)
    assert [(call.state, call.called) for call in calls] == [("done", "normal"), ("failed", "")]
    assert calls[1].why.startswith("gone: ")


def evaluate(cohort, out, *more):
    words = ["--store", str(cohort / "store"), "--out", str(out), "--factors", "1"]
    words += ["--model", str(out.parent / "a.hagmil"), *more]
    return main(["evaluate", str(cohort / "cohort.csv"), *words])


@pytest.fixture
def bundle(tmp_path):
    torch.manual_seed(0)
    save_bundle(CascadeModel(CONFIG), tmp_path / "a.hagmil")
    return tmp_path


@pytest.mark.parametrize("rule", ["mean", "max", "bag", "choose"])
def test_evaluate_measures_patients(cohort, bundle, capsys, rule):
    assert evaluate(cohort, bundle / "out", "--patients", rule) == 0
    metrics = json.loads((bundle / "out/metrics.json").read_text())
    assert (metrics["unit"], metrics["slides"], metrics["patients"]) == ("patient", 4, 4)
    assert "4 patients: AUC" in capsys.readouterr().out
    chosen = metrics["patients_chosen_by"]
    if rule == "choose":
        assert set(chosen) == {"mean", "max", "bag"}
        assert chosen[metrics["patients_by"]] == max(chosen.values())
    else:
        assert (metrics["patients_by"], chosen) == (rule, {})
    with (bundle / "out/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["slide"], row["label"]) for row in rows] == [
        ("p4", "normal"),
        ("p5", "tumor"),
        ("p6", "normal"),
        ("p7", "tumor"),
    ]
    assert "4 patients, each called once by the rule" in (bundle / "out/report.md").read_text()


def test_validation_patients_choose_the_rule_that_tells_them_apart(cohort, model):
    groups = slides_by_patient(records(cohort))
    bags = patient_bags(stored(cohort / "store", model), groups)
    patients = [patient_record(slides, CLASSES) for slides in groups.values()]
    good = list(evaluate_cohort(patients, model, bags))
    from dataclasses import replace

    labels = [replace(one, record=replace(one.record, label="tumor")) for one in good[:1]]
    bad = [*labels, *(replace(o, record=replace(o.record, label="normal")) for o in good[1:])]
    assert best_rule({"mean": bad, "max": good, "bag": good}, CLASSES)[0] == "max"


def test_test_patients_do_not_choose_for_themselves(cohort, bundle, capsys):
    assert evaluate(cohort, bundle / "out", "--patients", "choose", "--split", "val") == 1
    assert "would choose it for themselves" in capsys.readouterr().err


def test_predict_writes_a_row_per_patient(cohort, bundle):
    (bundle / "table.csv").write_text("slide,patient\ns0.svs,a\ns1.svs,a\ns2.svs,b\n")
    words = ["--store", str(cohort / "store"), "--model", str(bundle / "a.hagmil")]
    command = ["predict", str(bundle / "table.csv"), *words, "--out", str(bundle / "out")]
    for rule in ("mean", "bag"):
        assert main([*command, "--patients", rule]) == 0
        with (bundle / "out/patients.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["patient"], row["slides"], row["state"]) for row in rows] == [
            ("a", "2", "done"),
            ("b", "1", "done"),
        ]
    (bundle / "table.csv").write_text("slide\ns0.svs\ns1.svs\n")
    assert main(command) == 0
    assert not (bundle / "out/patients.csv").exists()
    assert main(["verify", str(bundle / "out")]) == 0

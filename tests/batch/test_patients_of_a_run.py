"""Patients of a batch: called from their slides' results, and named to the owner alone."""

import csv
import stat
from dataclasses import replace

import numpy as np
import pytest

from napari_hagmil.batch.folder import BatchSettings, prepare_run
from napari_hagmil.batch.patients import (
    call_patients_of,
    rule_of,
    write_patient_calls,
)
from napari_hagmil.batch.report import write_run_report
from napari_hagmil.batch.summary import summary_rows, write_summary
from napari_hagmil.cohort import Cohort, SlideRecord
from napari_hagmil.errors import BundleError
from napari_hagmil.models import load_bundle

#: What was found on each slide: patient, state, probability of a tumour.
FOUND = {
    "a1": ("A", "done", 0.9),
    "a2": ("A", "done", 0.1),
    "a3": ("A", "done", 0.2),
    "b1": ("B", "done", 0.45),
    "c1": ("C", "done", 0.9),
    "c2": ("C", "unreadable", None),
}


@pytest.fixture(scope="module")
def config(scratch_bundle):
    return load_bundle(scratch_bundle).config


@pytest.fixture
def run(tmp_path):
    records = tuple(SlideRecord(tmp_path / f"{name}.svs", "", FOUND[name][0]) for name in FOUND)
    return prepare_run(tmp_path / "run", Cohort(records, ()), BatchSettings("demo", "0" * 64))


def rows():
    return [
        {
            "name": name,
            "patient": patient,
            "state": state,
            "reason": "" if state == "done" else "it is no slide",
            "p_normal": None if p is None else 1 - p,
            "p_tumor": p,
        }
        for name, (patient, state, p) in FOUND.items()
    ]


@pytest.mark.parametrize(
    ("rule", "tumor", "called"), [("mean", 0.4, "normal"), ("max", 0.9, "tumor")]
)
def test_a_patient_is_called_by_the_mean_of_the_slides_or_by_the_worst_one(
    run, config, rule, tumor, called
):
    a, b, c = call_patients_of(run, rows(), rule, config)
    assert (a.patient, a.slides, a.called) == ("A", 3, called)
    np.testing.assert_allclose(a.probabilities, [1 - tumor, tumor])
    assert (b.slides, b.called, b.probabilities[1]) == (1, "normal", 0.45)
    assert (c.state, c.called, c.why) == ("unreadable", "", "c2: it is no slide")


def test_the_models_own_rule_is_taken_where_none_is_named(config):
    assert rule_of(None, config) == ("mean", "")
    assert rule_of(None, replace(config, patients="max")) == ("max", "")
    assert rule_of("mean", replace(config, patients="max")) == ("mean", "")
    rule, note = rule_of(None, replace(config, patients="bag"))
    assert rule == "mean"
    assert "predict --store" in note
    with pytest.raises(BundleError, match="patients"):
        replace(config, patients="median")


def test_the_table_of_patients_is_the_owners_alone_and_goes_with_its_patients(run, config):
    path = run.root / "patients.csv"
    write_patient_calls(call_patients_of(run, rows(), "max", config), config, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open(newline="") as file:
        first, *_ = csv.DictReader(file)
    assert (first["patient"], first["called"], first["p_tumor"]) == ("A", "tumor", "0.900000")
    write_patient_calls([], config, path)
    assert not path.exists()


def test_no_file_that_is_given_away_names_a_patient(run):
    for record in run.records.values():
        run.records[record.name] = replace(record, patient=f"Jane Roe {record.patient}")
    found = summary_rows(run)
    write_summary(run, found)
    write_run_report(run, found)
    for name in ("summary.csv", "summary.parquet", "report.html"):
        assert b"Roe" not in (run.root / name).read_bytes()

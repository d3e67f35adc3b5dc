"""Call the patients of a run from what was found on their slides, as patients.csv."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_hagmil.batch.folder import RunFolder
from napari_hagmil.cascade import called_class
from napari_hagmil.evaluation.patients import pooled, slides_by_patient
from napari_hagmil.evaluation.predict import PatientCall
from napari_hagmil.evaluation.prediction_files import write_patients
from napari_hagmil.files import remove
from napari_hagmil.models import BundleConfig

#: What can be told from the results of slides alone; a bag of all slides needs their features.
SlideRule = Literal["mean", "max"]


def rule_of(asked: SlideRule | None, config: BundleConfig) -> tuple[SlideRule, str]:
    """The rule for a run: as asked, else the model's own; and what to know about it."""
    if asked is not None:
        return asked, ""
    if config.patients == "bag":
        return "mean", (
            "the model calls a patient by one bag of all slides, for which a batch keeps no "
            "features: the mean of the slides calls them here; predict --store does as the model"
        )
    return config.patients or "mean", ""


def call_patients_of(
    folder: RunFolder, rows: Sequence[Mapping[str, Any]], rule: SlideRule, config: BundleConfig
) -> list[PatientCall]:
    """Call each patient once; one with a slide that was not called is not.

    Parameters
    ----------
    folder : RunFolder
    rows : sequence of mapping
        `summary_rows` of the run.
    rule : "mean" or "max"
    config : BundleConfig
        Of the run's model.
    """
    found = {row["name"]: row for row in rows}
    groups = slides_by_patient(list(folder.records.values()))
    return [
        _called(patient, [found[record.name] for record in records], rule, config)
        for patient, records in groups.items()
    ]


def _called(
    patient: str, rows: Sequence[Mapping[str, Any]], rule: SlideRule, config: BundleConfig
) -> PatientCall:
    keys = [f"p_{name}" for name in config.classes]
    for row in rows:
        if row["state"] != "done" or any(row.get(key) is None for key in keys):
            why = f"{row['name']}: {row.get('reason') or row['state']}"
            return PatientCall(patient, len(rows), row["state"], why=why)
    chances = pooled(np.array([[row[key] for key in keys] for row in rows]), rule)
    called = called_class(chances, config.classes, config.thresholds)
    return PatientCall(patient, len(rows), "done", called, chances)


def write_patient_calls(calls: Sequence[PatientCall], config: BundleConfig, path: Path) -> None:
    """Write patients.csv, which only its owner may read; without calls there is none.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    if not calls:
        remove(path)
        return
    before = os.umask(0o077)
    try:
        write_patients(calls, config.classes, path)
    finally:
        os.umask(before)

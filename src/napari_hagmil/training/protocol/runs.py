"""Carry out a protocol's runs: on disk, resumable, reproducible."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.cohort import Split
from napari_hagmil.errors import TrainingError
from napari_hagmil.evaluation.classification import macro_auc
from napari_hagmil.files import remove, replacing
from napari_hagmil.models import CascadeModel, save_bundle
from napari_hagmil.training.checkpoint import CheckpointFolder
from napari_hagmil.training.patient_rule import chosen_patient_rule
from napari_hagmil.training.predictions import (
    Predictions,
    endpoint_figures,
    figures,
    predict_slides,
)
from napari_hagmil.training.protocol.assurance import (
    assure,
    calibrated,
    calibration_figures,
    summarise_features,
)
from napari_hagmil.training.protocol.card import model_card
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit
from napari_hagmil.training.protocol.methods import JOINT, FeatureFacts, Method
from napari_hagmil.training.protocol.plan import EndpointPlan, Protocol, Threshold, learning
from napari_hagmil.training.protocol.run_files import write_curves, write_epochs, write_predictions
from napari_hagmil.training.run_state import DepthEpoch
from napari_hagmil.training.training_slide import CohortSlide, TrainingSlide
from napari_hagmil.untrusted import json_text, read_json

SCHEMA = "napari-hagmil/run/1"


@dataclass(frozen=True)
class ProtocolRun:
    """One method on one split with one seed.

    Attributes
    ----------
    method : Method
    split : Split
        Places among the slides.
    seed : int
    folder : Path
        Where its bundle, records and figures go.
    cohort : str
        Name of the cohort, for the model's card.
    device : str
        Where it is trained and read.
    threshold : str
        See `Protocol`: "youden" goes into the bundle, for everything that reads it.
    endpoint : EndpointPlan, optional
        What is predicted instead of classes.
    """

    method: Method
    split: Split
    seed: int
    folder: Path
    cohort: str = "a cohort"
    device: str = "cpu"
    threshold: Threshold = "most probable"
    endpoint: EndpointPlan | None = None

    @property
    def name(self) -> str:
        """Of the method and the split: the title of its curves and the label of its progress."""
        return f"{self.method.name}, {self.folder.name}"


@dataclass(frozen=True)
class RunRecord:
    """The results of a run.

    Attributes
    ----------
    method, run : str
    figures : dict
        See `training.predictions.figures`; of the test slides.
    sweep : list of dict
        The same with other budgets, with "budget".
    epochs : int
    seconds : float
        Of the training.
    budget, training_budget : list of int
        k in use and k of training, at each depth but the finest.
    failure : str
        Why the training failed; "" if it did not. Figures of a failed run are empty.
    """

    method: str
    run: str
    figures: dict[str, float]
    sweep: list[dict[str, Any]] = field(default_factory=list)
    epochs: int = 0
    seconds: float = 0.0
    budget: list[int] = field(default_factory=list)
    training_budget: list[int] = field(default_factory=list)
    failure: str = ""


def plan_runs(
    protocol: Protocol,
    splits: Sequence[tuple[str, int, Split]],
    out: Path,
    *,
    cohort: str = "a cohort",
    device: str = "cpu",
) -> list[ProtocolRun]:
    """Every method on every (name, seed, split)."""
    return [
        ProtocolRun(
            method,
            split,
            seed,
            out / "runs" / slug(method.name) / name,
            cohort,
            device,
            protocol.threshold,
            protocol.endpoint,
        )
        for method in protocol.methods
        for name, seed, split in splits
    ]


def carry_out(
    run: ProtocolRun,
    slides: Sequence[CohortSlide],
    facts: FeatureFacts,
    sweep: Sequence[tuple[int, ...]] = (),
) -> Iterator[DepthEpoch | RunRecord]:
    """Train, read the test slides, and write everything to the run's folder.

    `sweep` is that of methods which have none of their own. Of a finished run only the record is
    yielded; one that was killed goes on. A training that
    cannot go on, see `TrainingError`, ends in a record that says why, and in no model; it is tried
    again the next time.

    Yields
    ------
    DepthEpoch
        After every epoch of every depth.
    RunRecord
        Last.
    """
    sweep = run.method.sweep or sweep
    key = _key(run, slides, facts, sweep)
    done = _on_record(run.folder, key)
    if done is not None:
        yield done
        return
    train, val, test = (
        [slides[i] for i in part] for part in (run.split.train, run.split.val, run.split.test)
    )
    depths = run.method.on(len(facts.mpp), facts.n_shared)
    for slide in (*train, *val, *test):
        slide.at(depths)  # raises before hours of training where a slide does not fit
    epochs: list[DepthEpoch] = []
    settings = FitSettings(run.seed, CheckpointFolder(run.folder, key), depths)
    recording = _Recording(key, sweep, depths)
    try:
        run = _learning(run, train)
        model = build(run.method, facts, run.seed).to(run.device)
        for epoch in fit(run.method, model, train, val, settings):
            epochs.append(epoch)
            yield epoch
    except TrainingError as error:
        yield _failed(run, epochs, str(error), recording)
        return
    yield _put_on_record(run, model, epochs, (train, val, test), recording)


def _learning(run: ProtocolRun, train: Sequence[CohortSlide]) -> ProtocolRun:
    """The run with what its training slides say of its endpoint, where it has one."""
    if run.endpoint is None:
        return run
    run.endpoint.require_method(run.method)
    endpoint = run.endpoint.fitted([slide.measured for slide in train])
    return replace(run, method=learning(run.method, endpoint))


@dataclass(frozen=True, slots=True)
class _Recording:
    """What a run's record holds besides the model's figures.

    Attributes
    ----------
    key : str
        What the record is recognised by.
    sweep : sequence of tuple of int
        Budgets that slides are read with besides the model's own.
    depths : tuple of int
        Of the cohort.
    """

    key: str
    sweep: Sequence[tuple[int, ...]]
    depths: tuple[int, ...]


def _failed(
    run: ProtocolRun, epochs: Sequence[DepthEpoch], why: str, recording: _Recording
) -> RunRecord:
    """Record that a training failed, and remove the model of an earlier one."""
    record = RunRecord(run.method.name, run.folder.name, {}, epochs=len(epochs), failure=why)
    remove(run.folder / "model.hagmil")
    write_epochs(run.folder / "epochs.csv", epochs)
    _write_record(run.folder, recording.key, record)
    return record


@dataclass(frozen=True)
class _Found:
    """What a trained model tells of the test slides.

    Attributes
    ----------
    test : Predictions
    figures : dict
    sweep : list of dict
        Figures with other budgets.
    summary : dict
        What the model's summary says besides its training.
    """

    test: Predictions
    figures: dict[str, float]
    sweep: list[dict[str, Any]]
    summary: dict[str, Any] = field(default_factory=dict)


def _put_on_record(
    run: ProtocolRun,
    model: CascadeModel,
    epochs: Sequence[DepthEpoch],
    sides: Sequence[Sequence[CohortSlide]],
    recording: _Recording,
) -> RunRecord:
    seen = [[slide.at(recording.depths, run.method.context) for slide in side] for side in sides]
    read = _read_classes if model.config.endpoint is None else _read_endpoint
    found = read(run, model, sides, seen, recording)
    record = RunRecord(
        run.method.name,
        run.folder.name,
        found.figures,
        found.sweep,
        n_epochs(run.method, epochs),
        sum(one.epoch.seconds for one in epochs),
        list(model.config.budget),
        list(run.method.training_budget or run.method.budget)[: len(recording.depths) - 1],
    )
    model.config.training.update(_summary(run, sides, record) | found.summary)
    write_epochs(run.folder / "epochs.csv", epochs)
    write_curves(run.folder / "curves.png", run.name, epochs)
    write_predictions(run.folder / "predictions.csv", sides[2], model.config, found.test)
    sha256 = save_bundle(model, run.folder / "model.hagmil")
    with replacing(run.folder / "model-card.md") as draft:
        draft.write_text(model_card(model.config, sha256), encoding="utf-8")
    _write_record(run.folder, recording.key, record)
    return record


def _read_classes(
    run: ProtocolRun,
    model: CascadeModel,
    sides: Sequence[Sequence[CohortSlide]],
    seen: Sequence[Sequence[TrainingSlide]],
    recording: _Recording,
) -> _Found:
    """Read the test slides; what validation slides choose goes into the model's configuration."""
    sweep = recording.sweep if len(recording.depths) > 1 else ()
    if run.method.choose_budget and len(recording.depths) > 1:
        model.config = replace(model.config, budget=chosen_budget(model, seen[1], sweep))
    raw = [predict_slides(model, side) for side in seen[1:]]
    assure(model, raw[0], *seen[:2])
    validation, test = (calibrated(model, side) for side in raw)
    by_rule = _choose_patient_rule(model, seen[1], sides[1])
    told = figures(test, validation) | calibration_figures(raw[1], test)
    swept = [_swept(model, seen[1:], budget) for budget in sweep]
    if run.threshold == "youden":
        limits = {model.config.classes[-1]: told["threshold"]}
        model.config = replace(model.config, thresholds=limits)
    return _Found(test, told, swept, by_rule)


def _read_endpoint(
    run: ProtocolRun,
    model: CascadeModel,
    sides: Sequence[Sequence[CohortSlide]],
    seen: Sequence[Sequence[TrainingSlide]],
    recording: _Recording,
) -> _Found:
    """Read the test slides of a model that has learned an endpoint."""
    endpoint = run.method.training.loss.endpoint
    if endpoint is None:
        raise ValueError(f"{run.name} has learned classes; read it as such")

    def read(budget: tuple[int, ...] | None) -> tuple[Predictions, dict[str, float]]:
        test = predict_slides(model, seen[2], budget)
        return test, endpoint_figures(endpoint, test, sides[2])

    sweep = recording.sweep if len(recording.depths) > 1 else ()
    model.config = replace(model.config, familiarity=summarise_features(*seen[:2]))
    test, told = read(None)
    return _Found(test, told, [{"budget": list(k), **read(k)[1]} for k in sweep])


def _choose_patient_rule(
    model: CascadeModel, seen: Sequence[TrainingSlide], validation: Sequence[CohortSlide]
) -> dict[str, Any]:
    """Give the model the rule that validation patients choose; what the summary says of it."""
    patients = [slide.patient for slide in validation]
    rule, scores = chosen_patient_rule(model, seen, patients, calibrated)
    model.config = replace(model.config, patients=rule or "")
    return {"patients": {name: round(auc, 4) for name, auc in scores.items()}} if scores else {}


def _write_record(folder: Path, key: str, record: RunRecord) -> None:
    """Write ``run.json``, which ends the run, and delete its checkpoints."""
    with replacing(folder / "run.json") as draft:
        draft.write_text(
            json_text({"schema": SCHEMA, "key": key, **asdict(record)}, indent=2), encoding="utf-8"
        )
    for checkpoint in folder.glob("depth-*.pt"):
        checkpoint.unlink()


def n_epochs(method: Method, epochs: Sequence[DepthEpoch]) -> int:
    """Passes over the training slides; an epoch in which all depths learn at once counts once."""
    if method.schedule not in JOINT:
        return len(epochs)
    teacher = sum(one.depth < 0 for one in epochs)
    return teacher + len({one.epoch.number for one in epochs if one.depth >= 0})


def chosen_budget(
    model: CascadeModel, validation: Sequence[TrainingSlide], sweep: Sequence[tuple[int, ...]]
) -> tuple[int, ...]:
    """The model's own budget or one of `sweep`: the highest validation AUC at the lowest cost."""

    def merit(budget: tuple[int, ...]) -> tuple[float, float]:
        read = predict_slides(model, validation, budget)
        return macro_auc(read.labels, read.decisive), -float(read.patches.mean())

    return max((model.config.budget, *map(tuple, sweep)), key=merit)


def _swept(
    model: CascadeModel, sides: Sequence[Sequence[Any]], budget: tuple[int, ...]
) -> dict[str, Any]:
    predictions: list[Predictions] = [predict_slides(model, side, budget) for side in sides]
    return {"budget": list(budget), **figures(predictions[1], predictions[0])}


def _summary(
    run: ProtocolRun, sides: Sequence[Sequence[CohortSlide]], record: RunRecord
) -> dict[str, Any]:
    """The summary of the training for the bundle and its card."""
    return {
        "method": _plain(run.method),
        "seed": run.seed,
        "data": run.cohort,
        "slides": dict(zip(("train", "val", "test"), map(len, sides), strict=True)),
        "epochs": record.epochs,
        "test": {name: round(value, 4) for name, value in record.figures.items()},
    }


def _on_record(folder: Path, key: str) -> RunRecord | None:
    """What was recorded of a run; None where that is nothing, cannot be read, or was a failure."""
    try:
        content = read_json(folder / "run.json")
        if content.pop("schema") != SCHEMA or content.pop("key") != key or content.get("failure"):
            return None
        content["figures"] = _defined_or_nan(content["figures"])
        content["sweep"] = [_defined_or_nan(entry) for entry in content["sweep"]]
        return RunRecord(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _defined_or_nan(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as they were: JSON has null for one that is not defined."""
    return {name: float("nan") if v is None else v for name, v in figures.items()}


def _key(
    run: ProtocolRun,
    slides: Sequence[CohortSlide],
    facts: FeatureFacts,
    sweep: Sequence[tuple[int, ...]],
) -> str:
    """SHA-256 of everything that a run depends on."""
    inputs: dict[str, Any] = {
        "method": _plain(run.method),
        "seed": run.seed,
        "split": [
            [slides[i].name for i in part]
            for part in (run.split.train, run.split.val, run.split.test)
        ],
        "labels": [slide.label for slide in slides],
        "nodes": [[len(nodes) for nodes in slide.nodes] for slide in slides],
        # The nodes of the slides say how many depths they share.
        "facts": {
            name: facts.encoder.as_json() if name == "encoder" else value
            for name, value in asdict(facts).items()
            if name != "n_shared"
        },
        "sweep": [list(budget) for budget in sweep],
    }
    if run.threshold != "most probable":
        inputs["threshold"] = run.threshold
    if run.endpoint is not None:
        inputs["endpoint"] = asdict(run.endpoint)
        inputs["measured"] = [slide.measured for slide in slides]
    patients = [slide.patient for slide in slides]
    if len({patient or i for i, patient in enumerate(patients)}) < len(slides):
        inputs["patients"] = patients
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _plain(method: Method) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(method), default=_number))
    if method.training.loss.endpoint is None:
        del plain["training"]["loss"]["endpoint"]  # runs of before there were any are still known
    return plain


def _number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot stand in JSON")


def slug(name: str) -> str:
    """A method's name as the name of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "method"

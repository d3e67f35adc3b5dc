"""``train`` and ``protocol``: cascades and baselines learned from a cohort's stored features."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace

import torch
from tqdm import tqdm

from napari_hagmil.cohort import Cohort, Split, holdout, k_fold, read_cohort, three_way
from napari_hagmil.encoders.device import resolve_device
from napari_hagmil.errors import FeatureStoreError, ProtocolError
from napari_hagmil.features import FeatureStore, open_store
from napari_hagmil.files import require_writable
from napari_hagmil.training import CohortSlide, DepthEpoch
from napari_hagmil.training.protocol.methods import FeatureFacts
from napari_hagmil.training.protocol.runs import (
    Protocol,
    ProtocolRun,
    RunRecord,
    carry_out,
    plan_runs,
)
from napari_hagmil.training.protocol.tables import write_tables
from napari_hagmil.training.protocol.toml_file import load_protocol, paper_methods
from napari_hagmil.training.tensorboard import EventWriter


def train(arguments: argparse.Namespace) -> int:
    """Train one method of a protocol: the first, unless another is named."""
    protocol = _protocol_of(arguments)
    names = [method.name for method in protocol.methods]
    wanted = arguments.method or names[0]
    if wanted not in names:
        raise ProtocolError(f"there is no method {wanted!r}; choose one of {', '.join(names)}")
    return _work(arguments, replace(protocol, methods=(protocol.methods[names.index(wanted)],)))


def protocol(arguments: argparse.Namespace) -> int:
    """Train and test every method of a protocol."""
    return _work(arguments, _protocol_of(arguments))


def _protocol_of(arguments: argparse.Namespace) -> Protocol:
    return load_protocol(arguments.config) if arguments.config else Protocol(paper_methods())


def _work(arguments: argparse.Namespace, protocol: Protocol) -> int:
    torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    require_writable(arguments.out / "tables.md")
    cohort = read_cohort(arguments.cohort, files=False)
    stores = [open_store(arguments.store, record) for record in cohort.records]
    facts = _facts(stores, cohort)
    slides = [
        CohortSlide(store.name, int(label), store.quadtree.nodes, store)
        for store, label in zip(stores, cohort.labels, strict=True)
    ]
    name = f"{arguments.cohort.name} ({len(slides)} slides)"
    splits = _splits(cohort, protocol)
    runs = plan_runs(protocol, splits, arguments.out, cohort=name, device=str(device))
    records = list(_records(arguments, runs, slides, facts, protocol))
    written = write_tables(arguments.out, protocol, records)
    if arguments.json:
        print(json.dumps([asdict(record) for record in records], ensure_ascii=False))
    else:
        print(written[0].read_text(encoding="utf-8"))
        print(f"{len(records)} runs, tables and bundles are in {arguments.out}")
    return 0


def _records(
    arguments: argparse.Namespace,
    runs: Sequence[ProtocolRun],
    slides: Sequence[CohortSlide],
    facts: FeatureFacts,
    protocol: Protocol,
) -> Iterator[RunRecord]:
    with tqdm(total=len(runs), unit="run", disable=not sys.stderr.isatty(), leave=False) as bar:
        for run in runs:
            bar.set_description(run.name)
            yield _record(arguments, run, carry_out(run, slides, facts, protocol.sweep), bar)
            bar.update()


def _record(
    arguments: argparse.Namespace,
    run: ProtocolRun,
    steps: Iterator[DepthEpoch | RunRecord],
    bar: tqdm[str],
) -> RunRecord:
    """Carry out one run, showing every epoch, and say how it ended in a line."""
    with ExitStack() as stack:
        events = None
        if arguments.tensorboard:
            events = stack.enter_context(EventWriter(run.folder / "events"))
        for step in steps:
            if isinstance(step, RunRecord):
                if not arguments.json:
                    line = f"{run.name}: AUC {step.figures['auc']:.3f}, {step.epochs} epochs"
                    bar.write(line, file=sys.stdout)
                return step
            bar.set_postfix_str(f"depth {step.depth}, epoch {step.epoch.number}")
            if events is not None:
                events.write(step)
    raise ProtocolError(f"{run.name} ended without a record; run it again")


def _facts(stores: Sequence[FeatureStore], cohort: Cohort) -> FeatureFacts:
    """What all slides' features have in common, which must be everything."""
    facts = [
        FeatureFacts(store.encoder, store.patch_size, store.key.mpp, cohort.classes)
        for store in stores
    ]
    for store, other in zip(stores, facts, strict=True):
        if other != facts[0] or len(store.grids) != len(stores[0].grids):
            raise FeatureStoreError(
                f"the features of {store.name} are of another encoder or of other depths than "
                f"those of {stores[0].name}; encode both alike, or leave one out of the table"
            )
    return replace(facts[0], mpp=facts[0].mpp[: len(stores[0].grids)])


def _splits(cohort: Cohort, protocol: Protocol) -> list[tuple[str, int, Split]]:
    """Name, seed and split of every run of a method."""
    seeds = range(protocol.seed, protocol.seed + protocol.repeats)
    if protocol.scheme == "k-fold":
        return [
            (f"seed-{seed}-fold-{i}", seed, split)
            for seed in seeds
            for i, split in enumerate(k_fold(cohort, protocol.folds, seed=seed))
        ]
    divide = holdout if protocol.scheme == "holdout" else three_way
    return [(f"seed-{seed}", seed, divide(cohort, seed=seed)) for seed in seeds]


__all__ = ["protocol", "train"]

"""Spend a cascade's budget in three ways on the mosaic's test slides: attention, chance, the truth.

    python docs/scripts/mosaic_controls.py OUT/cohort.csv --store OUT/features \
        --runs OUT/results/runs/evidence-cascade

RUNS holds a folder per seed, each with model.hagmil, as `napari-hagmil protocol` wrote them. Prints
a table, a row per way: AUC of the decision and of the finest depth alone, the share of the tumour's
patches that is read at the finest depth, and the share of lesions that one of those meets; means
over the seeds. Chance is drawn anew for each of ten seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.cascade import (
    Choose,
    at_random,
    by_attention,
    by_value,
)
from napari_hagmil.cascade.run import run_over
from napari_hagmil.cohort import SlideRecord, read_cohort
from napari_hagmil.evaluation.evaluate import EvaluableSlide, stored
from napari_hagmil.evaluation.localisation import lesions_met, meeting
from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.models import CascadeModel, load_bundle
from napari_hagmil.polygons import Rings
from napari_hagmil.quadtree import Nodes, Quadtree

DRAWS = 10


@dataclass(frozen=True)
class Truth:
    """Where the tumour of a slide is: its lesions, and the finest nodes that lie in one."""

    lesions: list[Rings]
    tumour: NDArray[np.bool_]

    @classmethod
    def of(cls, record: SlideRecord, tree: Quadtree) -> Truth:
        """Read a slide's outlines."""
        lesions = read_polygons(record.truth) if record.truth else []
        nodes = tree.nodes[-1]
        tumour = np.zeros(nodes.max(0) + 1, dtype=bool)
        for lesion in lesions:
            tumour[tuple(nodes[meeting(lesion, tree.grids[-1], nodes)].T)] = True
        return cls(lesions, tumour)

    def below(self, n_depths: int) -> Callable[[int, Nodes], NDArray[np.float64]]:
        """How many tumour patches lie below a node."""

        def count(depth: int, nodes: Nodes) -> NDArray[np.float64]:
            size = 2 ** (n_depths - 1 - depth)
            blocks = [self.tumour[y : y + size, x : x + size] for y, x in nodes * size]
            return np.array([block.sum() for block in blocks], dtype=np.float64)

        return count


@dataclass(frozen=True)
class Read:
    """One reading of one slide."""

    label: int
    decided: float
    finest: float
    tumour: float | None
    lesions: tuple[bool, ...]
    patches: int


def read(
    model: CascadeModel, readable: EvaluableSlide, truth: Truth, label: int, way: Choose
) -> Read:
    stages = run_over(model, readable.quadtree, readable.features, choose=way)
    last = stages[-1]
    inside = truth.tumour[tuple(last.nodes.T)].sum() if truth.lesions else 0
    return Read(
        label,
        float(last.probabilities[-1]),
        float(last.logits[-1] - last.logits[0]),
        float(inside / truth.tumour.sum()) if truth.lesions else None,
        lesions_met(truth.lesions, readable.quadtree.grids[-1], last.nodes)
        if truth.lesions
        else (),
        sum(len(stage.nodes) for stage in stages),
    )


def predictions(
    model: CascadeModel, records: Sequence[SlideRecord], classes: Sequence[str], store: Path
) -> dict[str, list[list[Read]]]:
    """Every way → every draw of it → every slide."""
    ways: dict[str, list[list[Read]]] = {
        "attention": [[]],
        "random k": [[] for _ in range(DRAWS)],
        "oracle k": [[]],
    }
    source = stored(store, model)
    for number, record in enumerate(records):
        with source(record) as readable:
            truth = Truth.of(record, readable.quadtree)
            oracle = by_value(truth.below(model.config.n_depths))
            label = classes.index(record.label)
            chosen: dict[str, list[Choose]] = {
                "attention": [by_attention],
                "random k": [at_random((draw, number)) for draw in range(DRAWS)],
                "oracle k": [oracle],
            }
            for way, draws in chosen.items():
                for draw, choose in enumerate(draws):
                    ways[way][draw].append(read(model, readable, truth, label, choose))
    return ways


def row(draws: Sequence[Sequence[Read]]) -> list[float]:
    """AUC, AUC of the finest depth alone, tumour read, lesions met, patches."""
    told = []
    for slides in draws:
        labels = [one.label for one in slides]
        lesions = [met for one in slides for met in one.lesions]
        told.append(
            (
                auc(labels, [one.decided for one in slides]),
                auc(labels, [one.finest for one in slides]),
                float(np.mean([one.tumour for one in slides if one.tumour is not None])),
                float(np.mean(lesions)),
                float(np.mean([one.patches for one in slides])),
            )
        )
    return [float(value) for value in np.mean(told, axis=0)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path, metavar="COHORT.csv")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cohort = read_cohort(args.cohort, files=False)
    records = [record for record in cohort.records if record.split == "test"]
    found_rows: dict[str, list[list[float]]] = {}
    for bundle in sorted(args.runs.glob("*/model.hagmil")):
        for way, draws in predictions(
            load_bundle(bundle), records, cohort.classes, args.store
        ).items():
            found_rows.setdefault(way, []).append(row(draws))
    print("| places chosen by | AUC | of the seeds | finest alone | tumour | lesions | patches |")
    print("|---" * 7 + "|")
    for way, seeds in found_rows.items():
        mean, aucs = np.mean(seeds, axis=0), ", ".join(f"{seed[0]:.3f}" for seed in seeds)
        print(
            f"| {way} | {mean[0]:.3f} | {aucs} | {mean[1]:.3f} | {mean[2]:.2f} | {mean[3]:.2f} | "
            f"{mean[4]:.0f} |"
        )


if __name__ == "__main__":
    main()

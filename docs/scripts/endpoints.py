"""Train methods on endpoints whose answer is known: quantities, yes or no, survival.

    python docs/scripts/endpoints.py --out docs/results [--runs DIR] [--seeds 0 1 2]

The slides are those of endpoint_cohort.py, in memory: each seed draws its own marks and slides, 80
to learn from, 40 to validate, 80 to test. Methods and settings are those of
docs/protocols/survival.toml, regression.toml and labels.toml. Each run is a line of
OUT/endpoints.csv, with a key of its settings: a killed run goes on. Writes OUT/endpoints.md: means
of the seeds, beside what knowing the truth would give.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from endpoint_cohort import FEATURES, MEASURED_NOISE, PLACES, Outcome, features, known
from mil_bags import key_of
from pages import put_table
from puzzle_slides import PuzzleFeatures

from napari_hagmil.cohort import Split
from napari_hagmil.files import replacing
from napari_hagmil.models import EncoderFacts
from napari_hagmil.quadtree import children
from napari_hagmil.training import CohortSlide
from napari_hagmil.training.protocol.methods import FeatureFacts, Method
from napari_hagmil.training.protocol.plan import Protocol
from napari_hagmil.training.protocol.runs import ProtocolRun, RunRecord, carry_out, slug
from napari_hagmil.training.protocol.toml_file import load_protocol

PROTOCOLS = Path(__file__).parents[1] / "protocols"
SIZES = (80, 40, 80)
COLUMNS = ("endpoint", "method", "seed", "key", "figure", "value", "known", "patches", "seconds")

#: Endpoint → its figure in the table, and that of `known` which it is compared with.
FIGURES = {
    "survival": ("c_index", "c_index"),
    "regression": ("r2", "r2"),
    "labels": ("auprc", "auprc"),
}

#: Endpoint → what is measured of a slide, as its columns have it.
MEASURED = {
    "survival": lambda one, a, b: (one.time, float(one.event)),
    "regression": lambda one, a, b: (a, b),
    "labels": lambda one, a, b: (float(one.a > 0.5), float(one.b > 0.5)),
}

FACTS = FeatureFacts(EncoderFacts("marks", None, FEATURES), 1, (1.0, 0.5, 0.25), ("no", "yes"))

Place = tuple[str, str, int, str]
"""Endpoint, method, seed, key."""


def slides(endpoint: str, seed: int) -> tuple[list[CohortSlide], dict[str, float]]:
    """The slides of a seed, and what knowing the truth would give on the test slides."""
    rng = np.random.default_rng(seed)
    marks = np.linalg.qr(rng.normal(size=(FEATURES, 3)))[0].T * 2.0
    nodes = [np.stack([np.zeros(PLACES, np.int64), np.arange(PLACES)], axis=1)]
    nodes += [below := children(nodes[0]), children(below)]
    found, told = [], []
    for i in range(sum(SIZES)):
        outcome = Outcome.draw(rng)
        rows = PuzzleFeatures(tuple(features(outcome, marks, rng)))
        a, b = np.array([outcome.a, outcome.b]) + MEASURED_NOISE * rng.normal(size=2)
        measured = MEASURED[endpoint](outcome, float(a), float(b))
        found.append(CohortSlide(f"{seed}-{i}", 0, tuple(nodes), rows, measured=measured))
        told.append((outcome, float(a), float(b)))
    truth = known(told[-SIZES[2] :])
    return found, {**truth, "r2": (truth["r2_a"] + truth["r2_b"]) / 2, "auprc": 1.0}


def run(protocol: Protocol, endpoint: str, method: Method, seed: int, out: Path) -> dict[str, Any]:
    """Train and test one method with one seed: its line of the record."""
    drawn, truth = slides(endpoint, seed)
    ends = np.cumsum([0, *SIZES])
    split = Split(*(tuple(range(a, b)) for a, b in pairwise(ends)))
    folder = out / endpoint / slug(method.name) / f"seed-{seed}"
    one = ProtocolRun(method, split, seed, folder, endpoint=protocol.endpoint)
    record = next(step for step in carry_out(one, drawn, FACTS) if isinstance(step, RunRecord))
    if record.failure:
        raise SystemExit(f"{method.name}, seed {seed}: {record.failure}")
    figure, beside = FIGURES[endpoint]
    return {
        "endpoint": endpoint,
        "method": method.name,
        "seed": seed,
        "key": key_of(method),
        "figure": figure,
        "value": f"{record.figures[figure]:.4f}",
        "known": f"{truth[beside]:.4f}",
        "patches": round(record.figures["patches"]),
        "seconds": f"{record.seconds:.0f}",
    }


def read(path: Path) -> dict[Place, dict[str, Any]]:
    """The record, by place."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(r["endpoint"], r["method"], int(r["seed"]), r["key"]): r for r in rows}


def write(path: Path, rows: dict[Place, dict[str, Any]]) -> None:
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[place] for place in sorted(rows))


def as_markdown(rows: dict[Place, dict[str, Any]]) -> str:
    """A line per endpoint and method of the protocols; what was not run stays empty."""
    lines = [
        "| endpoint | method | seeds | figure | mean | of the seeds | known | patches |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for endpoint, (figure, _) in FIGURES.items():
        for method in load_protocol(PROTOCOLS / f"{endpoint}.toml").methods:
            own = (endpoint, method.name, key_of(method))
            some = [row for (e, m, _, key), row in sorted(rows.items()) if (e, m, key) == own]
            cells = [endpoint, method.name, str(len(some)), figure]
            if some:
                values, truths, patches = (
                    [float(row[name]) for row in some] for name in ("value", "known", "patches")
                )
                each = ", ".join(f"{value:.3f}" for value in values)
                cells += [f"{np.mean(values):.3f}", each]
                cells += [f"{np.mean(truths):.3f}", f"{np.mean(patches):.0f}"]
            else:
                cells += [""] * 4
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("endpoint-runs"), help="bundles, records")
    parser.add_argument("--seeds", type=int, nargs="*", default=range(3))
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same weights on any machine
    record = args.out / "endpoints.csv"
    for seed in args.seeds:
        for endpoint in FIGURES:
            protocol = load_protocol(PROTOCOLS / f"{endpoint}.toml")
            for method in reversed(protocol.methods):  # the quick ones first
                place = (endpoint, method.name, seed, key_of(method))
                if place not in read(record):
                    row = run(protocol, endpoint, method, seed, args.runs)
                    print(row, flush=True)
                    write(record, read(record) | {place: row})
    text = as_markdown(read(record))
    put_table(args.out / "endpoints.md", text)
    print(text)


if __name__ == "__main__":
    main()

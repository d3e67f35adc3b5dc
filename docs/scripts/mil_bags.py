"""Cross-validate every method on the classic bags of multiple-instance learning.

    python docs/scripts/mil_bags.py --data DIR --out DIR [--repeats 5] [--sets musk1 …]

DIR holds mil/*.npz: features, the bag of each instance, its label. Stratified 10-fold; nine folds
train for a fixed number of epochs, and nothing is chosen on the tenth. Each fold is a line of
OUT/folds.jsonl: a killed run goes on. Writes OUT/mil_bags.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.models import EncoderFacts
from napari_hagmil.quadtree import Nodes
from napari_hagmil.training import CohortSlide
from napari_hagmil.training.config import load_protocol
from napari_hagmil.training.methods import FeatureFacts, Method, build, fit
from napari_hagmil.training.reading import read_slides

PROTOCOL = Path(__file__).parents[1] / "protocols" / "mil_bags.toml"

SETS = ("musk1", "musk2", "fox", "tiger", "elephant", "ucsb_breast_cancer")

#: Accuracies of attention and gated attention, Ilse et al. (ICML 2018), Table 1.
PUBLISHED = {
    "AB-MIL": {"musk1": 0.892, "musk2": 0.858, "fox": 0.615, "tiger": 0.839, "elephant": 0.868},
    "gated AB-MIL": {
        "musk1": 0.900,
        "musk2": 0.863,
        "fox": 0.603,
        "tiger": 0.845,
        "elephant": 0.857,
    },
}


class Rows:
    """A `FeatureSource` of one bag: node (0, i) is instance i."""

    def __init__(self, rows: torch.Tensor) -> None:
        self.rows = rows

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(0, (n, 2) nodes) → (n, d)."""
        return self.rows[torch.from_numpy(nodes[:, 1])]


def load_bags(path: Path) -> list[CohortSlide]:
    """One slide of a single depth per bag."""
    data = np.load(path)
    slides = []
    for bag in np.unique(data["bag"]):
        rows = torch.from_numpy(data["features"][data["bag"] == bag].astype(np.float32))
        label = int(data["label"][data["bag"] == bag][0] > 0)
        nodes = np.stack([np.zeros(len(rows), np.int64), np.arange(len(rows))], axis=1)
        slides.append(CohortSlide(f"{path.stem}-{bag}", label, (nodes,), Rows(rows)))
    return slides


def folds(labels: NDArray[np.int64], k: int, seed: int) -> NDArray[np.int64]:
    """Fold of every bag, stratified."""
    rng, fold = np.random.default_rng(seed), np.empty(len(labels), dtype=np.int64)
    start = 0
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (start + np.arange(len(members))) % k
        start += len(members)
    return fold


def run_fold(
    method: Method, slides: Sequence[CohortSlide], test: NDArray[np.bool_], seed: int
) -> dict[str, Any]:
    learnt, held_out = ([slides[i] for i in np.flatnonzero(side)] for side in (~test, test))
    features = slides[0].features(0, slides[0].nodes[0])
    facts = FeatureFacts(EncoderFacts("mil", None, features.shape[1]), 1, (1.0,), ("0", "1"))
    model = build(method, facts, seed)
    epochs = sum(1 for _ in fit(method, model, learnt, [], (seed, None)))
    readings = read_slides(model, [slide.at((0,)) for slide in held_out])
    called = readings.decisive.argmax(1)
    correct = int((called == readings.labels).sum())
    return {"correct": correct, "bags": len(called), "epochs": epochs}


def as_markdown(lines: Sequence[dict[str, Any]], methods: Sequence[Method]) -> str:
    head = "| method | " + " | ".join(SETS) + " |\n" + "|---" * (len(SETS) + 1) + "|"
    rows = [head]
    for method in methods:
        cells = [_cell(lines, method.name, name) for name in SETS]
        rows.append(f"| {method.name} | " + " | ".join(cells) + " |")
        if method.name in PUBLISHED:
            told = [PUBLISHED[method.name].get(name) for name in SETS]
            cells = [f"{value:.3f}" if value else "" for value in told]
            rows.append("| *published* | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _cell(lines: Sequence[dict[str, Any]], method: str, name: str) -> str:
    repeats: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        if (line["method"], line["set"]) == (method, name):
            repeats.setdefault(line["repeat"], []).append(line)
    full = [some for some in repeats.values() if len(some) == 10]
    if not full:
        return ""
    values = [sum(f["correct"] for f in some) / sum(f["bags"] for f in some) for some in full]
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread} ({len(values)})"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--methods", nargs="*", help="names; by default all")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--epochs", type=int, help="fewer, to try it")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same weights on any machine
    protocol = load_protocol(PROTOCOL)
    methods = [m for m in protocol.methods if not args.methods or m.name in args.methods]
    args.out.mkdir(parents=True, exist_ok=True)
    record = args.out / "folds.jsonl"
    lines = (
        [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    )
    done = {(line["set"], line["method"], line["repeat"], line["fold"]) for line in lines}
    if args.epochs:
        short = {"epochs": args.epochs}
        methods = [replace(m, training=replace(m.training, **short)) for m in methods]
    for repeat in range(args.repeats or protocol.repeats):
        for method in methods:
            for name in args.sets:
                slides = load_bags(args.data / "mil" / f"{name}.npz")
                fold_of = folds(np.array([slide.label for slide in slides]), 10, repeat)
                for fold in range(10):
                    if (name, method.name, repeat, fold) not in done:
                        found = run_fold(method, slides, fold_of == fold, 100 * repeat + fold)
                        place = {"set": name, "method": method.name, "repeat": repeat}
                        lines.append({**place, "fold": fold, **found})
                        with record.open("a") as file:
                            file.write(json.dumps(lines[-1]) + "\n")
            (args.out / "mil_bags.md").write_text(as_markdown(lines, protocol.methods))
    print(as_markdown(lines, protocol.methods))


if __name__ == "__main__":
    main()

"""Cross-validate every method on the classic bags of multiple-instance learning.

    python docs/scripts/mil_bags.py --data DIR --out DIR [--sets musk1 …] [--methods AB-MIL …]

DIR holds mil/*.npz: features, the bag of each instance, its label. Stratified 10-fold; nine folds
train for a fixed number of epochs, and nothing is chosen on the tenth. Each fold is a line of
OUT/folds.jsonl: a killed run goes on, and what --methods and --sets ran apart can be put together
with cat. Writes OUT/mil_bags.md: mean accuracy ± standard deviation of the repeats, and how many.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
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

Place = tuple[str, str, int, int]
"""Method, set, repeat and fold."""

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

#: Learning rate and L2 penalty λ of each set in the code of Wang et al. (Pattern Recognition 2018),
#: whose network and training Ilse et al. put attention into; ucsb_breast_cancer takes musk1's.
RATES = {
    "musk1": (5e-4, 0.005),
    "musk2": (5e-4, 0.03),
    "fox": (1e-4, 0.01),
    "tiger": (5e-4, 0.005),
    "elephant": (1e-4, 0.005),
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


def on_set(method: Method, name: str) -> Method:
    """The method as it is trained on one set: with the published rates where it is SGD's.

    A penalty λ|w|² has the gradient 2λw.
    """
    if method.training.optimiser != "sgd":
        return method
    rate, penalty = RATES.get(name, RATES["musk1"])
    training = replace(method.training, learning_rate=rate, weight_decay=2 * penalty)
    return replace(method, training=training)


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


def read_record(path: Path) -> list[dict[str, Any]]:
    """The folds that are over, each once: records of several parts may be put together."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return list({_place(line): line for line in lines}.values())


def _place(line: dict[str, Any]) -> Place:
    return line["method"], line["set"], line["repeat"], line["fold"]


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


def run_set(
    method: Method, name: str, data: Path, repeat: int, done: set[Place]
) -> Iterator[dict[str, Any]]:
    """The folds of one set that are not done yet."""
    missing = [fold for fold in range(10) if (method.name, name, repeat, fold) not in done]
    if not missing:
        return
    slides = load_bags(data / "mil" / f"{name}.npz")
    fold_of = folds(np.array([slide.label for slide in slides]), 10, repeat)
    for fold in missing:
        found = run_fold(on_set(method, name), slides, fold_of == fold, 100 * repeat + fold)
        yield {"set": name, "method": method.name, "repeat": repeat, "fold": fold, **found}


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
    if args.epochs:
        short = {"epochs": args.epochs}
        methods = [replace(m, training=replace(m.training, **short)) for m in methods]
    args.out.mkdir(parents=True, exist_ok=True)
    record = args.out / "folds.jsonl"
    lines = read_record(record)
    done = {_place(line) for line in lines}
    for repeat in range(args.repeats or protocol.repeats):
        for method, name in product(methods, args.sets):
            for line in run_set(method, name, args.data, repeat, done):
                lines.append(line)
                with record.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            (args.out / "mil_bags.md").write_text(as_markdown(lines, protocol.methods))
    print(as_markdown(lines, protocol.methods))


if __name__ == "__main__":
    main()

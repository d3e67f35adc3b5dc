"""Cross-validate every method on the classic bags of multiple-instance learning.

    python docs/scripts/mil_bags.py --data DIR --out DIR [--sets musk1 …] [--methods AB-MIL …]

DIR holds mil/*.npz: features, the bag of each instance, its label. Stratified 10-fold; nine folds
train for a fixed number of epochs, and nothing is chosen on the tenth. Each repeat of a method on a
set is a line of OUT/mil_bags.csv, with a key of the method's settings: a killed run goes on, what
--methods and --sets ran apart can be put together with cat, and what other settings gave is left
out. Those of docs/results/bags.md are in docs/results/mil_bags.csv: with --out docs/results only
what is missing there is run. Writes OUT/mil_bags.md: mean accuracy ± standard deviation of the
repeats, and how many.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.files import replacing
from napari_hagmil.models import EncoderFacts
from napari_hagmil.quadtree import Nodes
from napari_hagmil.training import CohortSlide
from napari_hagmil.training.predictions import predict_slides
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit
from napari_hagmil.training.protocol.methods import FeatureFacts, Method
from napari_hagmil.training.protocol.toml_file import load_protocol

PROTOCOL = Path(__file__).parents[1] / "protocols" / "mil_bags.toml"

Place = tuple[str, str, int, str]
"""Method, set, repeat, and key of the settings."""

COLUMNS = ("method", "set", "repeat", "key", "correct", "bags")

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


def key_of(method: Method) -> str:
    """Name the settings of a method in short, by what is not as it is anyway."""
    told, plain = asdict(method), asdict(Method(method.name))
    for one in (told, plain):
        del one["training"]["loss"]["endpoint"]  # what is learned besides is no setting of a method
    told["training"] = _differing(told["training"], plain["training"])
    text = json.dumps(_differing(told, plain), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _differing(told: dict[str, Any], plain: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value != plain[name]}


def run_fold(
    method: Method, slides: Sequence[CohortSlide], test: NDArray[np.bool_], seed: int
) -> int:
    """Bags of the held-out fold that are called rightly."""
    learnt, held_out = ([slides[i] for i in np.flatnonzero(side)] for side in (~test, test))
    features = slides[0].features(0, slides[0].nodes[0])
    facts = FeatureFacts(EncoderFacts("mil", None, features.shape[1]), 1, (1.0,), ("0", "1"))
    model = build(method, facts, seed)
    for _ in fit(method, model, learnt, [], FitSettings(seed)):
        pass
    predictions = predict_slides(model, [slide.at((0,)) for slide in held_out])
    return int((predictions.decisive.argmax(1) == predictions.labels).sum())


def run_repeat(method: Method, name: str, data: Path, repeat: int) -> dict[str, Any]:
    """Ten folds of one set, as a line of the record."""
    slides = load_bags(data / "mil" / f"{name}.npz")
    fold_of = folds(np.array([slide.label for slide in slides]), 10, repeat)
    settings = on_set(method, name)
    correct = sum(
        run_fold(settings, slides, fold_of == fold, 100 * repeat + fold) for fold in range(10)
    )
    values = (method.name, name, repeat, key_of(settings), correct, len(slides))
    return dict(zip(COLUMNS, values, strict=True))


def read_record(path: Path) -> list[dict[str, Any]]:
    """The repeats that are over, each once: records of several parts may be put together."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["repeat"] != "repeat"]
    whole: list[dict[str, Any]] = [
        {**line, **{name: int(line[name]) for name in ("repeat", "correct", "bags")}}
        for line in lines
    ]
    return list({_place(line): line for line in whole}.values())


def write_record(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """All repeats, in an order that does not depend on when they were run."""
    with replacing(path) as draft, draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(lines, key=_place))


def _place(line: dict[str, Any]) -> Place:
    return line["method"], line["set"], line["repeat"], line["key"]


def as_markdown(lines: Sequence[dict[str, Any]], methods: Sequence[Method]) -> str:
    head = "| method | " + " | ".join(SETS) + " |\n" + "|---" * (len(SETS) + 1) + "|"
    rows = [head]
    for method in methods:
        cells = [_cell(lines, method, name) for name in SETS]
        rows.append(f"| {method.name} | " + " | ".join(cells) + " |")
        if method.name in PUBLISHED:
            told = [PUBLISHED[method.name].get(name) for name in SETS]
            cells = [f"{value:.3f}" if value else "" for value in told]
            rows.append("| *published* | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _cell(lines: Sequence[dict[str, Any]], method: Method, name: str) -> str:
    wanted = (method.name, name, key_of(on_set(method, name)))
    found = [line for line in lines if (line["method"], line["set"], line["key"]) == wanted]
    if not found:
        return ""
    values = [line["correct"] / line["bags"] for line in found]
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
    if args.epochs:
        short = {"epochs": args.epochs}
        methods = [replace(m, training=replace(m.training, **short)) for m in methods]
    args.out.mkdir(parents=True, exist_ok=True)
    record = args.out / "mil_bags.csv"
    lines = read_record(record)
    done = {_place(line) for line in lines}
    for repeat in range(args.repeats or protocol.repeats):
        for method, name in product(methods, args.sets):
            if (method.name, name, repeat, key_of(on_set(method, name))) not in done:
                lines.append(run_repeat(method, name, args.data, repeat))
                write_record(record, lines)
    (args.out / "mil_bags.md").write_text(as_markdown(lines, methods))
    print(as_markdown(lines, methods))


if __name__ == "__main__":
    main()

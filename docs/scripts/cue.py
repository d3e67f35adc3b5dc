"""Run the one-depth cue: the transformer's choices one at a time, beside gated AB-MIL.

    python docs/scripts/cue.py --out docs/results [--methods NAME …] [--seeds 0 1 2 3 4]

Bags of 60 to 90 instances of 32 features at one depth. Every instance is one of six directions of
background, and noise; in a positive bag one to three have a cue added. Each seed draws its own
directions, 192 bags to learn from, 48 to validate, 300 to test, and its own weights. Each run is a
line of OUT/cue.csv, with a key of the method's settings: a killed run goes on, and what other
settings gave is left out. Writes OUT/cue.md: means of the seeds, and the difference to gated AB-MIL
with its 95 % interval over the seeds (Student's t, paired).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mil_bags import Rows, key_of
from numpy.typing import NDArray
from pages import put_table
from scipy.stats import t as student

from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.files import replacing
from napari_hagmil.models import CascadeModel, EncoderFacts
from napari_hagmil.training import CohortSlide
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit
from napari_hagmil.training.protocol.methods import FeatureFacts, Method
from napari_hagmil.training.protocol.toml_file import load_protocol

PROTOCOL = Path(__file__).parents[1] / "protocols" / "cue.toml"
COLUMNS = ("method", "seed", "key", "auc", "pointing", "share")
TRAIN, VAL, TEST = 192, 48, 300
N_FEATURES, CUE, NOISE, BACKGROUND = 32, 2.2, 0.45, 1.6

#: What the others are compared with.
BESIDE = "gated AB-MIL"

FACTS = FeatureFacts(EncoderFacts("cue", None, N_FEATURES), 1, (1.0,), ("negative", "positive"))

Bag = tuple[CohortSlide, NDArray[np.bool_]]
"""A bag, and which of its instances carry the cue."""


def bags(seed: int) -> list[Bag]:
    """The bags of a seed: to learn from, to validate, to test."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(7, N_FEATURES))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return [_bag(f"{seed}-{i}", i % 2, directions, rng) for i in range(TRAIN + VAL + TEST)]


def _bag(name: str, label: int, directions: NDArray[Any], rng: np.random.Generator) -> Bag:
    n = int(rng.integers(60, 91))
    rows = BACKGROUND * directions[rng.integers(6, size=n)]
    rows += NOISE * rng.normal(size=rows.shape)
    cued = np.zeros(n, dtype=bool)
    if label:
        cued[rng.permutation(n)[: rng.integers(1, 4)]] = True
    rows[cued] += CUE * directions[6]
    nodes = np.stack([np.zeros(n, np.int64), np.arange(n)], axis=1)
    source = Rows(torch.from_numpy(rows.astype(np.float32)))
    return CohortSlide(name, label, (nodes,), source), cued


def trained(method: Method, drawn: Sequence[Bag], seed: int) -> tuple[CascadeModel, Sequence[Bag]]:
    """A method trained on the bags of a seed, and those to test it on."""
    slides = [slide for slide, _ in drawn]
    model = build(method, FACTS, seed)
    for _ in fit(method, model, slides[:TRAIN], slides[TRAIN : TRAIN + VAL], FitSettings(seed)):
        pass
    return model.eval(), drawn[TRAIN + VAL :]


def run(method: Method, seed: int) -> dict[str, Any]:
    """Train one method with one seed and test it, as a line of the record."""
    model, test = trained(method, bags(seed), seed)
    calls, pointing, shares = [], [], []
    with torch.inference_mode():
        for slide, cued in test:
            output = model.stage(0)(slide.features(0, slide.nodes[0]))
            calls.append(float(output.logits.softmax(-1)[1]))
            attention = output.attention.numpy().astype(np.float64)
            if cued.any():
                pointing.append(auc(cued, attention))
                shares.append(float(attention[cued].sum()))
    labels = np.array([slide.label for slide, _ in test])
    told = (auc(labels, np.array(calls)), float(np.mean(pointing)), float(np.mean(shares)))
    return dict(zip(COLUMNS, (method.name, seed, key_of(method), *told), strict=True))


def read(path: Path) -> dict[tuple[str, int, str], dict[str, Any]]:
    """The runs of a record, by method, seed and key."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {(r["method"], int(r["seed"]), r["key"]): r for r in csv.DictReader(file)}


def write(path: Path, rows: dict[tuple[str, int, str], dict[str, Any]]) -> None:
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[place] for place in sorted(rows))


def as_markdown(methods: Sequence[Method], rows: dict[tuple[str, int, str], dict[str, Any]]) -> str:
    """A line per method; cells of seeds that were not run stay empty."""
    told = {
        m.name: {seed: row for (name, seed, key), row in rows.items() if (name, key) == own}
        for m in methods
        for own in [(m.name, key_of(m))]
    }
    lines = [
        f"| method | seeds | AUC | to {BESIDE} | pointing | to {BESIDE} | attention on the cue |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in told.items():
        figures = [_cell(runs, "auc"), _paired(runs, told[BESIDE], "auc", name)]
        figures += [_cell(runs, "pointing"), _paired(runs, told[BESIDE], "pointing", name)]
        lines.append(f"| {name} | {len(runs)} | {' | '.join([*figures, _cell(runs, 'share')])} |")
    return "\n".join(lines) + "\n"


def _cell(runs: dict[int, dict[str, Any]], what: str) -> str:
    return f"{np.mean([float(row[what]) for row in runs.values()]):.3f}" if runs else ""


def _paired(
    runs: dict[int, dict[str, Any]], beside: dict[int, dict[str, Any]], what: str, name: str
) -> str:
    gaps = [float(runs[s][what]) - float(beside[s][what]) for s in sorted(runs.keys() & beside)]
    if name == BESIDE or len(gaps) < 2:
        return ""
    half = student.ppf(0.975, len(gaps) - 1) * np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    return f"{np.mean(gaps):+.3f} ± {half:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--protocol", type=Path, default=PROTOCOL)
    parser.add_argument("--methods", nargs="*", help="names; by default all")
    parser.add_argument("--seeds", type=int, nargs="*", default=range(5))
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same weights on any machine
    methods = load_protocol(args.protocol).methods
    record = args.out / "cue.csv"
    for seed in args.seeds:
        for method in (m for m in methods if not args.methods or m.name in args.methods):
            rows = read(record)
            if (method.name, seed, key_of(method)) not in rows:
                row = run(method, seed)
                print(row, flush=True)
                rows = read(record) | {(method.name, seed, row["key"]): row}
                write(record, rows)
    text = as_markdown(methods, read(record))
    put_table(args.out / "cue.md", text)
    print(text)


if __name__ == "__main__":
    main()

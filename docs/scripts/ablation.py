"""The choices of the transformer one at a time, over every task that has a record of its runs.

    python docs/scripts/ablation.py --out docs/results

Reads OUT/cue.csv, OUT/puzzle.csv and OUT/mosaic.csv, a line per run with the columns method, seed,
key, auc, pointing and share; a record that is not there, or a method that was not run, leaves its
cells empty. Rows are the methods of docs/protocols/cue.toml. Differences are paired over the seeds,
with their 95 % interval (Student's t), to the configuration that a row changes one thing of.
"""

from __future__ import annotations

import argparse
import csv
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pages import put_table
from scipy.special import stdtrit

PROTOCOL = Path(__file__).parents[1] / "protocols" / "cue.toml"
TASKS = ("cue", "puzzle", "mosaic")

#: What the first words of a row's name say that it changes one thing of.
OF = {"official, ": "IAT, official", "hagmil, ": "IAT, hagmil"}

Runs = dict[int, dict[str, str]]
"""Seed → a line of a record."""


def runs_of(method: str, record: Path) -> Runs:
    """The runs of a method; raise where the record has some of other settings, too."""
    if not record.exists():
        return {}
    with record.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == method]
    if len({row["key"] for row in rows}) > 1:
        raise SystemExit(f"{record} has runs of {method} with several settings; leave the old out")
    return {int(row["seed"]): row for row in rows}


def mean(runs: Runs, figure: str) -> str:
    """Of the seeds; empty where nothing was run."""
    return f"{np.mean([float(row[figure]) for row in runs.values()]):.3f}" if runs else ""


def paired(runs: Runs, beside: Runs, figure: str) -> str:
    """Mean difference and its interval; empty below two seeds in common."""
    gaps = [float(runs[s][figure]) - float(beside[s][figure]) for s in runs.keys() & beside.keys()]
    if len(gaps) < 2:
        return ""
    half = stdtrit(len(gaps) - 1, 0.975) * np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    return f"{np.mean(gaps):+.3f} ± {half:.3f}"


def table(methods: Sequence[str], out: Path) -> str:
    """A row per method, three columns per task."""
    found = {task: {m: runs_of(m, out / f"{task}.csv") for m in methods} for task in TASKS}
    head = [f"{task}: {what}" for task in TASKS for what in ("AUC", "difference", "pointing")]
    lines = [f"| method | {' | '.join(head)} |", "|---" * (1 + len(head)) + "|"]
    for method in methods:
        base = next((whole for start, whole in OF.items() if method.startswith(start)), "")
        cells = []
        for task in TASKS:
            runs = found[task][method]
            beside = found[task].get(base, {})
            cells += [mean(runs, "auc"), paired(runs, beside, "auc"), mean(runs, "pointing")]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    methods = [entry["name"] for entry in tomllib.loads(PROTOCOL.read_text("utf-8"))["method"]]
    put_table(args.out / "ablation.md", table(methods, args.out))


if __name__ == "__main__":
    main()

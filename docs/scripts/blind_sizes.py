"""What evaluate found on the blind cohort, by the size of the lesions.

    python docs/scripts/blind_sizes.py BLIND/read/predictions.csv BLIND/read/lesions.csv

Prints a table: of each kind of slides with tumour the AUC against slides without (those of one
patient against the others of one patient, all else against the normal ones), how many are called
tumour, and the share of their lesions that a patch of each depth met. To compare k, run evaluate
with bundles of that budget, and this on each.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from napari_hagmil.evaluation.metrics import auc

#: Kind → how names of its slides with tumour begin and end, and of those it is compared with.
KINDS = {
    "small": (("small-", ""), ("normal-", "")),
    "usual": (("usual-", ""), ("normal-", "")),
    "large": (("large-", ""), ("normal-", "")),
    "alone": (("alone-", "tumour"), ("alone-", "normal")),
}

Rows = Sequence[Mapping[str, str]]


def of_kind(rows: Rows, kind: tuple[str, str]) -> list[Mapping[str, str]]:
    """Rows of the slides whose names begin and end so."""
    start, end = kind
    return [r for r in rows if r["slide"].startswith(start) and r["slide"].endswith(end)]


def line(kind: str, predictions: Rows, lesions: Rows) -> str:
    """A row of the table; a kind without slides has an empty one."""
    tumour, normal = (of_kind(predictions, names) for names in KINDS[kind])
    if not tumour or not normal:
        return f"| {kind} | 0 | | | |"
    scores = [float(row["p_tumor"]) for row in (*tumour, *normal)]
    area = auc([1] * len(tumour) + [0] * len(normal), scores)
    called = np.mean([row["called"] == "tumor" for row in tumour])
    depths = [name for name in (lesions[0] if lesions else {}) if name.startswith("met_depth")]
    mine = of_kind(lesions, KINDS[kind][0])
    met = (np.mean([int(row[depth]) for row in mine if row[depth]]) for depth in depths)
    recalls = ", ".join(f"{value:.2f}" for value in met) if mine else ""
    return f"| {kind} | {len(tumour)} | {area:.3f} | {called:.2f} | {recalls} |"


def rows_of(path: Path) -> Rows:
    """The rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path)
    parser.add_argument("lesions", type=Path)
    args = parser.parse_args(arguments)
    predictions, lesions = rows_of(args.predictions), rows_of(args.lesions)
    print("| slides | with tumour | AUC | called tumour | lesions met, coarse to fine |")
    print("|---|---|---|---|---|")
    for kind in KINDS:
        print(line(kind, predictions, lesions))


if __name__ == "__main__":
    main()

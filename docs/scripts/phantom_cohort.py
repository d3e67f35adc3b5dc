"""Write a cohort of phantom slides, and the table that names them.

    python docs/scripts/phantom_cohort.py DIR [--slides 24] [--size 4096] [--seed 0]

About half of the slides hold lesions. Every patient has two slides: a normal one and a tumour, or
two of a kind; the last third of the patients are the test set. Slides that are there already are
kept, so that a run that was killed goes on. Writes DIR/COHORT.csv, with the outlines of the lesions
in its truth column.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.phantom import PhantomConfig, write_phantom

#: Lesions of a tumour slide: how many, in turn, and their smallest and largest diameter, µm.
COUNTS, DIAMETERS_UM = (2, 1, 3), (150.0, 600.0)

#: Seeds of the slides of one cohort; another --seed gives slides of which none is in this one.
MOST_SLIDES = 100_000


@dataclass(frozen=True)
class Row:
    """A slide of the cohort."""

    name: str
    label: str
    patient: str
    split: str
    config: PhantomConfig


def rows(n: int, size: int, seed: int) -> list[Row]:
    """The slides to draw."""
    patients = n // 2
    made = []
    for i in range(2 * patients):
        patient = i // 2
        # Patients in threes: one of both kinds, one of tumours, one of normal slides.
        is_tumour = (i % 2 == 1, True, False)[patient % 3]
        made.append(
            Row(
                name=f"{('normal', 'tumor')[is_tumour]}-{i:03d}",
                label=("normal", "tumor")[is_tumour],
                patient=f"patient-{patient:03d}",
                split="test" if patient >= patients - patients // 3 else "",
                config=PhantomConfig(
                    seed=seed * MOST_SLIDES + i,
                    size=size,
                    lesions=COUNTS[i % len(COUNTS)] if is_tumour else 0,
                    lesion_diameters_um=DIAMETERS_UM,
                ),
            )
        )
    return made


def draw(row: Row, folder: Path) -> None:
    """Write a slide and its truth, unless they are there."""
    path = folder / f"{row.name}.tiff"
    if not path.exists():
        write_phantom(path, row.config)
    if bool(read_polygons(path.with_suffix(".geojson"))) != (row.label == "tumor"):
        raise SystemExit(f"{row.name} has no room for a lesion; take another --seed or --size")


def write_table(some: list[Row], path: Path) -> None:
    """The table, all or nothing."""
    draft = path.with_suffix(".part")
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["slide", "label", "patient", "split", "truth"])
        for row in some:
            writer.writerow(
                [f"{row.name}.tiff", row.label, row.patient, row.split, f"{row.name}.geojson"]
            )
    draft.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--slides", type=int, default=24, help="how many; an even number")
    parser.add_argument("--size", type=int, default=4096, help="px of a side")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    some = rows(args.slides, args.size, args.seed)
    started = time.perf_counter()
    for n, row in enumerate(some, start=1):
        draw(row, args.out)
        print(f"[{n}/{len(some)}] {row.name}, {time.perf_counter() - started:.0f} s", flush=True)
    write_table(some, args.out / "COHORT.csv")


if __name__ == "__main__":
    main()

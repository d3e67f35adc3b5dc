"""A cohort to read once: slides laid from the patients of whom no other slide was ever laid.

    python docs/scripts/blind_cohort.py --data DIR --out DIR
    napari-hagmil encode OUT/cohort.csv --store OUT/features --depths 1,0.5,0.25 --patch-size 64
    napari-hagmil evaluate OUT/cohort.csv --store OUT/features --model BUNDLE --out OUT/read

mosaic_cohort.py leaves out patients with fewer than eight patches without carcinoma, or fewer than
three with. Here slides are laid from these, if they have four and one. They have few patches, so
that each is laid many times in a slide, turned or mirrored; what is printed at the end says how
often. Slides are of four kinds, said by their names:

- *normal*: no tumour, eight patients;
- *small*, *usual*, *large*: tumour on 0.3–1 %, 1–8 % and 8–25 % of the slide, eight patients;
- *alone*: of one patient; each who has eight of the former gives a slide with tumour (1–8 %) and
  one without.

Only made and read when the models are frozen. Nothing made from these patches is shipped.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import ge
from pathlib import Path

import numpy as np
from mosaic_cohort import (
    SIDE,
    Palette,
    by_patient,
    enough,
    lay,
    tumour_cells,
    write_pyramid,
    write_truth,
)

#: Fewest patches of class 0 and of class 1 of a patient from whom slides are laid.
FEWEST = (4, 1)

#: Fewest patches of class 0 of a patient who gives slides alone.
ALONE = 8

#: Patients of a slide, and slides with tumour of each size.
PATIENTS, SLIDES = 8, 24

#: Size of the tumour → its share of the slide.
SHARES = {"small": (0.003, 0.01), "usual": (0.01, 0.08), "large": (0.08, 0.25)}


@dataclass(frozen=True)
class Planned:
    """A slide to lay: its name, the share of it that is tumour (none: normal), and its patients."""

    name: str
    shares: tuple[float, float] | None
    patients: Palette


def never_laid(path: Path) -> Palette:
    """The patients of whom mosaic_cohort.py lays nothing, and who have patches enough for this."""
    return [
        own
        for own in by_patient(path).values()
        if not enough(own) and all(map(ge, map(len, own), FEWEST))
    ]


def planned(everyone: Palette, seed: int) -> Iterator[Planned]:
    """The slides of every kind; their patients are drawn the same way whatever the kind."""
    kinds = {"normal": None, **SHARES}
    for number, (kind, shares) in enumerate(kinds.items()):
        for i in range(SLIDES * (2 if kind == "normal" else 1)):
            rng = np.random.default_rng((seed, number, i))
            chosen = rng.permutation(len(everyone))[:PATIENTS]
            yield Planned(f"{kind}-{i:02d}", shares, [everyone[j] for j in chosen])
    for i, own in enumerate(own for own in everyone if len(own[0]) >= ALONE):
        yield Planned(f"alone-{i:02d}-tumour", SHARES["usual"], [own])
        yield Planned(f"alone-{i:02d}-normal", None, [own])


def write_slide(slide: Planned, out: Path, seed: Sequence[int]) -> tuple[str, ...]:
    """Lay a slide, and its truth; its row of the table."""
    rng = np.random.default_rng(seed)
    cells = np.zeros((SIDE, SIDE), dtype=bool)
    if slide.shares:
        cells = tumour_cells(rng, slide.shares)
        write_truth(out / f"{slide.name}.geojson", cells)
    write_pyramid(out / f"{slide.name}.tiff", lay(slide.patients, cells, rng))
    truth, label = (f"{slide.name}.geojson", "tumor") if slide.shares else ("", "normal")
    return f"{slide.name}.tiff", label, slide.name, "test", truth


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds idc_patches.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    everyone = never_laid(args.data / "idc_patches.npz")
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "cohort.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("slide", "label", "patient", "split", "truth"))
        for i, slide in enumerate(planned(everyone, args.seed)):
            writer.writerow(write_slide(slide, args.out, (args.seed, 9, i)))
    print(told(everyone))


def told(everyone: Palette) -> str:
    """How many patients and patches there are, and how often a patch is laid in a slide."""
    normal, tumour = (sum(len(own[label]) for own in everyone) for label in (0, 1))
    alone = [len(own[0]) for own in everyone if len(own[0]) >= ALONE]
    cells, often = SIDE * SIDE, SIDE * SIDE / PATIENTS * len(everyone) / normal
    return (
        f"{len(everyone)} patients ({len(alone)} alone), {normal} patches without carcinoma and "
        f"{tumour} with. A patch is laid {often:.0f} times in a slide of {PATIENTS} patients, "
        f"{cells / np.median(alone):.0f} times in one of one patient"
    )


if __name__ == "__main__":
    main()

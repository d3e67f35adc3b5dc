"""Draw the phantom slides that the demo model learns from, and those it is judged on.

    python docs/scripts/demo_cohort.py DIR [--learn 160] [--held-out 60] [--size PX]
    napari-hagmil encode DIR/COHORT.csv --store DIR/features
    napari-hagmil train DIR/COHORT.csv --store DIR/features --out DIR/trained \
        --config docs/protocols/demo.toml
    python docs/scripts/demo_card.py bundle DIR/trained/runs/demo/seed-0/model.hagmil \
        DIR/demo.hagmil
    napari-hagmil evaluate DIR/HELD_OUT.csv --model DIR/demo.hagmil --chance 0 --out DIR/held-out
    python docs/scripts/demo_card.py card DIR/demo.hagmil DIR/held-out --out DIR/model-card.md

Writes DIR/COHORT.csv, small slides for training, validation and a first test, and DIR/HELD_OUT.csv,
larger ones that nothing was chosen on. Every patient has one normal slide and one with tumour; the
outlines stand in the truth column, for measuring only. Slides that are there already are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from phantom_cohort import Row, draw, write_table

from napari_hagmil.phantom import PhantomConfig

#: Seeds of the slides to learn from, and of those held out: no slide of one is one of the other.
LEARN, HELD_OUT = 2_000_000, 2_100_000

#: How many slides of either.
N_LEARN, N_HELD_OUT = 160, 60

#: px of a side, in turn; held-out slides are larger than those of the training.
LEARN_SIZES, HELD_OUT_SIZES = (4096, 5120, 6144), (9216, 10240, 11264)

#: Smallest and largest lesion diameter, µm, of the slides with tumour, in turn; and how many.
LEARN_LESIONS_UM, HELD_OUT_LESIONS_UM = (
    ((150.0, 220.0), (150.0, 1000.0)),
    ((150.0, 200.0), (150.0, 3000.0), (150.0, 200.0), (150.0, 1000.0)),
)
COUNTS = (2, 3, 1, 4)

#: Patients in eights: so many of them train, then validate, the rest test.
TRAIN, VAL = 5, 7


def learn(n: int, sizes: tuple[int, ...] = LEARN_SIZES) -> list[Row]:
    """The slides of COHORT.csv."""
    return [_row("learn", i, LEARN, sizes, LEARN_LESIONS_UM) for i in range(n)]


def held_out(n: int, sizes: tuple[int, ...] = HELD_OUT_SIZES) -> list[Row]:
    """The slides of HELD_OUT.csv."""
    return [_row("held-out", i, HELD_OUT, sizes, HELD_OUT_LESIONS_UM) for i in range(n)]


def _row(
    part: str,
    i: int,
    first_seed: int,
    sizes: tuple[int, ...],
    lesions_um: tuple[tuple[float, float], ...],
) -> Row:
    patient, is_tumour = i // 2, i % 2 == 1
    place = patient % 8
    split = "train" if place < TRAIN else "val" if place < VAL else "test"
    return Row(
        name=f"{part}-{i:03d}",
        label=("normal", "tumor")[is_tumour],
        patient=f"{part}-patient-{patient:03d}",
        split=split if part == "learn" else "test",
        config=PhantomConfig(
            seed=first_seed + i,
            size=sizes[patient % len(sizes)],
            lesions=COUNTS[patient // 2 % len(COUNTS)] if is_tumour else 0,
            lesion_diameters_um=lesions_um[patient // len(sizes) % len(lesions_um)],
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("--learn", type=int, default=N_LEARN, help="how many slides; even")
    parser.add_argument("--held-out", type=int, default=N_HELD_OUT, help="how many slides; even")
    parser.add_argument("--size", type=int, help="px of a side of every slide, for a quick try")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sizes = ((args.size,), (args.size,)) if args.size else (LEARN_SIZES, HELD_OUT_SIZES)
    parts = (learn(args.learn, sizes[0]), held_out(args.held_out, sizes[1]))
    for table, rows in zip(("COHORT", "HELD_OUT"), parts, strict=True):
        for row in rows:
            draw(row, args.out)
            print(row.name, flush=True)
        write_table(rows, args.out / f"{table}.csv")


if __name__ == "__main__":
    main()

"""A cohort of slides laid from real H&E patches, with labels that need the search.

    python docs/scripts/mosaic_cohort.py --data DIR --out DIR
    napari-hagmil encode OUT/cohort.csv --store OUT/features --depths 1,0.5,0.25 --patch-size 64
    napari-hagmil protocol OUT/cohort.csv --store OUT/features --out OUT/results \
        --config docs/protocols/mosaic.toml

DIR holds idc_patches.npz: 50-px patches with patient and label (invasive ductal carcinoma or not;
Cruz-Roa et al. 2014). Patients are divided first, so that training, validation and test slides
share none. A negative slide has patches of class 0 alone; a positive one 1–8 % of class 1, in one
to three clusters. Nothing made from these patches is shipped.

A slide is laid from a few patients, since one has too few patches (median: 20 of class 0, 6 of
class 1). They are drawn the same way whatever the label, only patients with patches of both
classes are, and every cell, tumour or not, takes one of the slide's patients with equal chance:
whose patches they are, and how they are stained, says nothing of the label. With ``--patients 0``
every slide is laid from all patients of its part, and all slides have the same background.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import ge
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

#: Patches of a side, and px of a patch after it is enlarged to fill the encoder's.
SIDE, PATCH = 24, 64
MPP, LEVELS = 0.25, 3

#: Least and greatest share of a slide that is tumour, where there is any.
SHARES = (0.01, 0.08)

#: Share of the patients that the slides of each part come from.
PARTS = {"train": 0.55, "val": 0.20, "test": 0.25}

#: A patch brighter than this on average is glass or fat, as every slide has around its tissue.
BRIGHT = 225

#: Fewest patches of class 0 and of class 1 of a patient from whom slides are laid.
FEWEST = (8, 3)

#: Kept whole to be rebuilt as a slide (rebuild_slide.py): in no part, should its patches be there.
LEFT_OUT = 14082

Palette = Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]
"""The patches of class 0 and of class 1 of some patients, (n, 50, 50, 3) each."""


@dataclass(frozen=True)
class Plan:
    """Slides of each part, patients that each is laid from (0: all), and the seed."""

    slides: tuple[int, ...]
    patients: int
    seed: int


def by_patient(path: Path) -> dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Every patient's patches that are not pale, of class 0 and of class 1."""
    data = np.load(path)
    pixels, label, patient = data["patches"], data["label"], data["patient"]
    dense = (pixels.mean((1, 2, 3)) < BRIGHT) & (patient != LEFT_OUT)
    found = {}
    for who in np.unique(patient):
        mine = dense & (patient == who)
        found[int(who)] = (pixels[mine & (label == 0)], pixels[mine & (label == 1)])
    return found


def enough(own: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> bool:
    """Whether slides are laid from the patient that has these patches."""
    return all(map(ge, map(len, own), FEWEST))


def palettes(path: Path, seed: int) -> dict[str, Palette]:
    """The patients of each part; none is in two of them."""
    everyone = by_patient(path)
    patients = np.random.default_rng(seed).permutation(sorted(everyone))
    ends = np.cumsum([0, *PARTS.values()]) * len(patients)
    found: dict[str, Palette] = {}
    for part, (start, stop) in zip(PARTS, pairwise(ends), strict=True):
        each = (everyone[who] for who in patients[round(start) : round(stop)])
        found[part] = [own for own in each if enough(own)]
    return found


def tumour_cells(
    rng: np.random.Generator, shares: tuple[float, float] = SHARES
) -> NDArray[np.bool_]:
    """Cells of some share of the grid in one to three grown clusters, (SIDE, SIDE)."""
    cells = np.zeros((SIDE, SIDE), dtype=bool)
    wanted = max(int(rng.uniform(*shares) * SIDE * SIDE), 1)
    for _ in range(rng.integers(1, 4)):
        cells[tuple(rng.integers(SIDE, size=2))] = True
    while cells.sum() < wanted:
        rim = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~cells
        at = np.argwhere(rim)
        cells[tuple(at[rng.integers(len(at))])] = True
    return cells


def lay(palette: Palette, cells: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A slide, (SIDE · PATCH, SIDE · PATCH, 3): drawn patches, turned and mirrored."""
    slide = np.empty((SIDE * PATCH, SIDE * PATCH, 3), dtype=np.uint8)
    for row, column in np.ndindex(cells.shape):
        pool = palette[rng.integers(len(palette))][int(cells[row, column])]
        patch = np.rot90(pool[rng.integers(len(pool))], rng.integers(4))
        patch = patch[:, ::-1] if rng.random() < 0.5 else patch
        slide[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] = enlarged(
            patch
        )
    return slide


def enlarged(patch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A patch of the size that the encoder sees, (PATCH, PATCH, 3)."""
    large = cv2.resize(np.ascontiguousarray(patch), (PATCH, PATCH), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, dtype=np.uint8)


def write_pyramid(path: Path, image: NDArray[np.uint8]) -> None:
    """Tiled TIFF with levels halved by area."""
    with tifffile.TiffWriter(path) as tiff:
        for level in range(LEVELS):
            size = 2**level
            tiff.write(
                cv2.resize(image, None, fx=1 / size, fy=1 / size, interpolation=cv2.INTER_AREA),
                tile=(256, 256),
                compression="zlib",
                photometric="rgb",
                subfiletype=int(level > 0),
                resolution=(1e4 / MPP / size, 1e4 / MPP / size),
                resolutionunit="CENTIMETER",
            )


def write_truth(path: Path, cells: NDArray[np.bool_]) -> None:
    """Outlines of the clusters as GeoJSON, level-0 px."""
    contours, _ = cv2.findContours(
        np.kron(cells.astype(np.uint8), np.ones((4, 4), np.uint8)),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_SIMPLE,
    )
    features = []
    for contour in contours:
        low = contour.reshape(-1, 2).min(0)
        ring = np.rint(
            (contour.reshape(-1, 2) + (contour.reshape(-1, 2) > low)) * PATCH / 4
        ).tolist()
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
                "properties": {"classification": {"name": "Tumor"}},
            }
        )
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_cohort(source: Path, out: Path, plan: Plan) -> None:
    """Write all slides, their truths, and cohort.csv; every second slide of a part has tumour."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (part, everyone) in enumerate(palettes(source, plan.seed).items()):
        for i in range(plan.slides[number]):
            # Its own generator: a larger cohort has the slides of a smaller one, and more.
            rng = np.random.default_rng((plan.seed, number, i))
            name, tumour = f"{part}-{i:03d}", i % 2 == 1
            chosen = rng.permutation(len(everyone))[: plan.patients or None]
            cells = tumour_cells(rng) if tumour else np.zeros((SIDE, SIDE), dtype=bool)
            write_pyramid(out / f"{name}.tiff", lay([everyone[j] for j in chosen], cells, rng))
            if tumour:
                write_truth(out / f"{name}.geojson", cells)
            truth = f"{name}.geojson" if tumour else ""
            rows.append((f"{name}.tiff", "tumor" if tumour else "normal", name, part, truth))
    with (out / "cohort.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("slide", "label", "patient", "split", "truth"))
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds idc_patches.npz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--slides", type=int, nargs=3, default=(240, 60, 120), help="to train, validate and test"
    )
    parser.add_argument("--patients", type=int, default=8, help="of a slide; 0 for all")
    args = parser.parse_args(arguments)
    plan = Plan(tuple(args.slides), args.patients, args.seed)
    write_cohort(args.data / "idc_patches.npz", args.out, plan)


if __name__ == "__main__":
    main()

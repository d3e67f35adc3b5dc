"""A cohort of slides laid from real H&E patches, with labels that need the search.

    python docs/scripts/mosaic_cohort.py --data DIR --out DIR
    napari-hagmil encode OUT/cohort.csv --store OUT/features --depths 1,0.5,0.25 --patch-size 64
    napari-hagmil protocol OUT/cohort.csv --store OUT/features --out OUT/results \
        --config docs/protocols/mosaic.toml

DIR holds idc_patches.npz: 50-px patches with patient and label (invasive ductal carcinoma or not;
Cruz-Roa et al. 2014). Patients are divided first, so that training, validation and test slides
share none. A negative slide has patches of class 0 alone; a positive one 1–8 % of class 1, in one
to three clusters. Nothing made from these patches is shipped.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

#: Patches of a side, and px of a patch after it is enlarged to fill the encoder's.
SIDE, PATCH = 24, 64
MPP, LEVELS = 0.25, 3

#: Slides of each part, and the share of the patients that they come from.
PARTS = {"train": (80, 0.55), "val": (30, 0.20), "test": (60, 0.25)}

#: A patch brighter than this on average is glass or fat, as every slide has around its tissue.
BRIGHT = 225


@dataclass(frozen=True)
class Patches:
    """Patches that can be laid: those without and with tumour."""

    normal: NDArray[np.uint8]
    tumour: NDArray[np.uint8]


def pools(path: Path, seed: int) -> dict[str, Patches]:
    """Patches of each part; no patient is in two of them."""
    data = np.load(path)
    pixels, label, patient = data["patches"], data["label"], data["patient"]
    dense = pixels.mean((1, 2, 3)) < BRIGHT
    patients = np.random.default_rng(seed).permutation(np.unique(patient))
    ends = np.cumsum([0, *(share for _, share in PARTS.values())]) * len(patients)
    found = {}
    for part, (start, stop) in zip(PARTS, pairwise(ends), strict=True):
        mine = np.isin(patient, patients[round(start) : round(stop)]) & dense
        found[part] = Patches(pixels[mine & (label == 0)], pixels[mine & (label == 1)])
    return found


def tumour_cells(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Cells of 1–8 % of the grid in one to three grown clusters, (SIDE, SIDE)."""
    cells = np.zeros((SIDE, SIDE), dtype=bool)
    wanted = max(int(rng.uniform(0.01, 0.08) * SIDE * SIDE), 1)
    for _ in range(rng.integers(1, 4)):
        cells[tuple(rng.integers(SIDE, size=2))] = True
    while cells.sum() < wanted:
        rim = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~cells
        at = np.argwhere(rim)
        cells[tuple(at[rng.integers(len(at))])] = True
    return cells


def lay(patches: Patches, cells: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A slide, (SIDE · PATCH, SIDE · PATCH, 3): drawn patches, turned and mirrored."""
    slide = np.empty((SIDE * PATCH, SIDE * PATCH, 3), dtype=np.uint8)
    for row, column in np.ndindex(cells.shape):
        pool = patches.tumour if cells[row, column] else patches.normal
        patch = np.rot90(pool[rng.integers(len(pool))], rng.integers(4))
        patch = patch[:, ::-1] if rng.random() < 0.5 else patch
        large = cv2.resize(
            np.ascontiguousarray(patch), (PATCH, PATCH), interpolation=cv2.INTER_CUBIC
        )
        slide[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] = large
    return slide


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


def write_cohort(
    source: Path, out: Path, seed: int, scale: float, first: dict[str, int] | None = None
) -> None:
    """Write all slides, their truths, and cohort.csv, which names the `first` of each part."""
    out.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(seed), []
    for part, patches in pools(source, seed).items():
        for i in range(max(round(PARTS[part][0] * scale), 4)):
            name, tumour = f"{part}-{i:03d}", i % 2 == 1
            cells = tumour_cells(rng) if tumour else np.zeros((SIDE, SIDE), dtype=bool)
            write_pyramid(out / f"{name}.tiff", lay(patches, cells, rng))
            if tumour:
                write_truth(out / f"{name}.geojson", cells)
            truth = f"{name}.geojson" if tumour else ""
            if first is None or i < first[part]:
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
    parser.add_argument("--scale", type=float, default=1.0, help="share of the slides")
    parser.add_argument("--first", type=int, nargs=3, help="slides of each part in the table")
    args = parser.parse_args(arguments)
    first = dict(zip(PARTS, args.first, strict=True)) if args.first else None
    write_cohort(args.data / "idc_patches.npz", args.out, args.seed, args.scale, first)


if __name__ == "__main__":
    main()

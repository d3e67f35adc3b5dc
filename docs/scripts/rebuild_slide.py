"""One real slide rebuilt from its patches, read by a cascade, and held against its tumour map.

    python docs/scripts/rebuild_slide.py --data DIR --model BUNDLE.hagmil --out DIR

DIR holds idc_slide_14082.npz: all 50-px patches of one slide (Cruz-Roa et al. 2014), with their
places and whether each is carcinoma. They are laid as mosaic_cohort.py lays its slides, from other
patients: train the model on those. The slide is read twice with `napari-hagmil analyze`, once at
the model's budget and once with every place, and the picture shows both beside the truth. None of
these files may be shipped: the pixels belong to others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from mosaic_cohort import PATCH, enlarged, write_pyramid
from numpy.typing import NDArray

from napari_hagmil.cli import main as napari_hagmil
from napari_hagmil.evaluation.metrics import auc

#: px of a patch where it was cut.
STEP = 50

DEPTHS = 3

#: px of a finest place in the picture, and between its panels.
CELL, GAP = 12, 24

NAMES = ("10x", "20x", "40x")


def read_patches(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Rebuild a slide, (rows · PATCH, columns · PATCH, 3), and its truth, (rows, columns).

    The truth is 1 where a patch is carcinoma, 0 where it is not, NaN where none was kept: white.
    """
    data = np.load(path)
    places = np.stack([data["y"], data["x"]], axis=1) // STEP
    places -= places.min(0)
    shape = places.max(0) + 1
    slide = np.full((*(shape * PATCH), 3), 255, dtype=np.uint8)
    truth = np.full(shape, np.nan)
    for (row, column), patch, label in zip(places, data["patches"], data["label"], strict=True):
        y, x = row * PATCH, column * PATCH
        slide[y : y + PATCH, x : x + PATCH] = enlarged(patch)
        truth[row, column] = label
    return slide, truth


def coarser(truth: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Share of carcinoma among the patches below each coarser place; NaN where there are none."""
    rows, columns = (-(-side // size) for side in truth.shape)
    whole = np.full((rows * size, columns * size), np.nan)
    whole[: truth.shape[0], : truth.shape[1]] = truth
    blocks = whole.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(rows, columns, -1)
    laid = np.isfinite(blocks).sum(-1)
    share = np.nansum(blocks, axis=-1) / np.maximum(laid, 1)
    return np.where(laid > 0, share, np.nan)


def attention_of(folder: Path, shape: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Percentile of the attention at every place of each depth; NaN where it was not looked at."""
    table = pq.read_table(folder / "nodes.parquet").to_pydict()
    depth, score = np.array(table["depth"]), np.array(table["score"], dtype=float)
    row, column = np.array(table["row"]), np.array(table["column"])
    maps = []
    for d in range(DEPTHS):
        size = 2 ** (DEPTHS - 1 - d)
        maps.append(np.full([-(-side // size) for side in shape], np.nan))
        inside = (depth == d) & (row < maps[d].shape[0]) & (column < maps[d].shape[1])
        maps[d][row[inside], column[inside]] = score[inside]
    return maps


def figures_of(
    maps: Sequence[NDArray[np.float64]], truth: NDArray[np.float64]
) -> list[tuple[float, int, int]]:
    """Of each depth: AUC of the attention, places seen, and of these on tumour.

    A place is on tumour when half of its patches or more are; places without a patch do not count.
    """
    found = []
    for d, values in enumerate(maps):
        share = coarser(truth, 2 ** (DEPTHS - 1 - d))
        seen = np.isfinite(values) & np.isfinite(share)
        tumour = share[seen] >= 0.5
        found.append((auc(tumour, values[seen]), int(seen.sum()), int(tumour.sum())))
    return found


def told(area: float, seen: int, tumour: int) -> str:
    """Figures of a depth in words; there is no AUC where all places lie on one side."""
    return f"AUC {area:.3f}, {tumour} of {seen} places on tumour".replace("AUC nan", "no AUC")


def panel(
    slide: NDArray[np.uint8], values: NDArray[np.float64], size: int, title: str
) -> NDArray[np.uint8]:
    """The slide, grey, with a map of 0 … 100 in colour over it and a title above."""
    rows, columns = (side // PATCH * CELL for side in slide.shape[:2])
    ground = cv2.resize(slide, (columns, rows), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(cv2.cvtColor(ground, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    large = np.kron(values, np.ones((size * CELL,) * 2))[:rows, :columns]
    colours = cv2.applyColorMap(np.nan_to_num(large * 2.55).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    tinted = np.where(
        np.isfinite(large)[..., None], 0.35 * grey + 0.65 * colours[..., ::-1], 0.5 * grey + 127.5
    ).astype(np.uint8)
    return titled(tinted, title)


def titled(picture: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    """A picture under a line of text."""
    head = np.full((44, picture.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(head, title, (4, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([head, picture])


def picture_of(
    slide: NDArray[np.uint8],
    truth: NDArray[np.float64],
    predictions: dict[str, tuple[list[NDArray[np.float64]], list[tuple[float, int, int]]]],
) -> NDArray[np.uint8]:
    """Slide and truth in the first column, then one column per depth and one row per reading."""
    ground = cv2.resize(slide, None, fx=CELL / PATCH, fy=CELL / PATCH, interpolation=cv2.INTER_AREA)
    first = [titled(ground, "slide"), panel(slide, truth * 100, 1, "truth: carcinoma yellow")]
    lines = []
    for left, (name, (maps, scores)) in zip(first, predictions.items(), strict=True):
        columns = [left]
        for d, values in enumerate(maps):
            title = f"{NAMES[d]}, {name}: {told(*scores[d])}"
            columns.append(panel(slide, values, 2 ** (DEPTHS - 1 - d), title))
        gap = np.full((left.shape[0], GAP, 3), 255, dtype=np.uint8)
        lines.append(np.concatenate([part for c in columns for part in (c, gap)][:-1], axis=1))
    return np.concatenate(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds idc_slide_14082.npz")
    parser.add_argument("--model", required=True, help="a bundle, trained on other patients")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    slide, truth = read_patches(args.data / "idc_slide_14082.npz")
    path = args.out / "slide-14082.tiff"
    write_pyramid(path, slide)
    predictions = {}
    for name, more in (("cascade", ()), ("all read", ("--exhaustive",))):
        folder = args.out / name.replace(" ", "-")
        command = ["analyze", str(path), "--model", args.model, "--out", str(folder), *more]
        if napari_hagmil(command) != 0:
            raise SystemExit(1)
        maps = attention_of(folder, truth.shape)
        predictions[name] = (maps, figures_of(maps, truth))
        for d, (area, seen, tumour) in enumerate(predictions[name][1]):
            print(f"{name}, {NAMES[d]}: {told(area, seen, tumour)}")
    cv2.imwrite(str(args.out / "attention.png"), picture_of(slide, truth, predictions)[..., ::-1])


if __name__ == "__main__":
    main()

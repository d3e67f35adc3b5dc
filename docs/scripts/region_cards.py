"""How many cards of the review a planted lesion makes, on fresh phantoms.

    python docs/scripts/region_cards.py DIR [--slides 24] [--gap 0 150]

Draws phantoms with lesions that no model has seen (slides that are there already are kept), runs
the demo model on them with its own budget, and prints a table: with the gap that makes one region
of patches, and without one. A card is a region. It meets a lesion when one of its patches does, by
the rule of `napari_hagmil.evaluation.localisation`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from napari_hagmil.attention import attention_map, cut_to_tissue, find_regions
from napari_hagmil.attention.grouping import GAP_UM
from napari_hagmil.cascade import SlideResult
from napari_hagmil.evaluation.localisation import meeting
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.pipeline import analyze_with
from napari_hagmil.polygons import Rings, shape_of
from napari_hagmil.prepare import Options, load_model
from napari_hagmil.slide import open_slide

#: Seeds of these slides: none is among those of the demo model's cohorts.
SEED = 2_200_000

#: px of a side, lesions of a slide, and their smallest and largest diameter, µm, in turn.
SIZES, COUNTS = (9216, 12288, 16384), (2, 1, 3, 4)
DIAMETERS_UM = ((150.0, 220.0), (150.0, 3000.0), (150.0, 1000.0), (400.0, 3000.0))

#: Lesions whose edges are farther apart must not share a card, µm.
APART_UM = 500.0


@dataclass
class Count:
    """What was counted with one gap.

    Attributes
    ----------
    cards : list of int
        Of each lesion: the cards that meet it.
    total, on_lesions : int
        Cards, and those that meet a lesion.
    shared_um : list of float
        How far apart the edges of lesions are that share a card.
    first : list of bool
        Of each slide: whether its first card meets a lesion.
    """

    cards: list[int]
    total: int
    on_lesions: int
    shared_um: list[float]
    first: list[bool]


def slides(folder: Path, n: int) -> Iterator[tuple[SlideResult, list[Rings]]]:
    """Results and planted lesions of the phantoms, drawn where they are missing."""
    loaded = load_model("demo", device="cpu")
    for i in range(n):
        path = folder / f"cards-{i:02d}.tiff"
        if not path.exists():
            lesions = COUNTS[i // len(COUNTS) % len(COUNTS)]
            config = PhantomConfig(
                SEED + i, SIZES[i % len(SIZES)], lesions, DIAMETERS_UM[i % len(DIAMETERS_UM)]
            )
            write_phantom(path, config)
        with open_slide(path) as slide:
            yield (
                analyze_with(loaded, slide, Options(device="cpu")),
                read_polygons(path.with_suffix(".geojson")),
            )


def count(found: Count, result: SlideResult, lesions: Sequence[Rings], gap_um: float) -> None:
    """Add the cards of one slide."""
    stage, slide = result.stages[-1], result.slide
    grid = result.grids[stage.depth]
    amap = attention_map(grid, stage.nodes, stage.attention)
    regions = find_regions(
        amap, mpp=slide.mpp, slide_shape=(slide.height, slide.width), gap_um=gap_um
    )
    if result.tissue is not None:
        regions = cut_to_tissue(regions, result.tissue, mpp=slide.mpp)
    met = np.zeros((len(regions), len(lesions)), bool)
    for i, region in enumerate(regions):
        boxes = np.array([patch.box for patch in region.patches])
        nodes = grid.address((boxes[:, :2] + boxes[:, 2:]) / 2)
        met[i] = [meeting(lesion, grid, nodes).any() for lesion in lesions]
    found.cards += met.sum(axis=0).tolist()
    found.total += len(regions)
    found.on_lesions += int(met.any(axis=1).sum())
    found.first.append(bool(met[0].any()))
    shapes = [shape_of(lesion) for lesion in lesions]
    for row in met:
        pairs = combinations(np.flatnonzero(row), 2)
        found.shared_um += [shapes[a].distance(shapes[b]) * slide.mpp for a, b in pairs]


def rows(counts: dict[float, Count]) -> Iterator[str]:
    """The table."""
    yield "| | " + " | ".join(f"gap of {gap:g} µm" for gap in counts) + " |"
    yield "|---|" + "---|" * len(counts)
    met = {gap: np.array([n for n in one.cards if n]) for gap, one in counts.items()}
    lines = {
        "lesions with a card, of those planted": lambda g, c: f"{len(met[g])} of {len(c.cards)}",
        "cards per lesion: median": lambda g, c: f"{np.median(met[g]):g}",
        "mean": lambda g, c: f"{met[g].mean():.2f}",
        "most": lambda g, c: f"{met[g].max()}",
        "cards in all": lambda g, c: f"{c.total}",
        "of these on no lesion": lambda g, c: f"{c.total - c.on_lesions}",
        "slides whose first card is on a lesion": lambda g, c: f"{sum(c.first)} of {len(c.first)}",
        "pairs of lesions that share a card": lambda g, c: f"{len(c.shared_um)}",
        "the farthest of these, edge to edge": lambda g, c: f"{max(c.shared_um, default=0):.0f} µm",
        f"pairs more than {APART_UM:g} µm apart": lambda g, c: (
            f"{sum(um > APART_UM for um in c.shared_um)}"
        ),
    }
    for name, value in lines.items():
        yield f"| {name} | " + " | ".join(value(gap, one) for gap, one in counts.items()) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--slides", type=int, default=24)
    parser.add_argument("--gap", type=float, nargs="+", default=[0.0, GAP_UM], metavar="UM")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    counts = {gap: Count([], 0, 0, [], []) for gap in args.gap}
    for result, lesions in slides(args.folder, args.slides):
        for gap, found in counts.items():
            count(found, result, lesions, gap)
    print("\n".join(rows(counts)))


if __name__ == "__main__":
    main()

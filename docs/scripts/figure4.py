"""The paper's Figure 4: a slide, its truth, CLAM-SB's heat map, and HAG-MIL's at every depth.

    python docs/scripts/figure4.py COHORT.csv --store DIR --clam BUNDLE --hagmil BUNDLE --out OUT

Both models are read on all test slides of the table; stored features are taken, and the slides
themselves only for the picture. Writes OUT/figure4.png, of the slide with outlines on which HAG-MIL
points neither best nor worst (or --slide NAME), OUT/figure4.csv, a row per slide, and
OUT/figure4.md, the figures over all test slides:

- *pointing*: AUC of the attention, nodes on a lesion against nodes beside it, mean over slides with
  outlines on which both were looked at;
- *share on truth*: attention that lies on lesions, and what it would be if spread evenly;
- *FROC*: sensitivity for lesions at 1/4, 1/2, 1, 2, 4 and 8 false detections per slide, and their
  mean. A detection is a node of the finest depth with no higher one beside it; its score is its
  attention, in multiples of an even spread over the tissue, times the slide's probability of the
  last class.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_hagmil.attention import attention_map
from napari_hagmil.cascade import Stage
from napari_hagmil.cascade.run import run_over
from napari_hagmil.cohort import SlideRecord, read_cohort
from napari_hagmil.evaluation.evaluate import EvaluableSlide, stored
from napari_hagmil.evaluation.localisation import attention_auc, meeting
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.geometry import Region, magnification_label
from napari_hagmil.models import CascadeModel, load_bundle
from napari_hagmil.polygons import Rings
from napari_hagmil.slide import open_slide, read_region

#: False detections per slide at which lesions are counted, as Camelyon16 has them.
RATES = (0.25, 0.5, 1, 2, 4, 8)

#: px of a side of a panel.
PANEL = 700


@dataclass(frozen=True)
class Detections:
    """What a model points at on one slide, at its finest depth.

    Attributes
    ----------
    scores : (n,)
        In descending order.
    lesions : (n, lesions)
        Which lesions each meets.
    """

    scores: NDArray[np.float64]
    lesions: NDArray[np.bool_]


@dataclass(frozen=True)
class Reading:
    """A model on one slide.

    Attributes
    ----------
    record : SlideRecord
    stages : list of Stage
    pointing : tuple of float
        By depth; NaN without outlines, or where all that was looked at lies on one side.
    share, even : float
        Attention of the finest depth on lesions; the same if it were spread evenly.
    detections : Detections
    """

    record: SlideRecord
    stages: list[Stage]
    pointing: tuple[float, ...]
    share: float
    even: float
    detections: Detections


Shown = tuple[CascadeModel, Reading]
"""A model, and what it made of the slide that is drawn."""


def read(record: SlideRecord, model: CascadeModel, slide: EvaluableSlide) -> Reading:
    """Run a model over a slide, and compare its attention with the outlines."""
    stages = run_over(model, slide.quadtree, slide.features)
    lesions = read_polygons(record.truth) if record.truth else []
    last, grids = stages[-1], slide.quadtree.grids
    inside = on_lesions(lesions, slide, last)
    n_tissue = len(slide.quadtree.nodes[-1])
    return Reading(
        record,
        stages,
        tuple(attention_auc(stage, grids[stage.depth], lesions) for stage in stages)
        if lesions
        else (),
        float(last.attention[inside.any(1)].sum()) if lesions else float("nan"),
        float(inside.any(1).mean()) if lesions else float("nan"),
        detections_of(last, inside, n_tissue),
    )


def on_lesions(lesions: Sequence[Rings], slide: EvaluableSlide, stage: Stage) -> NDArray[np.bool_]:
    """Which lesions each node of a stage meets, (n, lesions)."""
    grid = slide.quadtree.grids[stage.depth]
    met = [meeting(lesion, grid, stage.nodes) for lesion in lesions]
    return np.stack(met, axis=1) if met else np.zeros((len(stage.nodes), 0), dtype=bool)


def detections_of(stage: Stage, inside: NDArray[np.bool_], n_tissue: int) -> Detections:
    """Nodes with no higher one beside them, by their attention.

    An even spread over all tissue would give each node 1 on a slide that is certain to be positive.
    Nodes that a cascade did not look at have no attention.
    """
    left, kept = np.argsort(-stage.attention, kind="stable"), []
    while len(left):
        kept.append(left[0])
        far = np.abs(stage.nodes[left] - stage.nodes[left[0]]).max(axis=1) > 1
        left = left[far]
    scores = stage.attention[kept] * n_tissue * stage.probabilities[-1]
    return Detections(np.asarray(scores, dtype=np.float64), inside[kept])


def froc(detections: Sequence[Detections]) -> list[float]:
    """Sensitivity for lesions at each of `RATES` false detections per slide."""
    scores = np.concatenate([one.scores for one in detections])
    false = np.concatenate([~one.lesions.any(axis=1) for one in detections])
    n_lesions = sum(one.lesions.shape[1] for one in detections)
    found = []
    for rate in RATES:
        # The lowest score above which no more than so many are false.
        ranked = np.sort(scores[false])[::-1]
        allowed = int(rate * len(detections))
        limit = ranked[allowed] if allowed < len(ranked) else -np.inf
        met = sum(int(one.lesions[one.scores > limit].any(axis=0).sum()) for one in detections)
        found.append(met / max(n_lesions, 1))
    return found


def readings(records: Sequence[SlideRecord], model: CascadeModel, store: Path) -> Iterator[Reading]:
    """A model on every slide."""
    source = stored(store, model)
    for record in records:
        with source(record) as slide:
            yield read(record, model, slide)


def mean(values: Sequence[float]) -> float:
    """Of those that are defined."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def table(found: dict[str, list[Reading]]) -> str:
    """The figures over all slides, in Markdown."""
    rates = " | ".join(f"{rate:g}" for rate in RATES)
    lines = [
        f"| method | pointing by depth | share on truth | if even | {rates} | mean |",
        "|---" * (5 + len(RATES)) + "|",
    ]
    for name, some in found.items():
        told = [one for one in some if one.pointing]
        n_depths = max(len(one.pointing) for one in told)
        pointing = [mean([one.pointing[d] for one in told]) for d in range(n_depths)]
        sensitivity = froc([one.detections for one in some])
        cells = [
            name,
            ", ".join(f"{value:.3f}" for value in pointing),
            f"{mean([one.share for one in told]):.3f}",
            f"{mean([one.even for one in told]):.3f}",
            *(f"{value:.2f}" for value in (*sensitivity, np.mean(sensitivity))),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_rows(path: Path, found: dict[str, list[Reading]]) -> None:
    """A row per slide and method."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("method", "slide", "label", "depth", "pointing", "patches", "share"))
        for name, some in found.items():
            for one in some:
                for stage in one.stages:
                    pointing = one.pointing[stage.depth] if one.pointing else float("nan")
                    share = one.share if stage is one.stages[-1] else float("nan")
                    row = (name, one.record.name, one.record.label, stage.depth)
                    writer.writerow((*row, f"{pointing:.4f}", len(stage.nodes), f"{share:.4f}"))


def median_slide(some: Sequence[Reading]) -> str:
    """The slide on which the finest depth points neither best nor worst."""
    told = [one for one in some if one.pointing and np.isfinite(one.pointing[-1])]
    order = sorted(told, key=lambda one: one.pointing[-1])
    return order[len(order) // 2].record.name


def draw(
    path: Path,
    clam: tuple[CascadeModel, Reading],
    hagmil: tuple[CascadeModel, Reading],
    store: Path,
) -> None:
    """Slide, truth, CLAM-SB, and a panel per depth of HAG-MIL."""
    record = hagmil[1].record
    with open_slide(record.path) as slide:
        factor = max(slide.shape) / PANEL
        ground = read_region(slide, Region(0, 0, *slide.shape), mpp=slide.mpp * factor)
    lesions = read_polygons(record.truth) if record.truth else []
    panels: list[tuple[str, Shown | None, int]] = [
        ("slide", None, 0),
        ("truth", None, 0),
        ("CLAM-SB", clam, len(clam[1].stages) - 1),
    ]
    for depth, mpp in enumerate(hagmil[0].config.mpp):
        panels.append((f"HAG-MIL, {magnification_label(mpp)}", hagmil, depth))
    figure = Figure(figsize=(3.1 * len(panels), 3.6), layout="constrained")
    for i, (title, read_by, depth) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), i + 1)
        axes.imshow(ground, extent=(0, slide.shape[1], slide.shape[0], 0))
        if read_by is not None:
            shade(axes, read_by, depth, store)
        if title != "slide":
            outline(axes, lesions)
        axes.set(title=title, xticks=[], yticks=[])
        axes.set_xlim(0, slide.shape[1])
        axes.set_ylim(slide.shape[0], 0)
    figure.savefig(path, dpi=110)


def shade(axes: Axes, read_by: Shown, depth: int, store: Path) -> None:
    """Attention of one depth over the slide, as percentiles; nothing where nobody looked."""
    model, reading = read_by
    stage = reading.stages[depth]
    with stored(store, model)(reading.record) as slide:
        amap = attention_map(slide.quadtree.grids[depth], stage.nodes, stage.scores)
    height, width = amap.values.shape
    y, x = amap.origin
    extent = (x, x + width * amap.downsample, y + height * amap.downsample, y)
    axes.imshow(amap.values, cmap="magma", alpha=0.7, vmin=0, vmax=100, extent=extent)


def outline(axes: Axes, lesions: Sequence[Rings]) -> None:
    """Lesions as lines."""
    for rings in lesions:
        for ring in (rings.outer, *rings.holes):
            closed = np.concatenate([ring, ring[:1]])
            axes.plot(closed[:, 1], closed[:, 0], color="#00c8ff", linewidth=1.2)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path, metavar="COHORT.csv")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--clam", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--hagmil", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--slide", metavar="NAME", help="which to draw")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cohort = read_cohort(args.cohort, every_class=False)
    records = [record for record in cohort.records if record.split == "test"]
    models = {"CLAM-SB": load_bundle(args.clam), "HAG-MIL": load_bundle(args.hagmil)}
    found = {name: list(readings(records, model, args.store)) for name, model in models.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    write_rows(args.out / "figure4.csv", found)
    (args.out / "figure4.md").write_text(table(found), encoding="utf-8")
    wanted = args.slide or median_slide(found["HAG-MIL"])
    shown = {
        name: (models[name], next(one for one in some if one.record.name == wanted))
        for name, some in found.items()
    }
    draw(args.out / "figure4.png", shown["CLAM-SB"], shown["HAG-MIL"], args.store)
    print(table(found))


if __name__ == "__main__":
    main()

"""``analyze``: the cascade once, headless, and every file it leaves."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from napari_hagmil.attention import AttentionRegion, attention_map, find_regions
from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import SlideResult, Stage, Steering, load_steering
from napari_hagmil.export import Thumbnail, write_analysis
from napari_hagmil.export.geojson_reader import read_area
from napari_hagmil.export.result_json import result_document
from napari_hagmil.features import EncodingProgress
from napari_hagmil.files import require_writable
from napari_hagmil.geometry import Region, magnification_label, square_around
from napari_hagmil.models import load_bundle
from napari_hagmil.pipeline import analyze_slide
from napari_hagmil.prepare import Options
from napari_hagmil.slide import Slide, open_slide, read_scaled
from napari_hagmil.tissue import TissueMask, drawn_tissue

#: Long side of the overview, px, and side of a region's picture.
_OVERVIEW, _PICTURE = 1600, 256
#: Regions that get a picture in the report.
_N_PICTURES = 8


def analyze(arguments: argparse.Namespace) -> int:
    """Run the cascade on one slide and write what it found."""
    with open_slide(arguments.slide, mpp=arguments.mpp) as slide:
        slide.require_mpp()
        result = run_and_write(slide, arguments.model, _options(arguments, slide), arguments.out)
    if arguments.json:
        print(json.dumps(result_document(result), ensure_ascii=False))
    else:
        print(f"{slide.name}: {describe(result)}; files in {arguments.out}")
        for note in result.notes:
            print(f"  {note}")
    return 0


def run_and_write(slide: Slide, model: str, options: Options, out: Path) -> SlideResult:
    """Analyze an open slide and write every file of an analysis into `out`."""
    require_writable(out)
    with tqdm(unit="patch", disable=not sys.stderr.isatty(), leave=False) as bar:

        def progress(now: EncodingProgress) -> None:
            bar.set_description(f"depth {now.depth}")
            bar.total, bar.n = now.total, now.done
            bar.refresh()

        result = analyze_slide(slide, model, options=options, on_progress=progress)
    regions = attention_regions(result)
    write_analysis(
        result,
        out,
        regions=regions,
        thumbnail=_overview(slide),
        pictures=[_picture(slide, region) for region in regions[:_N_PICTURES]],
    )
    return result


def attention_regions(result: SlideResult) -> list[AttentionRegion]:
    """Connected areas of high attention at the deepest stage, best first."""
    if not result.stages:
        return []
    stage: Stage = result.stages[-1]
    amap = attention_map(result.grids[stage.depth], stage.nodes, stage.attention)
    shape = result.slide.height, result.slide.width
    return find_regions(amap, mpp=result.slide.mpp, slide_shape=shape)


def describe(result: SlideResult) -> str:
    """One line: what was found, where it was decided, what it cost."""
    if result.cascade is None:
        return result.state.replace("_", " ")
    deciding = result.grids[result.stages[-1].depth].downsample * result.slide.mpp
    best = float(result.cascade.probabilities.max())
    cost = result.cost
    return (
        f"{result.cascade.predicted_class} {best:.3f} at {magnification_label(deciding)}, "
        f"{cost.patches_encoded} patches encoded (all tissue has {cost.patches_exhaustive}), "
        f"{cost.seconds['total']:.1f} s"
    )


def _options(arguments: argparse.Namespace, slide: Slide) -> Options:
    budget = arguments.budget
    if budget is not None and len(budget) == 1:
        n_depths = len(load_bundle(find_bundle(arguments.model)).config.mpp)
        budget = budget * max(n_depths - 1, 1)
    return Options(
        budget=budget,
        device=arguments.device,
        exhaustive=arguments.exhaustive,
        tissue=_tissue(arguments.tissue, slide) if arguments.tissue else None,
        steering=load_steering(arguments.steer) if arguments.steer else Steering(),
    )


def _tissue(path: Path, slide: Slide) -> TissueMask:
    return drawn_tissue(slide, read_area(path))


def _overview(slide: Slide) -> Thumbnail:
    """The whole slide, small; what cannot be read is hatched."""
    height, width = slide.shape
    downsample = max(1.0, max(height, width) / _OVERVIEW)
    shape = max(1, round(height / downsample)), max(1, round(width / downsample))
    whole = Region(0, 0, height, width)
    return Thumbnail(read_scaled(slide, whole, shape, mark_unreadable=True), downsample)


def _picture(slide: Slide, region: AttentionRegion) -> NDArray[np.uint8]:
    """A square around a region, `_PICTURE` px a side."""
    y0, x0, y1, x1 = region.bounds
    place = square_around(region.bounds, 1.2 * max(y1 - y0, x1 - x0, _PICTURE), slide.shape)
    return read_scaled(slide, place, (_PICTURE, _PICTURE), mark_unreadable=True)

"""Analyze one slide into a folder: what ``analyze`` and the workers of a batch share."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.batch.folder import THUMBNAIL, BatchSettings
from napari_hagmil.cascade import found_regions
from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.errors import BundleError
from napari_hagmil.export import Thumbnail, write_analysis
from napari_hagmil.export.geojson_reader import read_area
from napari_hagmil.export.report import MOST_REGIONS
from napari_hagmil.export.result_json import write_result
from napari_hagmil.features.store import SUFFIX
from napari_hagmil.geometry import Region, square_around
from napari_hagmil.ledger import SlideState, file_facts, write_manifest
from napari_hagmil.models import CascadeModel
from napari_hagmil.pipeline import analyze_with
from napari_hagmil.prepare import LoadedModel, Options, load_for, network_of
from napari_hagmil.quality import measure_quality
from napari_hagmil.slide import Slide, open_slide, read_scaled
from napari_hagmil.tissue import drawn_tissue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_hagmil.cascade import SlideResult

#: Long side of the overview, px, and side of a region's picture.
_OVERVIEW, _PICTURE = 1600, 256
#: Longer side of the picture for a run's report, px.
_THUMBNAIL = 192


def analyze_into(record: SlideRecord, settings: BatchSettings, folder: Path) -> SlideState:
    """Analyze one slide into a folder, its manifest last."""
    loaded = _model(settings)
    with open_slide(record.path, mpp=settings.mpp) as slide:
        slide.require_mpp()
        options = _options(slide, record, settings)
        result = analyze_with(loaded, slide, options)
        if result.state == "no_tissue":
            folder.mkdir(parents=True)
            write_result(result, folder / "result.json")
        else:
            write_files(slide, result, folder)
            _write_thumbnail(folder)
        slide.require_unchanged()
    write_manifest(folder)
    return _STATES[result.state]


#: A result's state as a slide's; "cancelled" does not occur here.
_STATES: dict[str, SlideState] = {
    "done": "done",
    "no_tissue": "no_tissue",
    "incomplete": "incomplete",
}


def _write_thumbnail(folder: Path) -> None:
    """The overview once more, small enough for a page with thousands of them."""
    with Image.open(folder / "overview.png") as overview:
        small = overview.convert("RGB")
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    small.save(folder / THUMBNAIL, quality=80)


def _options(slide: Slide, record: SlideRecord, settings: BatchSettings) -> Options:
    """The run's settings, with the files of this slide."""
    outline = Path(settings.tissue_dir, f"{record.name}.geojson")
    drawn = bool(settings.tissue_dir) and outline.is_file()
    tissue = drawn_tissue(slide, read_area(outline, slide.origin)) if drawn else None
    return Options(
        budget=settings.budget,
        device=settings.device,
        exhaustive=settings.exhaustive,
        tissue=tissue,
        quality=measure_quality(slide, tissue).shares if settings.quality else None,
        # Each slide is read once; and what it cost must not depend on a run that was killed.
        keep_features=False,
        features=tuple(_features_of(record, Path(place)) for place in settings.features),
        file_hashes={"tissue": file_facts(outline).sha256} if drawn else {},
    )


def _features_of(record: SlideRecord, place: Path) -> Path:
    """The features of a slide by its name in the table, else what its file's name finds."""
    for suffix in (SUFFIX, ".h5"):
        if (place / f"{record.name}{suffix}").exists():
            return place / f"{record.name}{suffix}"
    return place


@lru_cache(maxsize=1)
def _model(settings: BatchSettings) -> LoadedModel | CascadeModel:
    """The run's model, kept from slide to slide; without its encoder where features are stored."""
    loaded = load_for(settings.features, settings.model, device=settings.device)
    model = network_of(loaded)
    if model.sha256 != settings.model_sha256:
        raise BundleError(
            f"the model bundle {model.config.name!r}",
            "is another than the one that this run was begun with",
            remedy="bring that back, or start another run",
        )
    return loaded


def write_files(slide: Slide, result: SlideResult, out: Path, *, overwrite: bool = False) -> None:
    """As `write_analysis`, with pictures read from the open slide."""
    regions = found_regions(result)
    write_analysis(
        result,
        out,
        regions=regions,
        thumbnail=overview(slide),
        pictures=[_picture(slide, region) for region in regions[:MOST_REGIONS]],
        overwrite=overwrite,
    )


def overview(slide: Slide) -> Thumbnail:
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

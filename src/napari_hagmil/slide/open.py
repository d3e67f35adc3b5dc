"""Open a slide with the backend that reads it, and describe it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hagmil.errors import Front
from napari_hagmil.slide.formats.choose import choose_reader
from napari_hagmil.slide.interface import LevelGrid, SlideSpec
from napari_hagmil.slide.location import local_path
from napari_hagmil.slide.pyramids.cache import open_cached
from napari_hagmil.slide.slide import Level, Slide


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide for reading. No pixel is decoded yet.

    The backend is chosen by the file's content, not by its name.

    Parameters
    ----------
    path : str or Path
        A TIFF (SVS, NDPI, SCN, Philips, QPTIFF, OME-TIFF, generic pyramid), a PNG or JPEG, a
        DICOM folder or one of its instances, an OME-Zarr or Zarr folder or its URL, or what
        OpenSlide knows (MIRAX, VMS, BIF, CZI).
    mpp : float or None
        µm per level-0 pixel; overrides what the file says.

    Raises
    ------
    SlideFormatError
        When it is not a slide that can be read, in one sentence.
    MissingExtraError
        When its format needs an optional package that is not installed.
    """
    return open_spec(SlideSpec(local_path(path), mpp))


def open_spec(spec: SlideSpec) -> Slide:
    """Open a slide again from its `Slide.spec`, for instance in another process."""
    reader = choose_reader(spec.path)
    try:
        return Slide(spec, reader, open_cached)
    except BaseException:
        reader.close()
        raise


def slide_info(slide: Slide, front: Front = "library") -> dict[str, Any]:
    """Describe a slide, ready for JSON; neither its path nor patient data.

    Associated images (label, macro) are named, never read.

    Parameters
    ----------
    slide : Slide
        An open slide.
    front : str
        Who reads the warnings: "library", "command line" or "window".
    """
    facts = slide.reader.facts
    return {
        "name": slide.name,
        "fingerprint": slide.fingerprint,
        "shape": list(slide.shape),
        "canvas_origin": list(slide.origin),
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "objective": slide.objective,
        "vendor": slide.vendor,
        "backend": slide.reader.backend,
        "backend_reason": facts.why,
        "channels": slide.n_channels,
        "channel_names": [channel.name for channel in facts.channels],
        "dtype": str(slide.dtype),
        "rgb": slide.is_rgb,
        "brightfield": slide.is_brightfield,
        "tile_shape": list(slide.tile_shape),
        "color_profile": slide.color_profile.name if slide.color_profile else None,
        "compression": facts.grids[0].compression,
        "levels": [_level_info(*pair) for pair in zip(slide.levels, facts.grids, strict=True)],
        "associated_images": list(slide.associated),
        "warnings": [problem.sentence(front) for problem in slide.problems],
    }


def _level_info(level: Level, grid: LevelGrid) -> dict[str, Any]:
    return {
        "index": level.index,
        "shape": list(level.shape),
        "downsample": list(level.downsample),
        "tile_shape": list(grid.tile),
        "compression": grid.compression,
        "sparse_tiles": grid.sparse,
    }

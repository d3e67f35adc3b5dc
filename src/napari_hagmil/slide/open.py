"""Opening a slide: which backend, and what it found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.slide.image import ImageReader
from napari_hagmil.slide.protocol import LevelGrid, SlideReader, SlideSpec
from napari_hagmil.slide.pyramid import Level, Slide
from napari_hagmil.slide.tiff import TiffReader

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide for reading. No pixel is decoded yet.

    The backend is chosen by what the file holds, not by how it is called.

    Parameters
    ----------
    path : str or Path
        A TIFF (SVS, NDPI, QPTIFF, OME-TIFF, generic pyramid), a PNG or JPEG, a DICOM folder
        or one of its instances.
    mpp : float or None
        µm per level-0 pixel; overrides what the file says.

    Raises
    ------
    SlideFormatError
        When it is not a slide that can be read, in one sentence.
    MissingExtraError
        When its format wants an optional package.
    """
    return open_spec(SlideSpec(Path(path), mpp))


def open_spec(spec: SlideSpec) -> Slide:
    """Open a slide again from its `Slide.spec`, for instance in another process."""
    reader = _reader(spec.path)
    try:
        return Slide(spec, reader)
    except BaseException:
        reader.close()
        raise


def _reader(path: Path) -> SlideReader:
    try:
        if path.is_dir():
            return _dicom_reader(path)
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise SlideFormatError(
            f"{path.name} cannot be opened ({error.strerror}); check the path and your access to it"
        ) from error
    if head[:4] in _TIFF_MAGIC:
        return TiffReader(path)
    if head.startswith(_IMAGE_MAGIC):
        return ImageReader(path)
    if head[128:] == b"DICM":
        return _dicom_reader(path)
    raise SlideFormatError(
        f"{path.name} is neither TIFF, DICOM, PNG nor JPEG (it starts with {head[:4]!r}); "
        "give a slide that was copied whole"
    )


def _dicom_reader(path: Path) -> SlideReader:
    from napari_hagmil.slide.dicom import DicomReader  # an optional extra

    return DicomReader(path)


def slide_info(slide: Slide) -> dict[str, Any]:
    """Describe a slide, ready for JSON; neither its path nor patient data.

    Associated images (label, macro) are named, never read.
    """
    facts = slide.reader.facts
    return {
        "name": slide.name,
        "fingerprint": slide.fingerprint,
        "shape": list(slide.shape),
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "objective": slide.objective,
        "vendor": slide.vendor,
        "backend": slide.reader.backend,
        "backend_reason": facts.why,
        "channels": slide.n_channels,
        "dtype": str(slide.dtype),
        "rgb": slide.is_rgb,
        "brightfield": slide.is_brightfield,
        "tile_shape": list(slide.tile_shape),
        "compression": facts.grids[0].compression,
        "levels": [_level_info(*pair) for pair in zip(slide.levels, facts.grids, strict=True)],
        "associated_images": list(slide.associated),
        "warnings": list(slide.warnings),
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

"""Convert a slide to a pyramid: TIFF or OME-Zarr."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_hagmil.errors import OutputError
from napari_hagmil.files import remove_drafts, replacing
from napari_hagmil.slide.open import open_slide
from napari_hagmil.slide.pyramids.tiff_writer import TiffStyle, write_tiff
from napari_hagmil.slide.slide import Slide

#: Long side of the coarsest level that is written, px.
SMALLEST = 1024

_TIFF_SUFFIXES, _COMPRESSIONS = (".tif", ".tiff"), ("jpeg", "deflate", "zstd")


def make_pyramid(
    source: Slide | str | Path,
    path: str | Path,
    *,
    mpp: float | None = None,
    style: TiffStyle | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> tuple[tuple[int, int], ...]:
    """Write level 0 of a slide and its halvings, each the exact area mean of level 0.

    The file or folder appears only when it is complete. Label and macro images are not copied.

    Parameters
    ----------
    source : Slide, str or Path
        Its level 0 is read; coarser levels, if it has any, are ignored.
    path : str or Path
        Ends in .tif or .tiff: a tiled BigTIFF; in .zarr: OME-Zarr 0.5, lossless.
    mpp : float or None
        µm per level-0 pixel, where the source states none or a wrong one.
    style : TiffStyle
        Compression of a TIFF; JPEG of quality 90 if not given.
    on_progress : callable, optional
        Called with the fraction done, 0 to 1; an exception it raises stops the work.

    Returns
    -------
    tuple of (int, int)
        Rows and columns of the levels.

    Raises
    ------
    OutputError
        When the suffix names no format or one that cannot hold the channels, when the target
        exists, or when it cannot be written.
    SlideReadError
        When a tile of the source cannot be decoded.
    """
    path, style = Path(path), style or TiffStyle()
    _check_target(path, style)
    if not isinstance(source, Slide):
        with open_slide(source, mpp=mpp) as slide:
            return make_pyramid(slide, path, style=style, on_progress=on_progress)
    _check_channels(source, path)
    factors = halvings(source.shape, SMALLEST)
    remove_drafts(path.parent, path.name)
    with replacing(path) as draft:
        if path.suffix.lower() in _TIFF_SUFFIXES:
            write_tiff(draft, source, factors, style, on_progress)
        else:
            from napari_hagmil.slide.pyramids.zarr_writer import write_ome_zarr  # slow to import

            write_ome_zarr(draft, source, factors, on_progress)
    return tuple((-(-source.shape[0] // f), -(-source.shape[1] // f)) for f in factors)


def halvings(shape: tuple[int, int], smallest: int) -> tuple[int, ...]:
    """Powers of two, from 1 until the long side is at most `smallest`."""
    factors = [1]
    while max(shape) > smallest * factors[-1]:
        factors.append(factors[-1] * 2)
    return tuple(factors)


def _check_channels(slide: Slide, path: Path) -> None:
    if path.suffix.lower() in _TIFF_SUFFIXES and slide.n_channels > 1 and not slide.is_brightfield:
        raise OutputError(
            slide.name,
            "has channels that are not red, green and blue light, which a pyramid TIFF cannot say",
            remedy="choose a name that ends in .zarr",
        )


def _check_target(path: Path, style: TiffStyle) -> None:
    if path.suffix.lower() not in (*_TIFF_SUFFIXES, ".zarr"):
        raise OutputError(
            path.name,
            "must end in .tif, .tiff or .zarr, the format that is written",
            remedy="choose such a name",
        )
    if style.compression not in _COMPRESSIONS or not 1 <= style.quality <= 100:
        raise OutputError(
            path.name,
            f"cannot be compressed by {style.compression!r} of quality {style.quality}",
            remedy=f"give {', '.join(_COMPRESSIONS)} and 1 to 100",
        )
    if path.exists():
        raise OutputError(path.name, "exists already", remedy="choose another name, or remove it")
    if not path.parent.is_dir():
        raise OutputError(path.name, f"needs the folder {path.parent.name}", remedy="make it first")

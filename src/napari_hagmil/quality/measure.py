"""Find a slide's artefacts: two coarse pictures of all of it, and its tissue at 10× in blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import Remedy, SlideFormatError
from napari_hagmil.geometry import Region
from napari_hagmil.polygons import raster_shape
from napari_hagmil.quality.artefacts import Kind, SlideQuality
from napari_hagmil.quality.bubbles import find_bubbles
from napari_hagmil.quality.coarse import find_folds, find_ink, larger_than
from napari_hagmil.quality.fine import CELL, GRAINY, HALO, detail, grains, is_blurred
from napari_hagmil.slide.region import read_scaled
from napari_hagmil.slide.slide import Slide
from napari_hagmil.tissue import (
    TissueMask,
    background_colour,
    mask_downsample,
    optical_density,
    pen_marks,
    segment_tissue,
)

#: µm per pixel at 10×, and the coarsest that focus and grains are judged at.
_FINE_MPP, _COARSEST_MPP = 1.0, 1.3

#: Cells a side of a block that is read at once.
_BLOCK = 128

#: Mean absorbance below which a cell is glass, which has no focus.
_STAINED = 0.06

#: How near to ink is too near for pigment.
_NEAR = np.ones((7, 7), np.uint8)

#: Brown and black in more of the specimen is a stain (DAB, a special stain) and no pigment.
_STAIN_SHARE = 0.05

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Raster:
    """The cells of a slide."""

    slide: Slide
    shape: tuple[int, int]
    downsample: float
    um: float

    def picture(self, times: int) -> NDArray[np.uint8]:
        """The whole slide, so many pixels a side of each cell."""
        height, width = (round(n * self.downsample) for n in self.shape)
        whole = Region(0, 0, height, width)
        shape = self.shape[0] * times, self.shape[1] * times
        return read_scaled(self.slide, whole, shape, mark_unreadable=True)

    def block(self, row: int, column: int) -> NDArray[np.uint8]:
        """The cells of a block at 10×, with the halo that they depend on."""
        scale = self.downsample / CELL
        y, x = ((n * CELL - HALO) * scale for n in (row, column))
        side = _BLOCK * CELL + 2 * HALO
        region = Region(round(y), round(x), round(side * scale), round(side * scale))
        return read_scaled(self.slide, region, (side, side), mark_unreadable=True)


def measure_quality(
    slide: Slide,
    tissue: TissueMask | None = None,
    *,
    on_progress: Callable[[float], None] = lambda share: None,
) -> SlideQuality:
    """Find folds, blur, ink, bubbles and pigment on a brightfield slide.

    Parameters
    ----------
    slide : Slide
        An open slide with a pixel size.
    tissue : TissueMask, optional
        What counts as tissue; detected unless given.
    on_progress : callable
        Called with the share that is done, 0 to 1.

    Raises
    ------
    SlideFormatError
        When the slide is not brightfield.
    MissingPixelSizeError
        When it has no pixel size.
    """
    steps = quality_steps(slide, tissue)
    while True:
        try:
            on_progress(next(steps))
        except StopIteration as stopped:
            found: SlideQuality = stopped.value
            return found


def quality_steps(
    slide: Slide, tissue: TissueMask | None = None
) -> Generator[float, None, SlideQuality]:
    """As `measure_quality`, in steps: yields the share that is done, and returns the quality."""
    if not slide.is_brightfield:
        raise SlideFormatError(
            slide.name,
            "is not an RGB brightfield slide, so its artefacts are not found by their colours",
            remedy=Remedy(library="give an RGB slide"),
        )
    tissue = segment_tissue(slide) if tissue is None else tissue
    yield 0.0
    raster = _raster(slide)
    small = raster.picture(1)
    nothing = np.zeros(small.shape[:2], bool)
    smooth = cv2.medianBlur(small, 3)
    density, unfiltered = optical_density(smooth, nothing), optical_density(small, nothing)
    on = _resized(tissue.values, raster.shape)
    ink, _ = pen_marks(smooth, small, nothing, raster.um)
    pen = find_ink(ink, density, on, raster.um)
    specimen = on | pen
    maps: dict[Kind, Bools] = {"fold": find_folds(unfiltered, on & ~pen, raster.um), "pen": pen}
    notes: tuple[str, ...]
    if raster.um / CELL > _COARSEST_MPP:
        notes = ("The slide is coarser than 10×: blur, bubbles and pigment are not judged.",)
    else:
        bare = _Bare(background_colour(small, nothing), ~on & ~pen)
        stained = on & ~pen & (cv2.blur(density.mean(axis=2), (3, 3)) > _STAINED)
        fine_maps, notes = yield from _fine_maps(raster, specimen, stained, bare)
        # The rim of a stroke of black ink is brown.
        fine_maps["pigment"] &= on & ~cv2.dilate(pen.view(np.uint8), _NEAR).astype(bool)
        maps |= fine_maps
    return SlideQuality(maps, specimen, raster.downsample, slide.require_mpp(), notes)


@dataclass(frozen=True)
class _Bare:
    """The glass: its colour, and where it is bare."""

    colour: Floats
    place: Bools


def _fine_maps(
    raster: _Raster, specimen: Bools, stained: Bools, bare: _Bare
) -> Generator[float, None, tuple[dict[Kind, Bools], tuple[str, ...]]]:
    """What shows at 10× only: blur, bubbles, which hold blur, and pigment; and notes."""
    fine, coarse, share = yield from _at_10x(raster, specimen, bare.colour)
    noise = _noise(fine, coarse, bare.place)
    blurred = larger_than(is_blurred(fine, coarse, noise) & stained, 40)
    bubbles = _bubbles(raster, stained, blurred)
    brown = larger_than((share > GRAINY) & specimen & ~bubbles, 4)
    notes: tuple[str, ...] = ()
    if (brown & stained).sum() > _STAIN_SHARE * max(int(specimen.sum()), 1):
        notes = ("Brown or black is all over the tissue: a stain, and not told from pigment.",)
        brown = np.zeros_like(brown)
    return {"blur": blurred, "bubble": bubbles, "pigment": brown}, notes


def _raster(slide: Slide) -> _Raster:
    mpp = slide.require_mpp()
    # Cells no finer than the pixels allow, and no more of them than of the tissue mask.
    downsample = max(CELL * max(_FINE_MPP, mpp) / mpp, mask_downsample(slide))
    return _Raster(slide, raster_shape(slide.shape, downsample), downsample, downsample * mpp)


def _bubbles(raster: _Raster, stained: Bools, blurred: Bools) -> Bools:
    picture = raster.picture(2)
    density = optical_density(picture, np.zeros(picture.shape[:2], bool))
    shape = picture.shape[:2]
    found = find_bubbles(density, raster.um / 2, _resized(stained, shape), _resized(blurred, shape))
    return _resized(found, raster.shape)


def _at_10x(
    raster: _Raster, specimen: Bools, glass: Floats
) -> Generator[float, None, tuple[Floats, Floats, Floats]]:
    """Both bands of detail and the share of grains, by cell; NaN where nothing was read."""
    found = tuple(np.full(raster.shape, np.nan, np.float32) for _ in range(3))
    places = list(_blocks(specimen))
    edge = HALO // CELL
    for number, (row, column) in enumerate(places):
        picture = raster.block(row, column)
        rows, columns = slice(row, row + _BLOCK), slice(column, column + _BLOCK)
        for values, here in zip(found, (*detail(picture), grains(picture, glass)), strict=True):
            part = values[rows, columns]
            part[...] = here[edge:-edge, edge:-edge][: part.shape[0], : part.shape[1]]
        yield (number + 1) / len(places)
    return found  # type: ignore[return-value]


def _blocks(specimen: Bools) -> Iterator[tuple[int, int]]:
    """Corners of the blocks with something of the specimen."""
    for row in range(0, specimen.shape[0], _BLOCK):
        for column in range(0, specimen.shape[1], _BLOCK):
            if specimen[row : row + _BLOCK, column : column + _BLOCK].any():
                yield row, column


def _noise(fine: Floats, coarse: Floats, glass: Bools) -> tuple[float, float]:
    """Both bands of detail on bare glass: the camera's, and JPEG's."""
    bare = cv2.erode(glass.view(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    bare &= np.isfinite(fine)
    if bare.sum() < 50:
        return 0.0, 0.0
    return float(np.median(fine[bare])), float(np.median(coarse[bare]))


def _resized(mask: Bools, shape: tuple[int, int]) -> Bools:
    if mask.shape == shape:
        return mask
    values = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(values, bool)

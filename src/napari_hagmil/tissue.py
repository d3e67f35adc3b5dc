"""Tissue detection: a mask at a few µm per pixel.

The glass is measured first, and everything is judged against it, so that a tinted or dim
background counts as glass. Ink is taken away before any threshold is looked for: it is
darker and more colourful than any stain, and would push the threshold past pale tissue.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import Remedy, SlideFormatError
from napari_hagmil.geometry import Region
from napari_hagmil.polygons import Outline, mask_of, raster_shape
from napari_hagmil.slide.region import read_scaled
from napari_hagmil.slide.slide import Slide

#: µm per pixel of a mask.
MASK_MPP = 8.0

#: Factor on Otsu's threshold: tissue's pale rim still counts.
OTSU_SHARE = 0.8
#: Between these the threshold of saturation (0–255) and of optical density (log10) may lie,
#: both against the glass. Less can be noise. More is certainly stain: beside dark tissue,
#: Otsu's threshold would miss pale tissue.
SATURATION_LIMITS, DENSITY_LIMITS = (3.0, 20.0), (0.006, 0.05)

#: Diameter over which the mask is closed, µm.
CLOSE_UM = 40.0
#: Sides of the squares whose area is the smallest object and hole, µm.
OBJECT_UM, HOLE_UM = 200.0, 190.0
#: On a slide of small fragments the fragments are the specimen: objects are kept from this share
#: of the largest one's area on, but none smaller than the square of this side, µm (dust).
CRUMB_SHARE, CRUMB_UM = 0.05, 75.0

#: `grain` of a marker's stroke, streaky or only 64 µm wide (0.001 to 0.05), and of stained cells
#: and fibres (0.08 to 0.24). What lies between is ink only where the slide has ink for certain.
FLAT_INK, GRAINY_TISSUE = 0.05, 0.08

#: Glass is at least this bright, and its channels differ by no more than the tint.
_GLASS_MIN, _GLASS_TINT = 150, 40

#: Rows of a picture that are judged at once, and those around each that its grain depends on.
_BAND, _REACH = 256, 4

Image = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
_Plane = TypeVar("_Plane", Bools, Floats)


@dataclass(frozen=True, slots=True)
class TissueMask:
    """A boolean raster over the slide, its corner at the slide's corner.

    Attributes
    ----------
    values : (h, w) bool array
        True where there is tissue, or a place that could not be read.
    downsample : float
        Level-0 pixels per raster pixel, exact; raster pixels are square.
    thresholds : mapping
        How it was made: "saturation", "density", and shares of the raster: "pen" is ink,
        "inklike" has the hue of ink and the grain of tissue, "unread" could not be read. Empty
        for a mask that was drawn.
    """

    values: Bools
    downsample: float
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the mask: ink, or stain with the hue of ink."""
        told = []
        if (pen := self.thresholds.get("pen", 0.0)) > 0:
            told.append(f"Marker ink covers {pen:.1%} of the slide and is left out of the tissue.")
        if (inklike := self.thresholds.get("inklike", 0.0)) > 0:
            told.append(
                f"{inklike:.1%} of the slide has the hue of marker ink but the grain of tissue, as "
                "trichrome and other special stains have: it is not left out as ink."
            )
        return tuple(told)

    @property
    def is_empty(self) -> bool:
        """Whether there is no tissue at all."""
        return not self.values.any()

    def area_um2(self, mpp: float) -> float:
        """Area of the tissue in µm², `mpp` being µm per level-0 pixel."""
        return float(self.values.sum()) * (self.downsample * mpp) ** 2

    @property
    def sha256(self) -> str:
        """Hash of the raster and its scale."""
        head = f"{self.values.shape} {self.downsample!r} ".encode()
        return hashlib.sha256(head + np.packbits(self.values).tobytes()).hexdigest()


@dataclass(frozen=True)
class TissueOutline:
    """Tissue that somebody drew, as a file has it.

    Attributes
    ----------
    rings : tuple of Outline
        Filled together by the even-odd rule.
    sha256 : str
        Of the file.
    """

    rings: tuple[Outline, ...]
    sha256: str


def segment_tissue(slide: Slide, *, mpp: float = MASK_MPP, remove_pen: bool = True) -> TissueMask:
    """Find the tissue of a brightfield slide.

    Ink is removed; what is left is tissue where it is more saturated, or denser, than
    glass, by Otsu's thresholds with floors that keep an empty slide empty. The mask is
    closed, small objects and holes are dropped; it can come out empty. Places that cannot
    be read are kept as tissue, to be reported as unread later and not passed over as glass.

    Parameters
    ----------
    slide : Slide
        An open slide with a pixel size.
    mpp : float
        µm per pixel of the mask; no finer than the slide, coarser on a canvas larger than a glass.
    remove_pen : bool
        Switch off where tissue that is as blue or green as ink, and as even, goes missing.

    Raises
    ------
    MissingPixelSizeError
        When the slide has no pixel size.
    SlideFormatError
        When the slide is not brightfield.
    """
    if not slide.is_brightfield:
        raise SlideFormatError(
            slide.name,
            "is not an RGB brightfield slide, so tissue is not found by its stain",
            remedy=Remedy(
                library="give a mask or an outline",
                command_line="give outlines with --tissue",
                window="import its outlines in the Slide tab",
            ),
        )
    downsample = mask_downsample(slide, mpp)
    image = _raster(slide, downsample)
    unread = _unread(slide, image.shape[:2], downsample)
    found, thresholds = tissue_of_image(
        image, downsample * slide.require_mpp(), ignore=unread, remove_pen=remove_pen
    )
    thresholds["unread"] = float(unread.mean())
    return TissueMask(found | unread, downsample, thresholds)


def tissue_of_image(
    image: Image, mpp: float, *, ignore: Bools | None = None, remove_pen: bool = True
) -> tuple[Bools, dict[str, float]]:
    """Find the tissue of a picture: its (h, w) mask, and `TissueMask.thresholds`.

    Parameters
    ----------
    image : (h, w, 3) uint8 array
        RGB.
    mpp : float
        µm per pixel, about 8.
    ignore : (h, w) bool array or None
        Pixels that are left out of every statistic, and are not tissue.
    remove_pen : bool
        Whether marker ink is looked for.
    """
    ignore = np.zeros(image.shape[:2], bool) if ignore is None else ignore
    smooth = cv2.medianBlur(image, 3)
    pen, inklike = np.zeros_like(ignore), np.zeros_like(ignore)
    if remove_pen:
        pen, inklike = pen_marks(smooth, image, ignore, mpp)
    usable = ~(pen | ignore)
    glass = background_colour(smooth, ignore)
    saturation, dark = (_of_density(smooth, glass, judge) for judge in (_saturation, _mean))
    over_saturation = float(np.clip(OTSU_SHARE * _otsu(saturation[usable]), *SATURATION_LIMITS))
    over_density = float(np.clip(OTSU_SHARE * _otsu(dark[usable]), *DENSITY_LIMITS))
    found = ((saturation > over_saturation) | (dark > over_density)) & usable
    del smooth, saturation, dark
    found = _clean(found, mpp) & usable
    shares = {"pen": float(pen.mean()), "inklike": float((inklike & usable).mean())}
    return found, {"saturation": over_saturation, "density": over_density, **shares}


def optical_density(image: Image, ignore: Bools) -> Floats:
    """Absorbance of every channel against the glass: log10(glass / pixel), (h, w, 3)."""
    return _looked_up(image, _density_tables(background_colour(image, ignore)))


def _of_density(image: Image, glass: Floats, judge: Callable[[Floats], _Plane]) -> _Plane:
    """What `judge` says of the densities of every pixel, (h, w).

    A few rows at a time: the densities of a large slide, and what is computed of them, would take
    more memory than all the rest of an analysis.
    """
    tables = _density_tables(glass)
    parts = [judge(_looked_up(image[rows], tables)) for rows in _bands(len(image))]
    return cast("_Plane", np.concatenate(parts))


def _bands(height: int) -> Iterator[slice]:
    for start in range(0, max(height, 1), _BAND):
        yield slice(start, min(start + _BAND, height))


def _density_tables(glass: Floats) -> Floats:
    """Density of each value of each channel, (256, 3): 256 logarithms instead of one a pixel."""
    levels = np.maximum(np.arange(256, dtype=np.float32), 1)
    return np.maximum(np.log10(glass[None, :] / levels[:, None]), 0).astype(np.float32)


def _looked_up(image: Image, tables: Floats) -> Floats:
    return np.stack([tables[image[..., c], c] for c in range(3)], axis=-1)


def background_colour(image: Image, ignore: Bools) -> Floats:
    """Colour of the glass, (3,): the brightest common one that is nearly neutral.

    White of an absent tile (255) is no glass unless there is nothing else that is bright.
    A picture without glass is judged against white.
    """
    darkest, brightest = image.min(axis=2), image.max(axis=2)
    neutral = (darkest >= _GLASS_MIN) & (brightest - darkest <= _GLASS_TINT) & ~ignore
    counts = np.zeros(256)
    for rows in _bands(len(image)):  # bincount takes eight bytes a pixel
        counts += np.bincount(darkest[rows][neutral[rows]], minlength=256)
    if counts[:254].sum() > 0.01 * max(1, (~ignore).sum()):
        counts[254:] = 0
    smooth = np.convolve(counts, np.ones(5), mode="same")
    if smooth.max() < 1e-3 * image[..., 0].size:
        return np.full(3, 255, np.float32)
    mode = int(np.flatnonzero(smooth >= 0.3 * smooth.max())[-1])
    mode = int(np.argmax(np.where(np.abs(np.arange(256) - mode) <= 4, counts, 0)))
    glass = neutral & (darkest >= mode - 2) & (darkest <= mode + 2)
    # A mask over all axes of what it selects from needs no list of places.
    medians = [np.median(image[..., channel][glass]) for channel in range(3)]
    return np.array(medians, dtype=np.float32)


def pen_marks(smooth: Image, image: Image, ignore: Bools, mpp: float) -> tuple[Bools, Bools]:
    """Marker ink, and whatever has its hue, which stains can have too.

    Ink is told from stain by the ratios of its channels' densities, and by being flat.
    Haematoxylin, eosin and DAB all absorb green; blue, green and red ink each spare a
    channel that these stains do not, and black ink is dense and neutral. Aniline blue, Alcian
    blue, light and methyl green spare it as well, but what they stain has the grain of tissue.

    `smooth` is the picture without its noise; `mpp` is µm per pixel.
    """
    glass = background_colour(smooth, ignore)
    strong = _drop_small(_of_density(smooth, glass, _ink), (100 / mpp) ** 2)
    if not strong.any():
        return strong, strong
    width = 2 * max(1, round(24 / mpp)) + 1
    grains = grain(_of_density(image, background_colour(image, ignore), _mean))
    around = cv2.blur(grains, (5, 5))
    flat, even, grains_of_strong = around < FLAT_INK, around < GRAINY_TISSUE, grains[strong]
    del grains, around
    # A stroke thins out at its rim and between the bristles: pale ink counts beside ink.
    labels, _ = _areas(_of_density(smooth, glass, partial(_ink, share=0.3)) | strong)
    grain_of = np.full(int(labels.max()) + 1, np.inf, np.float32)
    inked = np.unique(labels[strong])
    grain_of[inked] = _medians(grains_of_strong, labels[strong], inked)
    # A stroke that crosses tissue of its own hue is one area with it.
    crossing = _drop_small(strong & flat, (200 / mpp) ** 2)
    ink = (grain_of < FLAT_INK)[labels]
    ink |= _morph(crossing, cv2.MORPH_DILATE, width) & (labels > 0)
    if ink.any():
        ink |= (grain_of < GRAINY_TISSUE)[labels] & even
    return _morph(ink, cv2.MORPH_DILATE, width), strong


def _medians(values: Floats, labels: NDArray[np.int32], wanted: NDArray[np.int32]) -> list[float]:
    """Median of the values under each wanted label, each of which occurs."""
    order = np.argsort(labels, kind="stable")
    bounds = (np.searchsorted(labels[order], wanted, side) for side in ("left", "right"))
    return [float(np.median(values[order[a:b]])) for a, b in zip(*bounds, strict=True)]


def grain(density: Floats) -> Floats:
    """How much a density varies along the direction in which it varies least, (h, w).

    The coefficient of variation over five pixels along a line through each pixel. A stroke varies
    across, and at its rim, but not along.
    """
    height = len(density)
    least = np.empty(density.shape, np.float32)
    for rows in _bands(height):
        around = slice(max(rows.start - _REACH, 0), min(rows.stop + _REACH, height))
        inner = slice(rows.start - around.start, rows.stop - around.start)
        least[rows] = _grain_of_band(density[around])[inner]
    return least


def _grain_of_band(density: Floats) -> Floats:
    least = np.full(density.shape, np.inf, np.float32)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1)):
        line = np.zeros((4 * abs(dy) + 1, 4 * abs(dx) + 1), np.float32)
        at = np.arange(-2, 3)
        line[2 * abs(dy) + at * dy, 2 * abs(dx) + at * dx] = 1 / 5
        mean, square = (cv2.filter2D(values, -1, line) for values in (density, density**2))
        spread = np.sqrt(np.maximum(square - mean**2, 0)) / np.maximum(mean, 1e-3)
        np.minimum(least, spread, out=least)
    return least


def _mean(density: Floats) -> Floats:
    return np.asarray(density.mean(axis=2), dtype=np.float32)


def _ink(density: Floats, share: float = 1.0) -> Bools:
    """Pixels with the hue of ink, and at least a share of its least density."""
    red, green, blue = (density[..., c] for c in range(3))
    low, high = density.min(axis=2), density.max(axis=2)
    ink: Bools = (red > 0.25 * share) & (red > 1.05 * green) & (blue < 0.38 * red)  # blue
    ink |= (np.minimum(red, blue) > 0.15 * share) & (green < 0.8 * np.minimum(red, blue))  # green
    ink |= (green > 0.40 * share) & (blue > 0.8 * green) & (red < 0.2 * green)  # red
    ink |= (low > 0.30 * share) & (high - low < 0.15 * high)  # black
    return ink


def drawn_tissue(slide: Slide, rings: Iterable[Outline]) -> TissueMask:
    """Make a mask of drawn outlines, as fine as the mask of detected tissue.

    Parameters
    ----------
    slide : Slide
        An open slide with a pixel size.
    rings : iterable of Outline
        Filled together by the even-odd rule: see `polygons.mask_of`.

    Raises
    ------
    MissingPixelSizeError
        When the slide has no pixel size.
    """
    downsample = mask_downsample(slide)
    return TissueMask(mask_of(rings, slide.shape, downsample), downsample)


def mask_downsample(slide: Slide, mpp: float = MASK_MPP) -> float:
    """Level-0 pixels per pixel of a mask of `mpp` µm per pixel.

    No finer than the slide; coarser on a canvas larger than a whole glass, which has fewer than
    2²⁵ pixels at 8 µm.
    """
    largest = math.sqrt(math.prod(slide.shape) / 2**25)
    return max(1.0, mpp / slide.require_mpp(), largest)


def _raster(slide: Slide, downsample: float) -> Image:
    shape = raster_shape(slide.shape, downsample)
    height, width = (round(n * downsample) for n in shape)
    return read_scaled(slide, Region(0, 0, height, width), shape, mark_unreadable=True)


def _unread(slide: Slide, shape: tuple[int, int], downsample: float) -> Bools:
    """Raster pixels that damaged tiles of any level touch."""
    values = np.zeros(shape, bool)
    for level, row, column in slide.unreadable:
        tile = slide.reader.facts.grids[level].tile
        size = [
            t * d / downsample for t, d in zip(tile, slide.levels[level].downsample, strict=True)
        ]
        y0, y1 = int(row * size[0]), math.ceil((row + 1) * size[0])
        x0, x1 = int(column * size[1]), math.ceil((column + 1) * size[1])
        values[y0:y1, x0:x1] = True
    return values


def _saturation(density: Floats) -> Floats:
    """HSV saturation (0–255) of the picture as it would look on white glass."""
    transmitted = np.power(10, -density)
    high = transmitted.max(axis=2)
    saturation: Floats = 255 * (high - transmitted.min(axis=2)) / np.maximum(high, 1e-6)
    return saturation


def _otsu(values: Floats) -> float:
    """Otsu's threshold over 256 bins; 0 without values, or with one alone."""
    if not values.size or not values.max() > 0:
        return 0.0
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * centres).cumsum()
    with np.errstate(invalid="ignore", divide="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    if not np.isfinite(between).any():  # all are alike, and nothing lies between them
        return 0.0
    return float(centres[int(np.nanargmax(between))])


def _clean(mask: Bools, mpp: float) -> Bools:
    """Close gaps, then drop small objects and small holes."""
    width = 2 * (round(CLOSE_UM / mpp) // 2) + 1
    closed = _morph(mask, cv2.MORPH_CLOSE, width)
    largest = int(_areas(closed)[1].max(initial=0))
    crumb = max(CRUMB_SHARE * largest, (CRUMB_UM / mpp) ** 2)
    kept = _drop_small(closed, min(crumb, (OBJECT_UM / mpp) ** 2))
    return ~_drop_small(~kept, (HOLE_UM / mpp) ** 2)


def _morph(mask: Bools, operation: int, width: int) -> Bools:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    return np.asarray(cv2.morphologyEx(mask.view(np.uint8), operation, kernel), dtype=bool)


def _drop_small(mask: Bools, min_pixels: float) -> Bools:
    """Remove the connected components with fewer pixels."""
    labels, areas = _areas(mask)
    return np.asarray((areas >= max(min_pixels, 1))[labels])


def _areas(mask: Bools) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Label the connected components; pixels of each, 0 for what is not in the mask."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return labels, areas

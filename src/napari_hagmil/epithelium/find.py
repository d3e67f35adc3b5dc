"""Find a slide's epithelium: its tissue at 10× in blocks, each through SHELL."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_hagmil.encoders.families.shell import SHELL_MPP, load_shell
from napari_hagmil.epithelium.map import CLASSES, EpitheliumMap
from napari_hagmil.errors import Remedy, SlideFormatError
from napari_hagmil.geometry import Region
from napari_hagmil.polygons import raster_shape
from napari_hagmil.slide.region import read_scaled
from napari_hagmil.slide.slide import Slide
from napari_hagmil.tissue import TissueMask, mask_downsample, segment_tissue

#: The coarsest µm per pixel of a slide on which cells are told.
_COARSEST_MPP = 1.3
#: Pixels at 10× a side of a cell of the map; cells a side of a block, and of its halo.
_CELL, _BLOCK, _HALO = 4, 112, 16

Image = NDArray[np.uint8]
Bools = NDArray[np.bool_]


def find_epithelium(
    slide: Slide,
    tissue: TissueMask | None = None,
    *,
    device: str = "cpu",
    weights: Path | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> EpitheliumMap:
    """Tell epithelium, stroma and lumen apart on an H&E slide.

    The network was trained on prostate; elsewhere its answer is rough.

    Parameters
    ----------
    slide : Slide
        An open slide with a pixel size.
    tissue : TissueMask, optional
        What counts as tissue; detected unless given.
    device : str
        "cpu", "cuda", "mps".
    weights : Path, optional
        Of SHELL: see `encoders.families.shell`.
    on_progress : callable
        Called with the share that is done, 0 to 1.

    Raises
    ------
    SlideFormatError
        When the slide is not brightfield, or coarser than 10×.
    MissingPixelSizeError
        When it has no pixel size.
    EncoderError
        When SHELL's weights are not there.
    """
    steps = epithelium_steps(slide, tissue, device=device, weights=weights)
    while True:
        try:
            on_progress(next(steps))
        except StopIteration as stopped:
            found: EpitheliumMap = stopped.value
            return found


def epithelium_steps(
    slide: Slide,
    tissue: TissueMask | None = None,
    *,
    device: str = "cpu",
    weights: Path | None = None,
) -> Generator[float, None, EpitheliumMap]:
    """As `find_epithelium`, in steps: yields the share that is done, and returns the map."""
    _require_fit(slide)
    where = torch.device(device)
    network = load_shell(where, weights)
    tissue = segment_tissue(slide) if tissue is None else tissue
    yield 0.0
    mpp = slide.require_mpp()
    # No more cells than a mask of the whole slide may have.
    downsample = max(_CELL * SHELL_MPP / mpp, mask_downsample(slide, _CELL * SHELL_MPP))
    on = _resized(tissue.values, raster_shape(slide.shape, downsample))
    values = np.zeros(on.shape, np.uint8)
    places = list(_blocks(on))
    for number, (row, column) in enumerate(places):
        picture = _read(slide, (row, column), on.shape, downsample)
        found = _cells(_classes(network, picture, where))
        part = values[row : row + _BLOCK, column : column + _BLOCK]
        part[...] = found[_HALO:-_HALO, _HALO:-_HALO][: part.shape[0], : part.shape[1]]
        yield (number + 1) / len(places)
    return EpitheliumMap(np.where(on, values, 0).astype(np.uint8), downsample, mpp)


def _require_fit(slide: Slide) -> None:
    if not slide.is_brightfield:
        raise SlideFormatError(
            slide.name,
            "is not an RGB brightfield slide, so its epithelium is not found",
            remedy=Remedy(library="give an RGB slide stained with H&E"),
        )
    if slide.require_mpp() > _COARSEST_MPP:
        raise SlideFormatError(
            slide.name,
            f"is coarser than 10×, {SHELL_MPP:g} µm per pixel, at which epithelium is told",
            value=f"{slide.require_mpp():.3g} µm per pixel",
            remedy=Remedy(library="give a finer scan"),
        )


def _blocks(on: Bools) -> Iterator[tuple[int, int]]:
    """Corners of the blocks with tissue."""
    for row in range(0, on.shape[0], _BLOCK):
        for column in range(0, on.shape[1], _BLOCK):
            if on[row : row + _BLOCK, column : column + _BLOCK].any():
                yield row, column


def _read(slide: Slide, corner: tuple[int, int], cells: tuple[int, int], scale: float) -> Image:
    """A block at 10×, with its halo; the slide is mirrored at its edge, which is none of tissue.

    `cells` is what the whole slide has, and `scale` level-0 px of a cell.
    """
    starts = [max(n - _HALO, 0) for n in corner]
    ends = [min(n + _BLOCK + _HALO, most) for n, most in zip(corner, cells, strict=True)]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    region = Region(*(round(n * scale) for n in (*starts, *sizes)))
    inside = read_scaled(slide, region, (sizes[0] * _CELL, sizes[1] * _CELL))
    margins = [
        (start - n + _HALO, min(n + _BLOCK, most) + _HALO - end)
        for n, most, start, end in zip(corner, cells, starts, ends, strict=True)
    ]
    # The network halves its maps three times: an even number of cells.
    margins = [(b, a + (size + b + a) % 2) for (b, a), size in zip(margins, sizes, strict=True)]
    pixels = [(b * _CELL, a * _CELL) for b, a in margins]
    return np.pad(inside, [*pixels, (0, 0)], mode="symmetric")


def _classes(network: nn.Module, picture: Image, device: torch.device) -> NDArray[np.uint8]:
    """Of every pixel, 1 + the place in `CLASSES`: likelier than not, and than the rest."""
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float().to(device)
    with torch.inference_mode():
        lumen, epithelium, rest = network(pixels)[0].float().cpu().numpy()
    found = np.full(rest.shape, 1 + CLASSES.index("stroma"), np.uint8)
    for name, logits in (("lumen", lumen), ("epithelium", epithelium)):
        found[(logits > 0) & (logits > rest)] = 1 + CLASSES.index(name)
    return found


def _cells(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The most frequent class of each cell."""
    height, width = (n // _CELL for n in pixels.shape)
    cells = pixels.reshape(height, _CELL, width, _CELL)
    counts = [(cells == 1 + i).sum((1, 3)) for i in range(len(CLASSES))]
    return np.asarray(1 + np.argmax(counts, axis=0), np.uint8)


def _resized(mask: Bools, shape: tuple[int, int]) -> Bools:
    values = cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(values, bool)

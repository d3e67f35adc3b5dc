"""Map the depths of a model to the pixels of a slide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.geometry import magnification_label

#: A slide whose pixel size is within 25 % of a model's is read as it is, without resampling.
SNAP_RATIO = 1.25


@dataclass(frozen=True, slots=True)
class DepthPlan:
    """How the depths of a model fall on a slide.

    Attributes
    ----------
    downsamples : tuple of float
        Level-0 pixels per pixel of each depth that the slide can serve, coarse to fine.
    mpp : tuple of float
        The µm per pixel that the encoder really sees at each of them.
    notes : tuple of str
        What the pathologist should know, one sentence each.
    """

    downsamples: tuple[float, ...]
    mpp: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def last_depth(self) -> int:
        """The finest depth that the slide can serve."""
        return len(self.downsamples) - 1


def plan_depths(slide_mpp: float, model_mpp: Sequence[float], *, name: str = "slide") -> DepthPlan:
    """Lay the depths of a model on the pixels of a slide.

    Scanners differ: 0.228 and 0.253 µm/px are both sold as 40×. Where level 0, halved or
    doubled some times, comes within 25 % of the model's pixel size, its pixels are used
    as they are; otherwise they are resampled to the exact size. A depth finer than the
    slide is not invented by upsampling: the cascade ends before it, and says so.

    Parameters
    ----------
    slide_mpp : float
        µm per level-0 pixel.
    model_mpp : sequence of float
        µm per pixel of each depth, coarse to fine, each half the one before.
    name : str
        The slide's name, for messages.

    Raises
    ------
    SlideFormatError
        When the slide is coarser than even the first depth.
    """
    finest = model_mpp[-1] / slide_mpp
    snapped = 2.0 ** np.round(np.log2(finest))
    if 1 / SNAP_RATIO <= finest / snapped <= SNAP_RATIO:
        finest = float(snapped)
    n = len(model_mpp)
    downsamples = [finest * 2.0 ** (n - 1 - depth) for depth in range(n)]
    usable = tuple(d for d in downsamples if d >= 1 - 1e-9)
    if not usable:
        raise SlideFormatError(
            name,
            f"has {slide_mpp:.4g} µm per pixel, coarser than the first depth of the model "
            f"({magnification_label(model_mpp[0])}, {model_mpp[0]:g} µm/px)",
            remedy="use a slide scanned at a higher magnification",
        )
    return DepthPlan(
        usable, tuple(d * slide_mpp for d in usable), _notes(slide_mpp, model_mpp, usable)
    )


def _notes(
    slide_mpp: float, model_mpp: Sequence[float], usable: tuple[float, ...]
) -> tuple[str, ...]:
    if len(usable) == len(model_mpp):
        return ()
    absent = " and ".join(magnification_label(m) for m in model_mpp[len(usable) :])
    deciding = magnification_label(model_mpp[len(usable) - 1])
    return (
        f"The slide has no {absent} (its pixels are {slide_mpp:.4g} µm, "
        f"{magnification_label(slide_mpp)}): the cascade ends at {deciding}, which decides.",
    )

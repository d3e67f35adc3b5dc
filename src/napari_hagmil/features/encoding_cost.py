"""Estimate what encoding a cohort will take: patches, hours, disk.

Tissue is detected on a sample of slides only, since on all of a large cohort that alone takes
minutes; the others are assumed to hold as many patches per mm² of glass.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_hagmil.encoders import Encoder
from napari_hagmil.features.layout import feature_tree, lay_out
from napari_hagmil.features.sources import encode_pixels, read_nodes
from napari_hagmil.slide import Slide

#: Patches that are read and encoded to measure a rate, after as many that warm up.
_MEASURED = 32


@dataclass(frozen=True, slots=True)
class EncodingCost:
    """An estimate and the assumptions behind it.

    Attributes
    ----------
    patches : int
        Of all depths and slides.
    hours : float
    disk_bytes : int
        Of the features; the store's own files add little.
    assumptions : tuple of str
        A sentence each.
    """

    patches: int
    hours: float
    disk_bytes: int
    assumptions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A slide whose patches were counted.

    Attributes
    ----------
    patches : int
        Of all depths: what `encode` would keep.
    area_mm2 : float
        Of the whole slide.
    """

    patches: int
    area_mm2: float


@dataclass(frozen=True, slots=True)
class Rate:
    """The rate at which patches are read and encoded.

    Attributes
    ----------
    per_second : float
    source : str
        Where the figure is from: "measured here …", "as stated".
    """

    per_second: float
    source: str


def count_patches(slide: Slide, mpp: Sequence[float], patch_size: int) -> int:
    """Count the patches of all depths that `encode` would store for a slide.

    Raises
    ------
    HagmilError
        When it could not be encoded: too coarse, no tissue, not readable.
    """
    tree = feature_tree(lay_out(slide, mpp, patch_size).quadtree)
    return sum(len(nodes) for nodes in tree.nodes)


def measure_rate(slide: Slide, encoder: Encoder, mpp: Sequence[float], patch_size: int) -> Rate:
    """Read and encode some of a slide's finest patches, and time it."""
    tree = feature_tree(lay_out(slide, mpp, patch_size).quadtree)
    grid, nodes = tree.grids[-1], tree.nodes[-1]
    # Sampled from all of the tissue: glass compresses to nothing and would read faster.
    picked = nodes[np.linspace(0, len(nodes) - 1, min(2 * _MEASURED, len(nodes))).astype(int)]
    half = max(len(picked) // 2, 1)
    encode_pixels(encoder, read_nodes(slide, grid, picked[:half], workers=2))
    timed = picked[half:] if len(picked) > 1 else picked
    started = time.perf_counter()
    encode_pixels(encoder, read_nodes(slide, grid, timed, workers=2))
    seconds = time.perf_counter() - started
    source = f"measured here on {len(timed)} patches of {slide.name}, read and encoded"
    return Rate(len(timed) / seconds, source)


def encoding_cost(
    areas_mm2: Sequence[float], samples: Sequence[Sample], rate: Rate, bytes_per_patch: int
) -> EncodingCost:
    """Estimate what encoding slides of these areas takes.

    Parameters
    ----------
    areas_mm2 : sequence of float
        Of every slide that can be encoded, those of `samples` among them.
    samples : sequence of Sample
        At least one.
    rate : Rate
    bytes_per_patch : int
        Features times bytes of each.
    """
    counted, area = sum(s.patches for s in samples), sum(s.area_mm2 for s in samples)
    rest = max(sum(areas_mm2) - area, 0.0) if len(samples) < len(areas_mm2) else 0.0
    patches = round(counted + rest * counted / area)
    if len(samples) < len(areas_mm2):
        spread = (
            f"Tissue was found on {len(samples)} of {len(areas_mm2)} slides "
            f"({counted / area:.1f} patches per mm² of glass); the others are taken to be alike."
        )
    else:
        spread = f"Tissue was found on all {len(samples)} slides."
    return EncodingCost(
        patches,
        patches / rate.per_second / 3600,
        patches * bytes_per_patch,
        (
            spread,
            f"{rate.per_second:,.0f} patches per second, {rate.source}.",
            f"{bytes_per_patch:,} bytes per patch; features hardly compress.",
        ),
    )

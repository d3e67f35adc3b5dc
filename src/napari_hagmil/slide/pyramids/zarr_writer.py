"""Levels as OME-Zarr 0.5, (c, y, x)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_hagmil.slide.pyramids.bands import Bands, ReportShare, write_levels
from napari_hagmil.slide.slide import Slide

_VERSION = "0.5"
_CHUNK = 512
_RGB = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))


def write_ome_zarr(
    path: Path, slide: Slide, factors: tuple[int, ...], on_progress: ReportShare | None = None
) -> None:
    """Write the area means of a slide's level 0 by each factor, lossless."""
    group = zarr.open_group(path, mode="w", zarr_format=3)
    n_channels = slide.n_channels
    together = n_channels if slide.is_brightfield else 1

    def write_level(index: int, bands: Bands) -> None:
        shape = tuple(-(-side // factors[index]) for side in slide.shape)
        array = group.create_array(
            str(index),
            shape=(n_channels, *shape),
            chunks=(together, min(_CHUNK, shape[0]), min(_CHUNK, shape[1])),
            dtype=slide.dtype,
            fill_value=slide.background,
            dimension_names=("c", "y", "x"),
            compressors=[zarr.codecs.BloscCodec(cname="zstd", clevel=3)],
        )
        y = 0
        for band in bands:
            array[:, y : y + len(band)] = np.moveaxis(band, -1, 0)
            y += len(band)

    write_levels(slide, factors, write_level, rows=_CHUNK, on_progress=on_progress)
    group.attrs["ome"] = _metadata(slide, factors)


def _metadata(slide: Slide, factors: tuple[int, ...]) -> dict[str, Any]:
    mpp, unit = slide.mpp or 1.0, {"unit": "micrometer"} if slide.mpp else {}
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space"} | unit for n in "yx")]
    datasets = []
    for index, factor in enumerate(factors):
        # The centre of the first coarse pixel lies between those it is the mean of.
        shift = mpp * (factor - 1) / 2
        transforms = [
            {"type": "scale", "scale": [1.0, mpp * factor, mpp * factor]},
            {"type": "translation", "translation": [0.0, shift, shift]},
        ]
        datasets.append({"path": str(index), "coordinateTransformations": transforms})
    names = slide.reader.facts.channels
    if slide.is_brightfield:
        channels: list[tuple[str, str]] = list(_RGB)
    else:
        stated = names if len(names) == slide.n_channels else range(1, slide.n_channels + 1)
        channels = [(str(name), "FFFFFF") for name in stated]
    top = float(np.iinfo(slide.dtype).max) if slide.dtype.kind == "u" else 1.0
    window = {"min": 0.0, "max": top, "start": 0.0, "end": top}
    return {
        "version": _VERSION,
        "multiscales": [{"name": "slide", "axes": axes, "datasets": datasets, "type": "mean"}],
        "omero": {
            "channels": [
                {"label": label, "color": color, "active": True, "window": window}
                for label, color in channels
            ]
        },
    }

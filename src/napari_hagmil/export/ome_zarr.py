"""attention.ome.zarr: one OME-Zarr 0.5 image per depth, in the slide's frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from napari_hagmil.attention import AttentionMap, attention_map
from napari_hagmil.cascade.result import SlideResult, Stage
from napari_hagmil.errors import OutputError
from napari_hagmil.files import replacing
from napari_hagmil.geometry import magnification_label, overlay_placement
from napari_hagmil.purpose import RESEARCH_USE

_VERSION = "0.5"
_CHUNK = 1024


def write_attention_zarr(result: SlideResult, path: str | Path) -> None:
    """Write the attention of every stage as a collection of images.

    The layout is bioformats2raw's (OME-Zarr 0.5, Zarr 3): each depth is a subgroup named by
    its magnification, ``10x``, ``20x`` …, coarse to fine, and ``OME`` lists them under
    ``series``. Each is a multiscale image of one level, float32 (y, x) over the whole grid
    of its depth, NaN where the cascade did not look; scale and translation in µm put it over
    the slide, whose level-0 pixel (0, 0) has its centre at 0 µm.

    Raises
    ------
    OutputError
        When the folder cannot be written, or is something other than OME-Zarr.
    """
    path = Path(path)
    if path.is_dir() and any(path.iterdir()) and not (path / "zarr.json").exists():
        raise OutputError(
            path.name,
            "must be free or an earlier export to be written, but is another folder",
            remedy="choose another name",
        )
    with replacing(path) as draft:
        root = zarr.open_group(draft, mode="w", zarr_format=3)
        root.attrs["ome"] = {"version": _VERSION, "bioformats2raw.layout": 3}
        root.attrs["napari-hagmil"] = {"purpose": RESEARCH_USE}
        names = [_write_stage(root, result, stage) for stage in result.stages]
        series = root.create_group("OME")
        series.attrs["ome"] = {"version": _VERSION, "series": names}


def image_name(mpp: float) -> str:
    """Group name of a depth of `mpp` µm per pixel: ``"10x"``, ``"2.5x"``."""
    return magnification_label(mpp).replace("×", "x")


def _write_stage(root: zarr.Group, result: SlideResult, stage: Stage) -> str:
    """Write one image group; returns its name."""
    grid = result.grids[stage.depth]
    name = image_name(result.slide.mpp * grid.downsample)
    amap = attention_map(grid, stage.nodes, stage.attention, crop=False)
    group = root.create_group(name)
    group.attrs["ome"] = _image_metadata(amap, result.slide.mpp, f"attention {name}")
    array = group.create_array(
        "0",
        shape=amap.values.shape,
        chunks=tuple(min(side, _CHUNK) for side in amap.values.shape),
        dtype=amap.values.dtype,
        fill_value=np.nan,
        dimension_names=("y", "x"),
    )
    array[:] = amap.values
    return name


def _image_metadata(amap: AttentionMap, mpp: float, name: str) -> dict[str, Any]:
    scale, translation = overlay_placement(amap.downsample, mpp, amap.origin)
    return {
        "version": _VERSION,
        "multiscales": [
            {
                "name": name,
                "axes": [
                    {"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")
                ],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [
                            {"type": "scale", "scale": list(scale)},
                            {"type": "translation", "translation": list(translation)},
                        ],
                    }
                ],
            }
        ],
    }

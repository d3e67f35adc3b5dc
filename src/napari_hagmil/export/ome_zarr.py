"""attention.ome.zarr: one OME-Zarr 0.5 image per depth, in the slide's frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_hagmil.attention import attention_map
from napari_hagmil.cascade.result import SlideResult, Stage
from napari_hagmil.errors import OutputError
from napari_hagmil.files import replacing
from napari_hagmil.geometry import magnification_label, overlay_placement
from napari_hagmil.purpose import RESEARCH_USE

_VERSION = "0.5"
_CHUNK = 1024

_SINGLE = (("Z", 1), ("C", 1), ("T", 1))
_OME_XML = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def write_attention_zarr(result: SlideResult, path: str | Path) -> None:
    """Write the attention of every stage as a collection of images.

    The layout is bioformats2raw's (OME-Zarr 0.5, Zarr 3), the one that other readers know: the
    depths are the images ``0``, ``1`` …, coarse to fine, named by their magnification, and
    ``OME`` lists them in ``series`` and in ``METADATA.ome.xml``. Each is a multiscale image of
    one level, float32 (y, x) over the whole grid of its depth, NaN where the cascade did not
    look; scale and translation in µm put it over the slide, whose level-0 pixel (0, 0) has its
    centre at 0 µm.

    Raises
    ------
    OutputError
        When the folder cannot be written, or is something other than OME-Zarr.
    """
    path = Path(path)
    _require_free(path)
    with replacing(path) as draft:
        root = zarr.open_group(draft, mode="w", zarr_format=3)
        root.attrs["ome"] = {"version": _VERSION, "bioformats2raw.layout": 3}
        root.attrs["napari-hagmil"] = {"purpose": RESEARCH_USE}
        for number, stage in enumerate(result.stages):
            _write_stage(root.create_group(str(number)), result, stage)
        series = root.create_group("OME")
        names = [str(number) for number in range(len(result.stages))]
        series.attrs["ome"] = {"version": _VERSION, "series": names}
        (draft / "OME" / "METADATA.ome.xml").write_bytes(_ome_xml(result))


def image_name(result: SlideResult, stage: Stage) -> str:
    """What the image of a stage is called, as its layer in napari is: ``"Attention 10×"``."""
    mpp = result.slide.mpp * result.grids[stage.depth].downsample
    return f"Attention {magnification_label(mpp)}"


def write_map_zarr(
    path: Path,
    values: NDArray[np.float32],
    *,
    placement: tuple[Sequence[float], Sequence[float]],
    name: str,
    unit: str = "micrometer",
) -> None:
    """Write one map of values, as attention is, as an OME-Zarr image.

    Parameters
    ----------
    path : Path
        Replaced whole.
    values : (h, w) array
        NaN where there is none.
    placement : tuple
        Scale, and translation of the first pixel's centre, (y, x).
    name : str
        What the image is called.
    unit : str
        Of the placement; empty for pixels.

    Raises
    ------
    OutputError
        When the folder cannot be written, or is something other than OME-Zarr.
    """
    _require_free(path)
    known = np.asarray(values, np.float32)
    with replacing(path) as draft:
        group = zarr.open_group(draft, mode="w", zarr_format=3)
        group.attrs["ome"] = _metadata(placement, float(np.nanmax(known, initial=0.0)), name, unit)
        _write_values(group, known)


def _require_free(path: Path) -> None:
    if path.is_dir() and any(path.iterdir()) and not (path / "zarr.json").exists():
        raise OutputError(
            path.name,
            "must be free or an earlier export to be written, but is another folder",
            remedy="choose another name",
        )


def _write_stage(group: zarr.Group, result: SlideResult, stage: Stage) -> None:
    """Write one image."""
    amap = attention_map(result.grids[stage.depth], stage.nodes, stage.attention, crop=False)
    name = image_name(result, stage)
    placement = overlay_placement(amap.downsample, result.slide.mpp, amap.origin)
    top = float(np.nanmax(amap.values, initial=0.0))
    group.attrs["ome"] = _metadata(placement, top, name, "micrometer")
    group.attrs["napari-hagmil"] = {"attention": {"depth": stage.depth}}
    _write_values(group, amap.values)


def _write_values(group: zarr.Group, values: NDArray[np.float32]) -> None:
    array = group.create_array(
        "0",
        shape=values.shape,
        chunks=tuple(min(side, _CHUNK) for side in values.shape),
        dtype=values.dtype,
        fill_value=np.nan,
        dimension_names=("y", "x"),
    )
    array[:] = values


def _metadata(
    placement: tuple[Sequence[float], Sequence[float]], top: float, name: str, unit: str
) -> dict[str, Any]:
    """What the image is, where it lies, and that a viewer shows it from 0 to the top at first."""
    scale, translation = ([float(part) for part in pair] for pair in placement)
    transforms = [
        {"type": "scale", "scale": scale},
        {"type": "translation", "translation": translation},
    ]
    dataset = {"path": "0", "coordinateTransformations": transforms}
    units = {"unit": unit} if unit else {}
    axes = [{"name": axis, "type": "space", **units} for axis in ("y", "x")]
    window = {"min": 0.0, "max": top or 1.0, "start": 0.0, "end": top or 1.0}
    channel = {"label": "attention", "color": "FFFFFF", "active": True, "window": window}
    return {
        "version": _VERSION,
        "multiscales": [{"name": name, "axes": axes, "datasets": [dataset]}],
        "omero": {"channels": [channel]},
    }


def _ome_xml(result: SlideResult) -> bytes:
    """Name and size of every image, as bioformats2raw states them beside its Zarr groups."""
    root = Xml.Element("OME", {"xmlns": _OME_XML})
    for number, stage in enumerate(result.stages):
        grid, facts = result.grids[stage.depth], {"ID": f"Image:{number}"}
        image = Xml.SubElement(root, "Image", {**facts, "Name": image_name(result, stage)})
        side = repr(result.slide.mpp * grid.stride)
        sizes = (*zip("YX", grid.shape, strict=True), *_SINGLE)
        pixels = {
            "ID": f"Pixels:{number}",
            "DimensionOrder": "XYZCT",
            "Type": "float",
            **{f"Size{axis}": str(size) for axis, size in sizes},
            **{f"PhysicalSize{axis}": side for axis in "XY"},
            **{f"PhysicalSize{axis}Unit": "µm" for axis in "XY"},
        }
        element = Xml.SubElement(image, "Pixels", pixels)
        Xml.SubElement(element, "Channel", {"ID": f"Channel:{number}:0", "SamplesPerPixel": "1"})
        Xml.SubElement(element, "MetadataOnly")
    Xml.indent(root)
    written: bytes = Xml.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written

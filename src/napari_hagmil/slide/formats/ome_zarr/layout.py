"""Find the arrays of a Zarr hierarchy that are a slide's levels, and the meaning of their axes.

OME-Zarr 0.4 and 0.5 say so in their metadata, reached through zarr's own attributes; for plain Zarr
they are inferred from the shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.slide.interface import Channel, PixelSize, Placement

_MICROMETRES = {
    unit: size
    for size, units in (
        (1e-4, ("angstrom", "å")),
        (1e-3, ("nanometer", "nanometre", "nm")),
        (1.0, ("micrometer", "micrometre", "micron", "µm", "μm", "um")),
        (1e3, ("millimeter", "millimetre", "mm")),
        (1e4, ("centimeter", "centimetre", "cm")),
        (1e6, ("meter", "metre", "m")),
        (25_400.0, ("inch",)),
    )
    for unit in units
}

#: Of the axes, in the versions of OME-Zarr before these stood in the file.
_EARLY_AXES = ("t", "c", "z", "y", "x")
#: Channels a slide may have; a first axis that is longer is something else.
_MAX_CHANNELS = 128


@dataclass(frozen=True, slots=True)
class ZarrLayout:
    """The levels of a Zarr hierarchy.

    Attributes
    ----------
    arrays : tuple of zarr.Array
        Finest first.
    axes : str
        A letter per axis of every array: t, c, z, y, x.
    kind : str
        "OME-Zarr 0.5", "plain Zarr".
    pixel_sizes : tuple of PixelSize
        Of the finest level.
    channels : tuple of Channel
        Names and colours; may be empty.
    is_rgb : bool
        Whether the shape says that the channels are red, green, blue and perhaps opacity.
    title : str
        What the picture is called; may hold what a user typed.
    associated : tuple of str
        What the other pictures of its collection show.
    placement : Placement or None
        Where it lies, when it has a unit of length.
    """

    arrays: tuple[Any, ...]
    axes: str
    kind: str
    pixel_sizes: tuple[PixelSize, ...] = ()
    channels: tuple[Channel, ...] = ()
    is_rgb: bool = False
    title: str = ""
    associated: tuple[str, ...] = ()
    placement: Placement | None = None

    @property
    def n_channels(self) -> int:
        """Channels of every level."""
        return self.size("c")

    def size(self, axis: str) -> int:
        """Length of an axis of the finest level; 1 when it has none."""
        at = self.axes.find(axis)
        return 1 if at < 0 else int(self.arrays[0].shape[at])


def zarr_layout(name: str, node: Any) -> ZarrLayout:
    """Find the levels under a zarr group that is one picture, or take the array that is given.

    Raises
    ------
    SlideFormatError
        When no picture is found.
    """
    if isinstance(node, zarr.Array):
        return _plain(name, [node])
    ome = ome_metadata(name, node)
    if "plate" in ome:
        raise SlideFormatError(
            name, "is a plate of many pictures, not a slide", remedy="give one of its fields"
        )
    if "multiscales" in ome:
        return _multiscale(name, node, ome)
    return _plain(name, [array for _, array in node.arrays()])


def ome_metadata(name: str, node: Any) -> Mapping[str, Any]:
    """What a zarr group says of itself as an OME-Zarr of either version; empty when nothing."""
    ome = node.attrs.get("ome", node.attrs.asdict())
    if not isinstance(ome, Mapping):
        raise malformed(name, "its ome entry is no table")
    return ome


def _multiscale(name: str, node: Any, ome: Mapping[str, Any]) -> ZarrLayout:
    try:
        image = ome["multiscales"][0]
        version = str(ome.get("version") or image.get("version") or "0.4")
        stated = [
            a if isinstance(a, Mapping) else {"name": a} for a in image.get("axes", _EARLY_AXES)
        ]
        axes = "".join(str(axis["name"])[:1].lower() for axis in stated)
        datasets = list(image["datasets"])
        arrays = [node[str(dataset["path"])] for dataset in datasets]
        _check_axes(name, axes, arrays)
        placement = _placement(axes, stated, image, datasets[0])
    except SlideFormatError:
        raise
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise malformed(name, f"{type(error).__name__}: {error}") from error
    windows = (ome.get("omero") or {}).get("channels") or ()
    channels = tuple(
        Channel(str(c.get("label", "")), _color(c)) for c in windows if isinstance(c, Mapping)
    )
    return ZarrLayout(
        _finest_first(arrays, axes),
        axes,
        f"OME-Zarr {version}",
        (PixelSize(placement.scale, "OME-Zarr scale"),) if placement else (),
        channels,
        title=str(image.get("name") or ""),
        placement=placement,
    )


def _color(channel: Mapping[str, Any]) -> str:
    """Hexadecimal red, green and blue; empty where it is not that. Some write # and an opacity."""
    found = re.fullmatch(
        "(?:#|0x)?([0-9a-f]{6})(?:[0-9a-f]{2})?", str(channel.get("color", "")).lower()
    )
    return found[1] if found else ""


def _placement(
    axes: str,
    stated: Sequence[Mapping[str, Any]],
    image: Mapping[str, Any],
    finest: Mapping[str, Any],
) -> Placement | None:
    """Scale and translation of the finest level, µm; None without a unit of length.

    Those of the picture are applied after those of the level.
    """
    scale, shift = np.ones(len(axes)), np.zeros(len(axes))
    for transforms in (
        finest.get("coordinateTransformations"),
        image.get("coordinateTransformations"),
    ):
        for transform in transforms or ():
            if transform.get("type") == "scale":
                by = np.asarray(transform["scale"], dtype=np.float64)
                scale, shift = scale * by, shift * by
            elif transform.get("type") == "translation":
                shift = shift + np.asarray(transform["translation"], dtype=np.float64)
    sides, places = [], []
    for axis in "yx":
        said = str(stated[axes.index(axis)].get("unit", "")).strip().lower()
        unit = _MICROMETRES.get(said, _MICROMETRES.get(said.removesuffix("s")))
        if unit is None:
            return None
        sides.append(float(scale[axes.index(axis)]) * unit)
        places.append(float(shift[axes.index(axis)]) * unit)
    return Placement((sides[0], sides[1]), (places[0], places[1]))


def _plain(name: str, arrays: Sequence[Any]) -> ZarrLayout:
    """Arrays of pixels: (y, x), (y, x, 3 or 4 samples) or (c, y, x)."""
    pictures = [a for a in arrays if a.ndim in (2, 3)]
    if not pictures:
        raise SlideFormatError(
            name,
            "is a Zarr without OME metadata and without an array of 2 or 3 axes",
            remedy="give the group of one picture",
        )
    largest = max(pictures, key=lambda a: math.prod(a.shape))
    shape = largest.shape
    if len(shape) == 2:
        axes = "yx"
    elif shape[2] in (3, 4):
        axes = "yxc"
    elif shape[0] <= _MAX_CHANNELS:
        axes = "cyx"
    else:
        raise SlideFormatError(
            name,
            f"holds an array of shape {'×'.join(map(str, shape))}, whose axes are ambiguous",
            remedy="write it as OME-Zarr",
        )
    levels = [a for a in pictures if a.ndim == len(axes) and a.dtype == largest.dtype]
    _check_axes(name, axes, levels)
    is_rgb = largest.dtype == np.uint8 and (axes == "yxc" or (axes == "cyx" and shape[0] == 3))
    return ZarrLayout(_finest_first(levels, axes), axes, "plain Zarr", is_rgb=is_rgb)


def _check_axes(name: str, axes: str, arrays: Sequence[Any]) -> None:
    known = set(axes) <= set("tczyx") and len(set(axes)) == len(axes)
    if not (known and {"y", "x"} <= set(axes)) or axes.index("y") > axes.index("x"):
        raise malformed(name, f"its axes are {axes!r}")
    for array in arrays:
        if not isinstance(array, zarr.Array) or array.ndim != len(axes):
            raise malformed(name, "a level is not an array of its axes")
        if min(array.shape) < 1:
            raise malformed(name, f"a level has shape {array.shape}")


def _finest_first(arrays: Sequence[Any], axes: str) -> tuple[Any, ...]:
    """Sort by rows, and drop levels that are no smaller than the one before."""
    y, x = axes.index("y"), axes.index("x")
    kept: list[Any] = []
    for array in sorted(arrays, key=lambda a: (a.shape[y], a.shape[x]), reverse=True):
        if not kept or max(array.shape[y], array.shape[x]) < 0.9 * max(
            kept[-1].shape[y], kept[-1].shape[x]
        ):
            kept.append(array)
    return tuple(kept)


def malformed(name: str, why: str) -> SlideFormatError:
    """The error of a hierarchy whose metadata says what cannot be."""
    return SlideFormatError(
        name, f"is a Zarr whose metadata is malformed ({why})", remedy="write it again as OME-Zarr"
    )

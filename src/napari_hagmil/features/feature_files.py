"""Read feature files of other programs without running code that they contain."""

from __future__ import annotations

import math
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.errors import FeatureStoreError, MissingExtraError, Remedy
from napari_hagmil.geometry import MPP_AT_1X
from napari_hagmil.quadtree import Nodes

#: CLAM's patches unless the file says otherwise, px.
_CLAM_PATCH = 256

#: What programs call the features and the places of their patches, CLAM's and TRIDENT's first.
_FEATURES = ("features", "embeddings", "patch_embeddings", "tile_embeddings")
_COORDS = ("coords", "coordinates", "locations")

#: Level-0 px; slides reach 400,000. Programs that pad a slide begin before its corner.
_MAX_COORDINATE, _MAX_PADDING = 4_000_000, 4_096

#: Columns of places: x, y, and what some programs add to them (width, height, level).
_MAX_COLUMNS = 5

#: px of a patch's own magnification.
_MAX_PATCH = 2**16

#: Bytes of features: 2.5 million patches of 1024 float32. Patches, or features, of a file.
_MAX_BYTES, _MAX_SIDE = 12 * 10**9, 2**24

#: What deflate shrinks at most, and features never come near.
_MAX_SWELLING = 1100

#: STAMP's patches unless the file says otherwise, px; and µm a side of those of its first version,
#: which says no unit and counts in such pixels.
_STAMP_PATCH, _FIRST_STAMP_UM = 224, 256.0

#: Of an encoder's name.
_MAX_NAME = 200

_ATTRIBUTES = frozenset(
    {"patch_size", "patch_size_level0", "overlap", "target_magnification", "encoder"}
)
_STAMP_ATTRIBUTES = frozenset({"unit", "tile_size", "tile_size_um", "tile_size_px", "extractor"})


@dataclass(frozen=True)
class Patches:
    """The features of one magnification, and the positions of their patches.

    Attributes
    ----------
    features : (n, d) float32
    coords : (n, 2) float64
        (y, x) of the upper left corners, level-0 px.
    patch_size : int
        px of its own magnification.
    side : float
        Of a patch, level-0 px; 0 where the file does not say, and no two patches share a row or a
        column.
    mpp : float or None
        µm per pixel, where the file says.
    encoder : str
        Where the file says; else empty.
    overlaps : bool
        Whether the file says that its patches do.
    """

    features: NDArray[np.float32]
    coords: NDArray[np.float64]
    patch_size: int
    side: float
    mpp: float | None
    encoder: str = ""
    overlaps: bool = False

    def is_on_grid(self, origin: NDArray[np.float64], span: int = 1) -> bool:
        """Whether all patches lie on the grid through `origin`, to a pixel."""
        at = (self.coords - origin) * span / self.side
        return bool((np.abs(at - np.rint(at)) * self.side / span <= 1.0).all())

    def nodes(self, origin: NDArray[np.float64], span: int = 1) -> Nodes:
        """The nearest address of every patch on the grid through `origin`."""
        return np.rint((self.coords - origin) * span / self.side).astype(np.int64)


def read_h5(
    path: Path, *, patch_size: int | None = None, slide_mpp: float | None = None
) -> Patches:
    """Features and coordinates of an h5 file of CLAM, TRIDENT or STAMP.

    Parameters
    ----------
    path : Path
    patch_size : int, optional
        px, where the file does not say.
    slide_mpp : float, optional
        µm per level-0 pixel: STAMP's coordinates are in µm.

    Raises
    ------
    FeatureStoreError
        When it is no such file, holds no number that is finite, or has coordinates in µm while
        `slide_mpp` is not given.
    MissingExtraError
        When h5py is not installed.
    """
    features, coords, facts = _h5_contents(path)
    features, coords = _as_rows(features), _as_rows(coords)
    if coords.ndim == 2 and 2 < coords.shape[1] <= _MAX_COLUMNS:
        coords = coords[:, :2]
    _require_rows(path, features, coords)
    if not np.isfinite(features).any():
        raise FeatureStoreError(
            path.name, "holds no features that are numbers", value="NaN", remedy="make it again"
        )
    if _IN_UM in facts:
        return _of_stamp(path, features, coords[:, ::-1], facts, slide_mpp)
    size = round(_positive(path, facts, "patch_size") or patch_size or _CLAM_PATCH)
    if not 1 <= size <= _MAX_PATCH:
        raise FeatureStoreError(
            path.name, f"needs patches of 1 to {_MAX_PATCH} px", value=size, remedy="correct it"
        )
    overlap = _number(path, facts, "overlap")
    if overlap >= size:
        raise FeatureStoreError(
            path.name,
            f"needs an overlap below its patches' {size} px",
            value=f"{overlap:g}",
            remedy="correct it",
        )
    side = _positive(path, facts, "patch_size_level0") or _spacing(coords) * size / (size - overlap)
    shown = _positive(path, facts, "target_magnification")
    mpp = MPP_AT_1X / shown if shown else None
    return Patches(features, coords[:, ::-1], size, side, mpp, _encoder(facts), overlap > 0)


#: Marks the facts of a file of STAMP.
_IN_UM = "feats"


def _of_stamp(
    path: Path,
    features: NDArray[np.float32],
    coords: NDArray[np.float64],
    facts: dict[str, Any],
    slide_mpp: float | None,
) -> Patches:
    """A file of STAMP: coordinates and the side of a tile are in µm, or in 224ths of 256 µm."""
    tile = _positive(path, facts, "tile_size") or _spacing(coords)
    if not facts.keys() & {"unit", "tile_size_um"} and round(tile) == _STAMP_PATCH:
        coords = coords / _STAMP_PATCH * _FIRST_STAMP_UM
        facts = {**facts, "tile_size_um": _FIRST_STAMP_UM, "tile_size_px": _STAMP_PATCH}
    unit = facts.get("unit", "um")
    unit = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else unit
    if unit != "um":
        raise FeatureStoreError(
            path.name,
            "has coords in another unit than µm",
            value=repr(unit)[:60],
            remedy="extract the features with STAMP 2 or later",
        )
    if not slide_mpp:
        raise FeatureStoreError(
            path.name,
            "has coords in µm, which need the slide's µm per pixel",
            remedy=Remedy("give slide_mpp=", command_line="give it with --mpp"),
        )
    size = round(_positive(path, facts, "tile_size_px") or _STAMP_PATCH)
    um = _positive(path, facts, "tile_size_um") or tile
    return Patches(
        features, coords / slide_mpp, size, um / slide_mpp, um / size or None, _encoder(facts)
    )


def _encoder(facts: dict[str, Any]) -> str:
    """The encoder that a file names; empty where it names none."""
    said = facts.get("encoder", facts.get("extractor", ""))
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return said if isinstance(said, str) and len(said) < _MAX_NAME else ""


def _h5_contents(path: Path) -> tuple[NDArray[Any], NDArray[Any], dict[str, Any]]:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "h5 files",
            "need the package h5py, which is not installed",
            remedy="run pip install 'napari-hagmil[h5]'",
        ) from error
    try:
        if not path.is_file():
            raise ValueError("it is no regular file")
        with h5py.File(path, "r") as file:
            is_stamp = _IN_UM in file and not any(name in file for name in _FEATURES)
            found, encoder = _found(file, (_IN_UM,) if is_stamp else _FEATURES)
            places, _ = _found(file, _COORDS)
            said, known = (
                (file.attrs, _STAMP_ATTRIBUTES) if is_stamp else (places.attrs, _ATTRIBUTES)
            )
            features = np.asarray(found, dtype=np.float32)
            coords = np.asarray(places, dtype=np.float64)
            facts: dict[str, Any] = {"encoder": encoder} if encoder else {}
            facts |= {name: said[name] for name in known & set(said)}
            facts |= {_IN_UM: True} if is_stamp else {}
    # h5py has no error of its own: RuntimeError, SystemError and more come from damaged files.
    except (Exception, SystemError) as error:
        raise FeatureStoreError(
            path.name,
            f"is no h5 file with features (or feats) and coords ({error})",
            remedy="give the files of features, not those of patches",
        ) from error
    return features, coords, facts


def read_pt(path: Path) -> NDArray[np.float32]:
    """(n, d) features of a .pt file that holds one tensor.

    Raises
    ------
    FeatureStoreError
        When it holds anything else, or would have to run code to be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of every pickle that it did not write
            if not path.is_file():
                raise ValueError("it is no regular file")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FeatureStoreError(
            path.name,
            "cannot be read without running code that it contains",
            remedy="save the features alone, as one tensor",
        ) from error
    except Exception as error:  # torch's reader of damaged files raises whatever it stumbles on
        raise FeatureStoreError(
            path.name,
            f"is no .pt file that can be read: {' '.join(str(error).split())}",
            remedy="save the features again, as one tensor",
        ) from error
    return _checked_tensor(path, content)


def _checked_tensor(path: Path, content: object) -> NDArray[np.float32]:
    """The features in a .pt file's content, (n, d); raise when it is anything else."""
    if isinstance(content, torch.Tensor):
        content = _as_rows(content.detach())  # features saved in training carry a gradient
    if (
        not isinstance(content, torch.Tensor)
        or content.layout is not torch.strided
        or content.is_quantized
        or content.ndim != 2
        or not len(content)
    ):
        raise FeatureStoreError(
            path.name,
            "must hold one dense tensor of (patches, features)",
            value=_described(content),
            remedy="save the features alone",
        )
    # A view of one number can have any shape.
    if content.numel() * content.element_size() > content.untyped_storage().nbytes():
        raise FeatureStoreError(
            path.name, f"declares {tuple(content.shape)} and holds far less", remedy="make it again"
        )
    return np.asarray(content.float().numpy())


def _described(content: object) -> str:
    """Describe what a file holds in a few words."""
    if isinstance(content, torch.Tensor):
        return f"one of shape {tuple(content.shape)}, {content.dtype}, {content.layout}"
    return type(content).__name__


def _as_rows(array: Any) -> Any:
    """(1, n, d) or (n, 1, d) → (n, d): an axis of one says nothing; others as they are."""
    if array.ndim == 3 and 1 in array.shape[:2]:
        return array.squeeze(0 if array.shape[0] == 1 else 1)
    return array


def _require_rows(path: Path, features: NDArray[Any], coords: NDArray[Any]) -> None:
    if features.ndim != 2 or coords.shape != (len(features), 2) or not len(features):
        raise FeatureStoreError(
            path.name,
            f"has features {features.shape} and coords {coords.shape}, where (n, d) and (n, 2) are "
            "needed",
            remedy="make it again",
        )
    if not ((coords >= -_MAX_PADDING) & (coords <= _MAX_COORDINATE)).all():  # NaN is neither
        raise FeatureStoreError(
            path.name,
            f"has coords that are no places on a slide (0 to {_MAX_COORDINATE})",
            remedy="make it again",
        )


def _spacing(coords: NDArray[np.float64]) -> float:
    """The commonest distance between patches that share a row or a column; 0 where none do."""
    steps = []
    for axis in (0, 1):
        order = np.lexsort((coords[:, axis], coords[:, 1 - axis]))
        step = np.diff(coords[order], axis=0)
        steps.append(step[(step[:, 1 - axis] == 0) & (step[:, axis] > 0), axis])
    values, counts = np.unique(np.concatenate(steps), return_counts=True)
    return float(values[np.argmax(counts)]) if len(values) else 0.0


def _found(file: Any, names: tuple[str, ...]) -> tuple[Any, str]:
    """The first dataset of these names, and where it is a group, what its only member is called.

    Some programs keep the features of each encoder in a group, under the encoder's name.
    """
    import h5py

    name = next((one for one in names if one in file), names[0])
    if file.get(name, getclass=True, getlink=True) is h5py.HardLink:
        group = file[name]
        if isinstance(group, h5py.Group) and len(group) == 1:
            (member,) = group
            return _dataset(group, member), member
    return _dataset(file, name), ""


def _dataset(file: Any, name: str) -> Any:
    """A dataset whose numbers lie in this file, and are not more than a slide's."""
    import h5py

    link = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"its {name} are a link to another place")
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"its {name} are no dataset")
    if found.external or found.is_virtual:
        raise ValueError(f"its {name} lie in another file")
    if found.dtype.kind not in "fiu":
        raise ValueError(f"its {name} are of the type {found.dtype}")
    n_bytes = found.size * max(found.dtype.itemsize, 4)
    if n_bytes > _MAX_BYTES or not all(0 < side <= _MAX_SIDE for side in found.shape):
        raise ValueError(f"its {name} declare the shape {found.shape}, {n_bytes / 1e9:.1f} GB")
    # Chunks that are not there are filled: a few bytes can declare gigabytes.
    if found.id.get_storage_size() * _MAX_SWELLING + 2**20 < n_bytes:
        raise ValueError(f"its {name} declare {n_bytes / 1e6:.0f} MB and hold far less")
    return found


def _number(path: Path, facts: dict[str, Any], name: str) -> float:
    """A number among the attributes; 0 where there is none."""
    try:
        value = float(np.asarray(facts.get(name, 0)).item())  # some write a list of one
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= _MAX_COORDINATE:
        raise FeatureStoreError(
            path.name,
            f"needs {name} to be a positive number of px",
            value=repr(facts[name])[:60],
            remedy="correct it",
        )
    return value


def _positive(path: Path, facts: dict[str, Any], name: str) -> float | None:
    """A positive number among the attributes; None where there is none."""
    value = _number(path, facts, name)
    if name in facts and not value:
        raise FeatureStoreError(
            path.name, f"needs a positive {name}", value=f"{value:g}", remedy="correct it"
        )
    return value or None

"""Feature files of other programs: read without running what they contain."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.errors import FeatureStoreError, MissingExtraError
from napari_hagmil.geometry import MPP_AT_1X
from napari_hagmil.quadtree import Nodes

#: CLAM's patches unless the file says otherwise, px.
_CLAM_PATCH = 256


@dataclass(frozen=True)
class Patches:
    """Features of one magnification, and where their patches lie.

    Attributes
    ----------
    features : (n, d) float32
    coords : (n, 2) float64
        (y, x) of the upper left corners, level-0 px.
    patch_size : int
        px of its own magnification.
    stride : float
        Level-0 px from one patch to the next.
    mpp : float or None
        µm per pixel, where the file says.
    """

    features: NDArray[np.float32]
    coords: NDArray[np.float64]
    patch_size: int
    stride: float
    mpp: float | None

    def is_on_grid(self, origin: NDArray[np.float64]) -> bool:
        """Whether all patches lie on the grid through `origin`, to a pixel."""
        at = (self.coords - origin) / self.stride
        return bool((np.abs(at - np.rint(at)) * self.stride <= 1.0).all())

    def nodes(self, origin: NDArray[np.float64]) -> Nodes:
        """The nearest address of every patch on the grid through `origin`."""
        return np.rint((self.coords - origin) / self.stride).astype(np.int64)


def read_h5(path: Path, *, patch_size: int | None = None) -> Patches:
    """Features and coordinates of an h5 file of CLAM or TRIDENT.

    Raises
    ------
    FeatureStoreError
        When it is no such file, or its patches overlap.
    MissingExtraError
        When h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "h5 files",
            "need the package h5py, which is not installed",
            remedy="run pip install 'napari-hagmil[h5]'",
        ) from error
    try:
        with h5py.File(path, "r") as file:
            features = np.asarray(file["features"], dtype=np.float32)
            coords = np.asarray(file["coords"], dtype=np.float64)
            facts = dict(file["coords"].attrs)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise FeatureStoreError(
            path.name,
            f"is no h5 file with features and coords ({error})",
            remedy="give the files of features, not those of patches",
        ) from error
    features = features[0] if features.ndim == 3 and len(features) == 1 else features
    _require_rows(path, features, coords)
    size = int(facts.get("patch_size", patch_size or _CLAM_PATCH))
    if float(facts.get("overlap", 0)):
        raise FeatureStoreError(
            f"the patches of {path.name}",
            f"overlap by {facts['overlap']} px, where a quadtree needs patches side by side",
            remedy="cut them again without overlap",
        )
    stride = float(facts.get("patch_size_level0", 0)) or _spacing(path, coords)
    return Patches(features, coords[:, ::-1], size, stride, _mpp(facts))


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
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FeatureStoreError(
            path.name,
            "cannot be read without running code that it contains",
            remedy="save the features alone, as one tensor",
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise FeatureStoreError(
            path.name,
            f"is no .pt file that can be read: {' '.join(str(error).split())}",
            remedy="save the features again, as one tensor",
        ) from error
    if not isinstance(content, torch.Tensor) or content.ndim != 2 or not len(content):
        raise FeatureStoreError(
            path.name,
            f"holds {type(content).__name__} where one tensor of (patches, features) is needed",
            remedy="save the features alone",
        )
    return np.asarray(content.float().numpy())


def _require_rows(path: Path, features: NDArray[Any], coords: NDArray[Any]) -> None:
    if features.ndim != 2 or coords.shape != (len(features), 2) or not len(features):
        raise FeatureStoreError(
            path.name,
            f"has features {features.shape} and coords {coords.shape}, where (n, d) and (n, 2) are "
            "needed",
            remedy="make it again",
        )
    if not np.isfinite(coords).all():
        raise FeatureStoreError(path.name, "has coords that are not finite", remedy="make it again")


def _spacing(path: Path, coords: NDArray[np.float64]) -> float:
    """The commonest distance between patches that share a row or a column."""
    steps = []
    for axis in (0, 1):
        order = np.lexsort((coords[:, axis], coords[:, 1 - axis]))
        step = np.diff(coords[order], axis=0)
        steps.append(step[(step[:, 1 - axis] == 0) & (step[:, axis] > 0), axis])
    values, counts = np.unique(np.concatenate(steps), return_counts=True)
    if not len(values):
        raise FeatureStoreError(
            path.name,
            "does not say how far its patches lie apart, and no two share a row",
            remedy="add the attribute patch_size_level0",
        )
    return float(values[np.argmax(counts)])


def _mpp(facts: dict[str, Any]) -> float | None:
    shown = facts.get("target_magnification")
    return None if shown is None else MPP_AT_1X / float(shown)

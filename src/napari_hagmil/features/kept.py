"""Features of a slide's patches, kept on disk for the next run: in another process, on another day.

A folder per slide, encoder and way of computing; in it, a file for each time that features were
added. Files are written whole and never changed, so any number of processes may add to a folder.
Nothing in it is needed: what is damaged, removed or of another length is encoded again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from napari_hagmil.cache import FEATURES, mark_used, remove_cached
from napari_hagmil.encoders import computation_of
from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.errors import OutputError
from napari_hagmil.files import replacing
from napari_hagmil.quadtree import Nodes, PatchGrid
from napari_hagmil.slide import Slide
from napari_hagmil.slide.color_profile import Colors

_log = logging.getLogger(__name__)

#: Raised when features would differ for another reason than those in the key.
_VERSION = 1

_SUFFIX = ".safetensors"

Rows = NDArray[np.float32]

#: Files of one grid from which on they are put together: reading many small ones takes long.
_MANY = 24


class KeptFeatures:
    """What is kept of one slide's features; see `kept_features`.

    Parameters
    ----------
    folder : Path
        Of this slide and this encoder.
    n_features : int
        Length of a feature vector.
    """

    def __init__(self, folder: Path, n_features: int) -> None:
        self._folder, self._n_features = folder, n_features

    def of(self, grid: PatchGrid) -> tuple[Nodes, torch.Tensor]:
        """All that is kept of a grid: addresses (n, 2), and features (n, n_features) float32."""
        files = sorted(self._folder.glob(f"{_name(grid)}-*{_SUFFIX}"))
        parts = {file: part for file in files if (part := self._read(file)) is not None}
        nodes = np.concatenate([np.empty((0, 2), np.int64), *(p[0] for p in parts.values())])
        empty = np.empty((0, self._n_features), np.float32)
        rows = np.concatenate([empty, *(p[1] for p in parts.values())])
        if len(parts) >= _MANY:
            self._put_together(grid, nodes, rows, list(parts))
        return nodes, torch.from_numpy(rows)

    def add(self, grid: PatchGrid, nodes: Nodes, features: torch.Tensor) -> None:
        """Keep features; a row that is not finite, of an unread place, is tried again next time."""
        rows = features.numpy()
        finite = np.isfinite(rows).all(axis=1)
        if finite.any():
            self._write(grid, nodes[finite], rows[finite])

    def _read(self, file: Path) -> tuple[Nodes, Rows] | None:
        """One file; None where it is gone, damaged, or of another length."""
        try:
            part = load(file.read_bytes())
            nodes, rows = part["nodes"], part["rows"]
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, KeyError, ValueError):
            remove_cached(file)
            return None
        fits = nodes.dtype == np.int64 and nodes.shape == (len(rows), 2)
        if not fits or rows.dtype != np.float32 or rows.shape != (len(rows), self._n_features):
            remove_cached(file)
            return None
        mark_used(file)
        return nodes, rows

    def _put_together(self, grid: PatchGrid, nodes: Nodes, rows: Rows, files: list[Path]) -> None:
        _, first = np.unique(nodes, axis=0, return_index=True)
        if self._write(grid, nodes[first], rows[first]):
            # Another process may be about to read one of them, and then encodes it again.
            for file in files:
                remove_cached(file)

    def _write(self, grid: PatchGrid, nodes: Nodes, rows: Rows) -> bool:
        path = self._folder / f"{_name(grid)}-{uuid4().hex}{_SUFFIX}"
        content = {"nodes": np.ascontiguousarray(nodes), "rows": np.ascontiguousarray(rows)}
        try:
            with replacing(path) as draft:
                draft.write_bytes(save(content))
        except OutputError as error:
            _log.warning("features are not kept: %s", error)
            return False
        FEATURES.make_room(path)
        return True


def kept_features(slide: Slide, encoder: Encoder, colors: Colors = "file") -> KeptFeatures | None:
    """What is kept of a slide's features by an encoder; None where nothing is to be kept.

    Features are the same only for the same content of the slide, read by the same reader, encoded
    by the same weights in the same runtime and precision, given the same colours. The number of
    threads changes their last digits (3e-7) and does not count.
    """
    if not FEATURES.limit_bytes:
        return None
    how = computation_of(encoder)
    key: list[object] = [
        _VERSION,
        slide.fingerprint,
        slide.reader.backend,
        encoder.name,
        encoder.weights_sha256,
        how.runtime,
        how.precision,
        how.device.partition(":")[0],
        *([colors] if colors != "file" else []),
    ]
    return KeptFeatures(FEATURES.folder / _digest(key), encoder.n_features)


def _name(grid: PatchGrid) -> str:
    """Addresses mean the same places in the same grid, whichever depth of a model it serves."""
    return _digest([grid.patch_size, repr(grid.downsample), grid.span, repr(grid.origin)])


def _digest(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

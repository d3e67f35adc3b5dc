"""Writing a slide's feature store, chunk by chunk, so that a killed run loses one chunk at most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import zarr

from napari_hagmil.errors import FeatureStoreError, OutputError, Remedy
from napari_hagmil.features.layout import FeatureTree
from napari_hagmil.features.store_metadata import (
    SCHEMA,
    FeatureKey,
    check_arrays,
    chunk_path,
    grids_of,
    key_of,
    read_facts,
    read_nodes,
)
from napari_hagmil.files import replacing
from napari_hagmil.quadtree import Nodes

#: Rows of a chunk, which is also the batch that a killed run loses: seconds on a CPU.
CHUNK_ROWS = 512


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a store that are encoded, and written, together.

    Attributes
    ----------
    depth, index : int
        The depth, and the chunk's place among its chunks.
    nodes : (n, 2) int64
        Of its rows.
    """

    depth: int
    index: int
    nodes: Nodes


class StoreWriter:
    """A slide's feature store while it is filled.

    Parameters
    ----------
    path : Path
        ``STORE/NAME.zarr``, made by `begin` now or in an earlier run.

    Attributes
    ----------
    key : FeatureKey
    grids : tuple of PatchGrid
        One per depth.
    n_patches : int
        Of all depths, written or not.
    is_complete : bool
        Whether `finish` was called, now or in an earlier run.

    Raises
    ------
    FeatureStoreError
        When there is no store, or one of another schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        facts = read_facts(path)
        self.key, self.grids = key_of(facts), grids_of(facts)
        self.n_patches, self.is_complete = int(facts["patches"]), bool(facts["complete"])
        self._chunk_rows = int(facts["chunk_rows"])
        try:
            check_arrays(path, facts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FeatureStoreError(
                f"the features of {path.stem}",
                f"are damaged ({error})",
                remedy="encode the slide with --overwrite",
            ) from error

    @classmethod
    def begin(
        cls,
        path: Path,
        key: FeatureKey,
        tree: FeatureTree,
        *,
        chunk_rows: int = CHUNK_ROWS,
        placed: bool = True,
    ) -> StoreWriter:
        """Make an empty store for a slide, in the place of another one.

        Raises
        ------
        OutputError
            When it cannot be written, or something else stands there.
        """
        with replacing(path) as draft, _reported(path):
            _require_replaceable(path)
            root = zarr.open_group(draft, mode="w", zarr_format=3)
            root.attrs.update(
                {
                    "schema": SCHEMA,
                    "complete": False,
                    "patches": sum(map(len, tree.nodes)),
                    "unread": 0,
                    "key": asdict(key),
                    "placed": placed,
                    "chunk_rows": chunk_rows,
                    "grids": [
                        {"downsample": grid.downsample, "shape": list(grid.shape)}
                        for grid in tree.grids
                    ],
                }
            )
            for depth in range(len(tree.grids)):
                _begin_depth(root.create_group(f"depth{depth}"), key, tree, depth, chunk_rows)
        return cls(path)

    def missing(self) -> list[Chunk]:
        """The chunks whose file is not there, or is not whole: what is still to be encoded."""
        rows = self._chunk_rows
        size = rows * self.key.encoder.n_features * np.dtype(self.key.dtype).itemsize
        missing = []
        for depth, grid in enumerate(self.grids):
            nodes, _ = read_nodes(self.path, depth, grid)
            for index, start in enumerate(range(0, len(nodes), rows)):
                file = chunk_path(self.path, depth, index)
                if not file.is_file() or file.stat().st_size != size:
                    missing.append(Chunk(depth, index, nodes[start : start + rows]))
        return missing

    def write(self, chunk: Chunk, features: torch.Tensor) -> None:
        """Put the features (n, n_features) of a chunk in place, all or nothing.

        A row that is not finite, as given or in the store's own type, becomes one of NaN.
        """
        # A chunk of nothing but NaN is kept, too: it has been tried.
        with _reported(self.path), zarr.config.set({"array.write_empty_chunks": True}):
            array = self._features(chunk.depth, mode="r+")
            start = chunk.index * self._chunk_rows
            with np.errstate(over="ignore"):
                rows = features.numpy().astype(array.dtype)
            rows[~np.isfinite(rows).all(axis=1)] = np.nan
            array[start : start + len(rows)] = rows

    def finish(self) -> int:
        """Declare the store complete; returns how many rows are NaN, the unread patches."""
        with _reported(self.path):
            # zarr's own drafts of chunks, where a run was killed.
            for draft in self.path.rglob("*.partial"):
                draft.unlink()
            depths = range(len(self.grids))
            unread = sum(_count_unread(self._features(depth, mode="r")) for depth in depths)
            root = zarr.open_group(self.path, mode="r+", zarr_format=3, use_consolidated=False)
            root.attrs.update({"complete": True, "unread": unread})
        self.is_complete = True
        return unread

    def _features(self, depth: int, *, mode: Literal["r", "r+"]) -> zarr.Array:
        return zarr.open_array(self.path / f"depth{depth}" / "features", mode=mode, zarr_format=3)


def _count_unread(features: zarr.Array) -> int:
    """Rows of NaN, read a chunk at a time."""
    rows = range(0, features.shape[0], features.chunks[0])
    return sum(int(np.isnan(features[r : r + features.chunks[0], 0]).sum()) for r in rows)


def _begin_depth(
    group: zarr.Group, key: FeatureKey, tree: FeatureTree, depth: int, chunk_rows: int
) -> None:
    nodes = tree.nodes[depth]
    group.create_array("nodes", data=nodes, chunks=(max(1, len(nodes)), 2))
    group.create_array("tissue", data=tree.tissue[depth], chunks=(max(1, len(nodes)),))
    group.create_array(
        "features",
        shape=(len(nodes), key.encoder.n_features),
        chunks=(chunk_rows, key.encoder.n_features),
        dtype=key.dtype,
        fill_value=np.nan,
        compressors=None,
    )


def _require_replaceable(path: Path) -> None:
    """Raise when something stands at `path` that is no feature store."""
    if not path.exists():
        return
    try:
        read_facts(path)
    except FeatureStoreError as error:
        if (path / "zarr.json").exists() and (path / "depth0").exists():
            return
        raise OutputError(
            str(path), "must be free or a feature store, but is something else", remedy="move it"
        ) from error


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Say what could not be written, and where."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"the features of {path.stem}",
            f"cannot be written to {path.parent} ({error.strerror or error})",
            remedy=Remedy(
                library="make room, or choose another store",
                command_line="make room, or choose another --store",
            ),
        ) from error

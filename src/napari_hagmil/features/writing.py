"""Writing a slide's feature store, chunk by chunk, so that a killed run loses one chunk at most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import zarr

from napari_hagmil.errors import FeatureStoreError, OutputError
from napari_hagmil.features.layout import FeatureTree
from napari_hagmil.features.store import SCHEMA, FeatureKey, chunk_path, read_facts
from napari_hagmil.files import replacing
from napari_hagmil.quadtree import Nodes

#: Rows of a chunk, which is also the batch that a killed run loses: seconds on a CPU.
CHUNK_ROWS = 512


def begin_store(
    path: Path,
    key: FeatureKey,
    tree: FeatureTree,
    *,
    chunk_rows: int = CHUNK_ROWS,
    placed: bool = True,
) -> None:
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


def missing_chunks(path: Path) -> list[tuple[int, int, Nodes]]:
    """What is still to be encoded: depth, index and nodes of every chunk that is not there."""
    facts = read_facts(path)
    rows = facts["chunk_rows"]
    size = rows * facts["key"]["encoder"]["n_features"] * np.dtype(facts["key"]["dtype"]).itemsize
    root = zarr.open_group(path, mode="r")
    missing = []
    for depth in range(len(facts["grids"])):
        nodes: Nodes = root[f"depth{depth}"]["nodes"][:]
        for index, start in enumerate(range(0, len(nodes), rows)):
            file = chunk_path(path, depth, index)
            if not file.is_file() or file.stat().st_size != size:
                missing.append((depth, index, nodes[start : start + rows]))
    return missing


def write_chunk(path: Path, depth: int, index: int, features: torch.Tensor) -> None:
    """Put the features of one chunk in place, all or nothing."""
    # A chunk of nothing but NaN is kept, too: it has been tried.
    with _reported(path), zarr.config.set({"array.write_empty_chunks": True}):
        array = zarr.open_array(path / f"depth{depth}" / "features", mode="r+")
        start = index * array.chunks[0]
        array[start : start + len(features)] = features.numpy().astype(array.dtype)


def finish_store(path: Path) -> None:
    """Declare a store complete; remains of killed runs go."""
    with _reported(path):
        for remains in path.rglob("*.partial"):
            remains.unlink()
        root = zarr.open_group(path, mode="r+")
        unread = sum(_count_unread(root[name]["features"]) for name in sorted(root.group_keys()))
        root.attrs.update({"complete": True, "unread": unread})


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
            f"{path} must be free or a feature store to be written, but is something else; move it"
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
            f"the features of {path.stem} cannot be written to {path.parent} "
            f"({error.strerror or error}); make room, or choose another --store"
        ) from error

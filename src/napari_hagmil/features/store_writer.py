"""Write a slide's feature store chunk by chunk, so that a killed run loses one chunk at most."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from napari_hagmil.errors import FeatureStoreError, OutputError, Remedy
from napari_hagmil.features.layout import FeatureTree
from napari_hagmil.features.store_metadata import (
    SCHEMA,
    FeatureKey,
    SlideFrame,
    check_arrays,
    chunk_path,
    chunk_place,
    draft_path,
    grid_facts,
    grids_of,
    key_of,
    read_facts,
    read_nodes,
)
from napari_hagmil.files import move, remove, replacing
from napari_hagmil.ledger import FileFacts, Manifest, file_difference, read_manifest, write_manifest
from napari_hagmil.quadtree import Nodes
from napari_hagmil.untrusted import read_regular

#: Rows of a chunk, which is all that a killed run can lose: seconds of work on a CPU.
CHUNK_ROWS = 512

#: The list of a draft's chunks: SHA-256 and place, a line each.
WRITTEN = "written.txt"

_MAX_WRITTEN = 64 * 2**20


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
    """A slide's feature store while it is filled: a draft beside the stores, until `finish`.

    The files of the draft are known by their hashes: those of the beginning by its manifest, those
    of the chunks by a line each in a list that is only added to.

    Parameters
    ----------
    path : Path
        ``STORE/NAME.zarr``, begun by `begin` now or in an earlier run, or finished.
    folder : Path, optional
        Where its files are; else those of the draft where there is one.

    Attributes
    ----------
    key : FeatureKey
    grids : tuple of PatchGrid
        One per depth.
    n_patches : int
        Of all depths, written or not.

    Raises
    ------
    FeatureStoreError
        When there is no store, or one of another schema.
    """

    def __init__(self, path: Path, *, folder: Path | None = None) -> None:
        if folder is None:
            folder = draft_path(path) if draft_path(path).exists() else path
        self.path, self.folder = path, folder
        facts = read_facts(folder)
        self.key, self.grids = key_of(facts), grids_of(facts)
        self.n_patches = int(facts["patches"])
        self._chunk_rows = int(facts["chunk_rows"])
        try:
            check_arrays(folder, facts)
            self._known = _known_hashes(folder)
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
        frame: SlideFrame | None = None,
    ) -> StoreWriter:
        """Make an empty draft of a slide's store, in the place of another one.

        `frame` says of the slide what is known.

        Raises
        ------
        OutputError
            When it cannot be written, or something else stands where the store will.
        """
        with replacing(draft_path(path)) as draft, _reported(path):
            require_replaceable(path)
            root = zarr.open_group(draft, mode="w", zarr_format=3)
            root.attrs.update(_root_facts(key, tree, chunk_rows, placed, frame or SlideFrame()))
            for depth in range(len(tree.grids)):
                _begin_depth(root.create_group(f"depth{depth}"), key, tree, depth, chunk_rows)
            write_manifest(draft)
        return cls(path)

    @property
    def is_complete(self) -> bool:
        """Whether it was finished, now or in an earlier run."""
        return self.folder == self.path

    def missing(self) -> list[Chunk]:
        """The chunks that are not there, or not as they were written: what is to be encoded."""
        return [chunk for chunk in self._chunks() if not self._is_whole(chunk)]

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
            self._note(chunk, _padded(rows, self._chunk_rows))

    def finish(self) -> int:
        """Check what was written, and put it in its place; returns the rows of NaN, unread patches.

        Raises
        ------
        FeatureStoreError
            When the disk holds something else than was written; `missing` knows what.
        OutputError
            When the store cannot be written.
        """
        with _reported(self.path):
            for draft in _leftovers(self.folder):
                draft.unlink()
            unread = self.count_unread()
            root = zarr.open_group(self.folder, mode="r+", zarr_format=3, use_consolidated=False)
            root.attrs.update({"complete": True, "unread": unread})
            self._check(write_manifest(self.folder, leave_out=[WRITTEN]))
            remove(self.folder / WRITTEN)
            if not self.is_complete:
                require_replaceable(self.path)
                move(self.folder, self.path)
                self.folder = self.path
        return unread

    def count_unread(self) -> int:
        """Rows of NaN among what was written."""
        return sum(_count_unread(self._features(d, mode="r")) for d in range(len(self.grids)))

    def _check(self, found: Manifest) -> None:
        """Compare what can be read again with what was written."""
        wrong = [chunk for chunk in self._chunks() if not self._is_known(chunk, found)]
        if wrong:
            raise FeatureStoreError(
                f"the features of {self.path.stem}",
                f"did not reach the disk as they were written, in {len(wrong)} chunks",
                remedy="check the disk, and run encode again",
            )

    def _chunks(self) -> Iterator[Chunk]:
        rows = self._chunk_rows
        for depth, grid in enumerate(self.grids):
            nodes, _ = read_nodes(self.folder, depth, grid)
            for index, start in enumerate(range(0, len(nodes), rows)):
                yield Chunk(depth, index, nodes[start : start + rows])

    def _is_whole(self, chunk: Chunk) -> bool:
        known = self._known.get(chunk_place(chunk.depth, chunk.index))
        file = chunk_path(self.folder, chunk.depth, chunk.index)
        size = self._chunk_rows * self.key.encoder.n_features * np.dtype(self.key.dtype).itemsize
        return known is not None and not file_difference(file, FileFacts(known, size))

    def _is_known(self, chunk: Chunk, found: Manifest) -> bool:
        place = chunk_place(chunk.depth, chunk.index)
        facts = found.files.get(place)
        return facts is not None and facts.sha256 == self._known.get(place)

    def _note(self, chunk: Chunk, rows: NDArray[Any]) -> None:
        """Add the hash of a chunk that was written to the list, in one piece."""
        place = chunk_place(chunk.depth, chunk.index)
        self._known[place] = hashlib.sha256(rows.tobytes()).hexdigest()
        with (self.folder / WRITTEN).open("ab", buffering=0) as file:
            # The first line break ends what a killed run may have left of a line.
            file.write(f"\n{self._known[place]} {place}\n".encode())

    def _features(self, depth: int, *, mode: Literal["r", "r+"]) -> zarr.Array:
        return zarr.open_array(self.folder / f"depth{depth}" / "features", mode=mode, zarr_format=3)


def _root_facts(
    key: FeatureKey,
    tree: FeatureTree,
    chunk_rows: int,
    placed: bool,
    frame: SlideFrame,
) -> dict[str, Any]:
    """What a store says of itself when it is begun."""
    grids = [grid_facts(grid) for grid in tree.grids]
    return {
        "schema": SCHEMA,
        "complete": False,
        "patches": sum(map(len, tree.nodes)),
        "unread": 0,
        "key": {**asdict(key), "encoder": key.encoder.as_json()},
        "placed": placed,
        "chunk_rows": chunk_rows,
        "grids": grids,
        **frame.facts(),
    }


def _padded(rows: NDArray[Any], n_rows: int) -> NDArray[Any]:
    """A chunk as its file has it: the last one of a depth is filled up with NaN."""
    rest = np.full((n_rows - len(rows), rows.shape[1]), np.nan, dtype=rows.dtype)
    return np.concatenate([rows, rest]).astype(rows.dtype.newbyteorder("<"))


def _known_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the chunks that were written, by place: of the manifest, then of the list."""
    try:
        known = {place: facts.sha256 for place, facts in read_manifest(folder).files.items()}
    except FileNotFoundError:
        known = {}
    with suppress(FileNotFoundError):
        text = read_regular(folder / WRITTEN, _MAX_WRITTEN).decode("ascii", "replace")
        known |= {
            place: sha256 for sha256, _, place in (e.partition(" ") for e in text.split("\n"))
        }
    return known


def _leftovers(folder: Path) -> list[Path]:
    """What killed runs were writing: zarr's drafts of chunks, and ours of documents."""
    return [*folder.rglob("*.partial"), *folder.rglob(".*.tmp")]


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


def require_replaceable(path: Path) -> None:
    """Raise `OutputError` when something stands at `path` that is no feature store."""
    if not path.exists():
        return
    try:
        read_facts(path)
    except FeatureStoreError as error:
        files = ("zarr.json", "manifest.json")
        if (path / "depth0").is_dir() and any((path / name).exists() for name in files):
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

"""Features on disk: a zarr group per slide, read at random by memory mapping.

Each depth is an array of rows in Z-order, in chunks of some hundred rows, uncompressed: features
hardly compress, and a row can be mapped straight from its chunk's file. A store appears whole, with
a manifest of its files; what differs from that is found where it is read.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.features.store_metadata import (
    DTypeName,
    FeatureKey,
    canvas_origin_of,
    check_arrays,
    chunk_path,
    chunk_place,
    draft_path,
    grids_of,
    is_chunk,
    key_of,
    read_facts,
    read_nodes,
    slide_shape_of,
)
from napari_hagmil.files import MAX_NAME, fits_name
from napari_hagmil.ledger import Manifest, file_difference, file_facts, read_manifest
from napari_hagmil.models.config import EncoderFacts
from napari_hagmil.quadtree import Nodes, Quadtree, z_codes

SUFFIX = ".zarr"


class FeatureStore:
    """The stored features of one slide: a `FeatureSource`.

    Pickles as its path, so that worker processes can have one.

    Parameters
    ----------
    path : Path
        ``STORE/NAME.zarr``.

    Attributes
    ----------
    name : str
        The slide's name in its cohort.
    key : FeatureKey
    grids : tuple of PatchGrid
        One per depth that the slide can serve.
    nodes : tuple of (n, 2) int64
        Of each depth in Z-order: the tissue of depth 0, and all children below.
    tissue : tuple of (n,) bool
        Which of them hold tissue themselves.
    n_unread : int
        Rows of NaN: places that could not be decoded, whose features were not finite, or that were
        not among imported features.
    slide_shape : tuple of int
        Height and width of the slide, level-0 px; of the grids where the store does not say.
    canvas_origin : tuple of int
        `Slide.origin`; (0, 0) where the store does not say.
    sha256 : str
        Of the manifest, and thereby of everything; "" in a store without one.
    is_placed : bool
        Whether the nodes' addresses say where they lie on the slide; features imported without
        coordinates have addresses that only say which node is whose child.

    Raises
    ------
    FeatureStoreError
        When it is missing, unfinished, damaged or of another schema. A chunk is compared with the
        manifest when it is first read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name.removesuffix(SUFFIX)
        facts = _complete_facts(path)
        self.key = key_of(facts)
        self.is_placed, self.n_unread = bool(facts["placed"]), int(facts["unread"])
        self.grids = grids_of(facts)
        self.slide_shape = slide_shape_of(facts)
        self.canvas_origin = canvas_origin_of(facts)
        try:
            self._manifest = _checked_manifest(path)
            check_arrays(path, facts)
            read = [read_nodes(path, d, grid) for d, grid in enumerate(self.grids)]
        # Codecs and stores of zarr raise their own kinds.
        except Exception as error:
            raise FeatureStoreError(
                f"the features of {self.name}",
                f"are damaged ({' '.join(str(error).split())})",
                remedy="run encode again, which makes them anew",
            ) from error
        self.nodes: tuple[Nodes, ...] = tuple(nodes for nodes, _ in read)
        self.tissue: tuple[NDArray[np.bool_], ...] = tuple(tissue for _, tissue in read)
        self._codes = tuple(z_codes(nodes) for nodes in self.nodes)
        self.sha256 = file_facts(path / "manifest.json").sha256 if self._manifest else ""
        self._chunk_rows = int(facts["chunk_rows"])
        self._seen: set[str] = set()

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        return FeatureStore, (self.path,)

    @property
    def encoder(self) -> EncoderFacts:
        """The encoder that made the features."""
        return self.key.encoder

    @property
    def n_features(self) -> int:
        """Length of a feature vector."""
        return self.key.encoder.n_features

    @property
    def patch_size(self) -> int:
        """Side of a patch, px."""
        return self.key.patch_size

    @property
    def mpp(self) -> tuple[float, ...]:
        """µm per pixel asked for at each depth that is there, coarse to fine."""
        return self.key.mpp[: len(self.grids)]

    @property
    def quadtree(self) -> Quadtree:
        """Grids and tissue nodes, as a cascade takes them."""
        tissue = (n[held] for n, held in zip(self.nodes, self.tissue, strict=True))
        return Quadtree(self.grids, tuple(tissue))

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32; a row of NaN for what is unread.

        Raises
        ------
        FeatureStoreError
            When a node is none of `nodes`, or a file is damaged.
        """
        rows = self.rows(depth, nodes)
        features = np.empty((len(rows), self.n_features), dtype=np.float32)
        for chunk in np.unique(rows // self._chunk_rows):
            here = rows // self._chunk_rows == chunk
            features[here] = self._chunk(depth, int(chunk))[rows[here] % self._chunk_rows]
        # A value that overflowed would spoil every sum it enters: its patch counts as unread.
        features[~np.isfinite(features).all(axis=1)] = np.nan
        return torch.from_numpy(features)

    def rows(self, depth: int, nodes: Nodes) -> NDArray[np.int64]:
        """Place of each node in `nodes[depth]`, (n,)."""
        codes = self._codes[depth]
        wanted = z_codes(np.asarray(nodes, dtype=np.int64).reshape(-1, 2))
        rows = np.minimum(np.searchsorted(codes, wanted), max(len(codes) - 1, 0))
        if len(wanted) and (not len(codes) or (codes[rows] != wanted).any()):
            lost = nodes[int(np.argmax(codes[rows] != wanted))].tolist() if len(codes) else "any"
            raise FeatureStoreError(
                f"the features of {self.name}",
                f"hold no node {lost} at depth {depth}, since only what lies below the tissue of "
                "depth 0 is stored",
                remedy="ask for its nodes alone",
            )
        return rows.astype(np.int64)

    def _chunk(self, depth: int, index: int) -> NDArray[Any]:
        path, place = chunk_path(self.path, depth, index), chunk_place(depth, index)
        shape = (self._chunk_rows, self.n_features)
        try:
            # A link may lead to any file of the user's, and a pipe never ends.
            if path.is_symlink() or not path.is_file():
                raise ValueError("it is no file of its own")
            rows = np.memmap(path, dtype=f"<{_LETTERS[self.key.dtype]}", mode="r", shape=shape)
        except (OSError, ValueError) as error:
            raise self._damaged(f"chunk {index} of depth {depth} is missing or cut") from error
        if self._manifest is not None and place not in self._seen:
            if not self._manifest.matches(place, rows.data):
                raise self._damaged(f"chunk {index} of depth {depth} is not what was written")
            self._seen.add(place)
        return rows

    def _damaged(self, how: str) -> FeatureStoreError:
        return FeatureStoreError(
            f"the features of {self.name}",
            f"are damaged: {how}",
            remedy="run encode again, which makes what is damaged",
        )


def _checked_manifest(path: Path) -> Manifest | None:
    """The manifest, everything but the chunks compared with it; None of a store without one.

    Raises
    ------
    ManifestError, ValueError
        When it is broken, or another file is not what was written.
    """
    try:
        manifest = read_manifest(path)
    except FileNotFoundError:
        return None
    for place, facts in manifest.files.items():
        wrong = "" if is_chunk(place) else file_difference(path / place, facts)
        if wrong:
            raise ValueError(f"{place} {wrong}")
    return manifest


_LETTERS: dict[DTypeName, str] = {"float32": "f4", "float16": "f2"}


def _complete_facts(path: Path) -> dict[str, Any]:
    """What a store says of itself; one that is still being made has nothing to say."""
    is_begun = draft_path(path).exists() and not path.exists()
    facts = {"complete": False} if is_begun else read_facts(path)
    if not facts["complete"]:
        raise FeatureStoreError(
            f"the features of {path.name.removesuffix(SUFFIX)}",
            "are not complete",
            remedy="run encode again, which goes on where it stopped",
        )
    return facts


def open_store(store: str | Path, slide: SlideRecord | str) -> FeatureStore:
    """Open the features of a slide.

    Parameters
    ----------
    store : path
        The folder that ``encode --store`` was given.
    slide : SlideRecord or str
        The slide, or its name.
    """
    return FeatureStore(store_path(store, slide))


def store_path(store: str | Path, slide: SlideRecord | str) -> Path:
    """Where the features of a slide are kept: ``STORE/NAME.zarr``.

    Raises
    ------
    FeatureStoreError
        When that name is longer than a file's may be.
    """
    name = slide if isinstance(slide, str) else slide.name
    path = Path(store) / f"{name}{SUFFIX}"
    if not fits_name(path):
        raise FeatureStoreError(
            f"the slide {name[:40]}…",
            f"has a name of {len(os.fsencode(name))} bytes, and its features need one of at most "
            f"{MAX_NAME - len(SUFFIX)}",
            remedy="give it a shorter one in the table's column name",
        )
    return path


def difference(kept: FeatureKey, wanted: FeatureKey) -> str:
    """What differs between two keys, in words; "" where nothing does."""
    said: Sequence[tuple[str, object, object]] = (
        ("another slide", kept.fingerprint, wanted.fingerprint),
        ("the reader", kept.reader, wanted.reader),
        ("the pixel size", kept.slide_mpp, wanted.slide_mpp),
        ("the encoder", *_encoders(kept.encoder, wanted.encoder)),
        ("the patch size", kept.patch_size, wanted.patch_size),
        ("the µm per pixel", list(kept.mpp), list(wanted.mpp)),
        ("the type", kept.dtype, wanted.dtype),
        ("the precision", kept.precision, wanted.precision),
        ("the runtime", kept.runtime, wanted.runtime),
        ("the tissue", _tissue(kept), _tissue(wanted)),
    )
    for what, old, new in said:
        if old != new:
            return what if what == "another slide" else f"{what} {_short(old)}, not {_short(new)}"
    return ""


def _encoders(kept: EncoderFacts, wanted: EncoderFacts) -> tuple[object, object]:
    """Both as they are shown, equal where nothing that both know differs."""
    if not wanted.difference(kept) and kept.weights_sha256 == wanted.weights_sha256:
        return "", ""
    said = f"{wanted.name} ({str(wanted.weights_sha256)[:8]}, {wanted.n_features})"
    if kept == wanted:
        return wanted.difference(kept), "as it is now"
    return f"{kept.name} ({str(kept.weights_sha256)[:8]}, {kept.n_features})", said


def _tissue(key: FeatureKey) -> str:
    return f"of the outlines {key.tissue[:8]}" if key.tissue else "as it was detected"


def _short(value: object) -> str:
    return str(value)

"""Import features of others: h5 of CLAM, TRIDENT and STAMP, and the official code's folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import (
    CancelledError,
    FeatureStoreError,
    OutputError,
    SlideFormatError,
)
from napari_hagmil.features.encode import EncodeEvent, failed_event
from napari_hagmil.features.feature_files import Patches, read_h5, read_pt
from napari_hagmil.features.layout import FeatureTree
from napari_hagmil.features.resume import resumed, store_claims
from napari_hagmil.features.store import FeatureStore, store_path
from napari_hagmil.features.store_metadata import DTypeName, FeatureKey, SlideFrame
from napari_hagmil.features.store_writer import CHUNK_ROWS, StoreWriter
from napari_hagmil.models.config import EncoderFacts
from napari_hagmil.quadtree import Nodes, PatchGrid, children, z_codes, z_order
from napari_hagmil.slide import open_slide
from napari_hagmil.slide.canvas import Origin, canvas_origin
from napari_hagmil.slide.formats.file_bytes import fingerprint

Kind = Literal["clam", "trident", "stamp", "official"]

KINDS: tuple[Kind, ...] = ("clam", "trident", "stamp", "official")

#: What the official code's folders end in, coarse to fine.
_OFFICIAL = ("_level_2", "_level_1_corresponding", "_level_0_corresponding")

#: The official code's children are listed down the columns, ours along the rows.
_COLUMN_MAJOR = np.array([0, 2, 1, 3])


@dataclass(frozen=True)
class ImportConfig:
    """Where the features to import are, and what their files do not say.

    Attributes
    ----------
    kind : str
        "clam", "trident", "stamp" or "official".
    folders : tuple of Path
        One per depth, coarse to fine, with NAME.h5 in each; for "official" the folder that
        holds the three.
    encoder : str
        Name of the encoder that made them.
    mpp : tuple of float or None
        µm per pixel of each depth; None: as the files say.
    patch_size : int or None
        px; None: as the files say.
    slide_mpp : float or None
        µm per level-0 pixel of the slides, for coordinates in µm; None: as the slides say.
    dtype, overwrite
        As of `EncodeConfig`.
    """

    kind: Kind
    folders: tuple[Path, ...]
    encoder: str
    mpp: tuple[float, ...] | None = None
    patch_size: int | None = None
    dtype: DTypeName = "float32"
    overwrite: bool = False
    slide_mpp: float | None = None


@dataclass(frozen=True)
class Imported:
    """A slide's features, arranged as a tree.

    Attributes
    ----------
    features : tuple of (n, d) float32
        One row per node of the tree; NaN where the files have none.
    placed : bool
        Whether the nodes' addresses are places on the slide.
    note : str
        What the user should know.
    """

    tree: FeatureTree
    features: tuple[NDArray[np.float32], ...]
    mpp: tuple[float, ...]
    placed: bool
    note: str = ""


def import_cohort(
    records: Sequence[SlideRecord], store: Path, config: ImportConfig
) -> Iterator[EncodeEvent]:
    """Import existing features into a store; a slide that fails is reported as an event.

    Raises
    ------
    FeatureStoreError
        When the folders are not what was said.
    OutputError
        When the store cannot be written.
    """
    folders = _official_folders(config.folders) if config.kind == "official" else config.folders
    for record in records:
        try:
            event = _import_slide(record, folders, store_path(store, record), config)
        except (OutputError, CancelledError):
            raise
        # A foreign file can make its library raise anything; the other slides go on.
        except Exception as error:
            event = failed_event(record.name, error)
        yield event


def _import_slide(
    record: SlideRecord, folders: Sequence[Path], path: Path, config: ImportConfig
) -> EncodeEvent:
    name = record.name
    files = [_file_of(record, folder, config.kind) for folder in folders]
    found, frame = _found(record, files, config)
    key = _key(files, found, config)
    claims = store_claims(path.parent)
    claim = claims.take(name)
    if claim is None:
        who = claims.holder(name) or "another process"
        return EncodeEvent("skipped", name, message=f"{who} is importing it", state="skipped")
    with claim:
        writer = resumed(path, key, overwrite=config.overwrite)
        if writer is None:
            writer = StoreWriter.begin(path, key, found.tree, placed=found.placed, frame=frame)
        if not writer.is_complete:
            _write(writer, found)
    unread = FeatureStore(path).n_unread
    n = writer.n_patches
    return EncodeEvent("done", name, n, n, unread, found.note, "done")


def _file_of(record: SlideRecord, folder: Path, kind: Kind) -> Path:
    """The file with a slide's features, named after the slide with or without its suffix."""
    suffixes = (".pt",) if kind == "official" else (".h5", ".hdf5")
    stems = dict.fromkeys((record.name, f"{record.name}{record.path.suffix}"))
    files = [folder / f"{stem}{suffix}" for stem in stems for suffix in suffixes]
    there = next((file for file in files if file.is_file()), None)
    if there is None:
        raise FeatureStoreError(
            str(files[0]), "does not exist", remedy="give the folders with --features"
        )
    return there


def _found(
    record: SlideRecord, files: Sequence[Path], config: ImportConfig
) -> tuple[Imported, SlideFrame]:
    """A slide's features, and what is known of the slide that they lie on."""
    if config.kind == "official":
        return _official(files, config), SlideFrame()
    if config.kind == "stamp" and config.slide_mpp is None:
        config = replace(config, slide_mpp=_mpp_of_slide(record.path))
    frame = SlideFrame(canvas_origin=canvas_origin(record.path))
    return place_features(files, config, frame.canvas_origin), frame


def _mpp_of_slide(path: Path) -> float | None:
    """µm per level-0 pixel of a slide; None where it is not there or does not say."""
    try:
        with open_slide(path) as slide:
            return slide.mpp
    except (SlideFormatError, OSError):
        return None


def _key(files: Sequence[Path], found: Imported, config: ImportConfig) -> FeatureKey:
    return FeatureKey(
        fingerprint=" ".join(fingerprint(file)[:16] for file in files),
        reader=config.kind,
        slide_mpp=None,
        encoder=EncoderFacts(config.encoder, None, found.features[0].shape[1]),
        patch_size=found.tree.grids[0].patch_size,
        mpp=found.mpp,
        dtype=config.dtype,
    )


def _write(writer: StoreWriter, found: Imported) -> None:
    for chunk in writer.missing():
        start = chunk.index * CHUNK_ROWS
        rows = found.features[chunk.depth][start : start + len(chunk.nodes)]
        writer.write(chunk, torch.from_numpy(rows))
    writer.finish()


def _official_folders(given: Sequence[Path]) -> list[Path]:
    """The three folders with .pt files, coarse to fine."""
    if len(given) != 1:
        raise FeatureStoreError(
            "official features",
            "lie in one folder with three in it",
            value=f"{len(given)} --features",
            remedy="give one",
        )
    first = [given[0]] if given[0].name.endswith(_OFFICIAL[0]) else []
    first = first or sorted(given[0].glob(f"*{_OFFICIAL[0]}"))
    if len(first) != 1:
        raise FeatureStoreError(
            str(given[0]),
            f"holds {len(first)} folders that end in {_OFFICIAL[0]}, and one is needed",
            remedy="give the folder that holds it, or the folder itself",
        )
    stem = str(first[0]).removesuffix(_OFFICIAL[0])
    return [Path(stem + ending) / "pt_files" for ending in _OFFICIAL]


def _official(files: Sequence[Path], config: ImportConfig) -> Imported:
    """Three bags without places, the children of row i at rows 4i … 4i+3 of the next."""
    bags = [read_pt(file) for file in files]
    nodes = [_virtual_nodes(len(bags[0]))]
    order = np.arange(len(bags[0]))
    features = [bags[0]]
    for coarse, fine in pairwise(bags):
        if fine.shape != (4 * len(coarse), coarse.shape[1]):
            raise FeatureStoreError(
                files[0].stem,
                f"has {len(fine)} patches below {len(coarse)}, where four for each are needed",
                remedy="make its bags again",
            )
        order = (4 * order[:, None] + _COLUMN_MAJOR).ravel()
        features.append(fine[order])
        nodes.append(children(nodes[-1]))
    mpp = config.mpp or (1.0, 0.5, 0.25)
    size = config.patch_size or 256
    side = int(nodes[0].max(initial=0)) + 1
    grids = tuple(PatchGrid(size, 4.0 / 2**d, (side << d, side << d)) for d in range(3))
    tissue = tuple(np.ones(len(some), dtype=bool) for some in nodes)
    return Imported(FeatureTree(grids, tuple(nodes), tissue), tuple(features), mpp, placed=False)


def _virtual_nodes(n: int) -> Nodes:
    """Addresses whose Z-order is the order of the file."""
    nodes = np.zeros((1, 2), dtype=np.int64)
    while len(nodes) < n:
        nodes = children(nodes)
    return nodes[:n]


def place_features(files: Sequence[Path], config: ImportConfig, origin: Origin) -> Imported:
    """Bags with coordinates, one per depth, on one grid; they count from the canvas's `origin`."""
    read = (
        read_h5(file, patch_size=config.patch_size, slide_mpp=config.slide_mpp) for file in files
    )
    bags = [replace(bag, coords=bag.coords - origin) for bag in read]
    is_spaced = any(bag.side for bag in bags)
    if not all(bag.side for bag in bags):
        bags = _spaced(files, bags, config)
    span, corner = _lattice(bags[0]) if len(bags) == 1 else (1, _corner(bags[0]))
    if len(bags) > 1:
        aligned = all(bag.is_on_grid(corner) and not bag.overlaps for bag in bags)
        _require_halving(files[0].stem, bags, aligned=aligned)
    known = [bag.nodes(corner, span) for bag in bags]
    nodes = [_in_z_order(known[0])]
    for _ in bags[1:]:
        nodes.append(children(nodes[-1]))
    rows = [_rows(some, among) for some, among in zip(nodes, known, strict=True)]
    features = tuple(_taken(bag.features, at) for bag, at in zip(bags, rows, strict=True))
    grids = _grids(bags, nodes[0], span, corner)
    tree = FeatureTree(grids, tuple(nodes), tuple(at >= 0 for at in rows))
    return Imported(
        tree,
        features,
        _mpp(files[0].stem, bags, config),
        placed=is_spaced,
        note=" ".join(
            filter(None, (_left_out(known, nodes, rows), "" if is_spaced else _UNSPACED))
        ),
    )


def _grids(
    bags: Sequence[Patches], coarsest: Nodes, span: int, corner: NDArray[np.float64]
) -> tuple[PatchGrid, ...]:
    """The grid of each bag; those of finer depths cover what the coarsest does."""
    height, width = (int(last) + span for last in coarsest.max(axis=0))
    y, x = corner.tolist()
    shapes = [(height << d, width << d) for d in range(len(bags))]
    return tuple(
        PatchGrid(bag.patch_size, bag.side / bag.patch_size, shape, span, (y, x))
        for bag, shape in zip(bags, shapes, strict=True)
    )


def _corner(bag: Patches, span: int = 1) -> NDArray[np.float64]:
    """Where the grid begins, px (y, x): before 0 where patches reach over the scan's edge."""
    first, step = bag.coords.min(axis=0), bag.side / span
    return np.asarray(first - np.maximum(first // step, 0) * step)


def _lattice(bag: Patches) -> tuple[int, NDArray[np.float64]]:
    """The span and corner of a grid with a place for every patch of one depth.

    CLAM begins a grid at every contour, and patches may overlap. The addresses are as coarse as
    puts each patch to a pixel; where none do, a patch lies within a sixteenth of its side.
    """
    span, corner = 1, _corner(bag)
    n_places = len(np.unique(bag.coords, axis=0))
    for span in _SPANS:
        corner = _corner(bag, span)
        nodes = bag.nodes(corner, span)
        is_near = span >= _FINE or bag.is_on_grid(corner, span)
        if is_near and len(np.unique(nodes, axis=0)) == n_places:
            break
    return span, corner


#: Addresses that a patch may reach over, and from where on they are fine enough.
_SPANS, _FINE = (1, 2, 4, 8, 16, 32), 8


#: A slide of one patch, or of patches none of which share a row or a column.
_UNSPACED = (
    "Its patches do not say how far apart they lie, so that they have no places on the slide."
)

#: Files of other slides to look into for the distance between patches.
_NEIGHBOURS = 16


def _spaced(files: Sequence[Path], bags: Sequence[Patches], config: ImportConfig) -> list[Patches]:
    """The bags with the distance between patches that their files leave open.

    It is that of another depth of the slide, else that of other slides in the folder, else the
    size of a patch: patches that do not overlap keep addresses of their own.
    """
    known = [bag.side * 2.0**depth for depth, bag in enumerate(bags) if bag.side]
    coarsest = known[0] if known else _stride_beside(files[0], config) or bags[0].patch_size
    return [replace(bag, side=bag.side or coarsest / 2**depth) for depth, bag in enumerate(bags)]


def _stride_beside(file: Path, config: ImportConfig) -> float:
    """The distance between patches in the first file of the folder that has one; 0 in none."""
    others = (other for other in sorted(file.parent.glob("*.h5")) if other != file)
    for other in islice(others, _NEIGHBOURS):
        try:
            stride = read_h5(other, patch_size=config.patch_size, slide_mpp=config.slide_mpp).side
        except FeatureStoreError:
            continue  # it will be reported as itself
        if stride:
            return stride
    return 0.0


def _require_halving(name: str, bags: Sequence[Patches], *, aligned: bool) -> None:
    strides = [bag.side for bag in bags]
    halves = np.allclose(strides, [strides[0] / 2**d for d in range(len(bags))], rtol=1e-3)
    alike = len({(bag.patch_size, bag.features.shape[1]) for bag in bags}) == 1
    if not (halves and aligned and alike):
        raise FeatureStoreError(
            f"the patches of {name}",
            "are not of one kind, on a grid that halves from depth to depth (every "
            f"{', '.join(f'{s:g}' for s in strides)} px)",
            remedy="import one depth alone",
        )


def _in_z_order(nodes: Nodes) -> Nodes:
    once = np.unique(nodes, axis=0)
    return once[z_order(once)]


def _rows(nodes: Nodes, among: Nodes) -> NDArray[np.int64]:
    """The first place of each node in a list, -1 where it is not there."""
    codes, first = np.unique(z_codes(among), return_index=True)
    wanted = z_codes(nodes)
    at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[at] == wanted, first[at], -1)


def _taken(features: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    taken = features[rows]
    taken[rows < 0] = np.nan
    return taken


def _mpp(name: str, bags: Sequence[Patches], config: ImportConfig) -> tuple[float, ...]:
    if config.mpp is not None:
        if len(config.mpp) != len(bags):
            raise FeatureStoreError(
                f"{len(bags)} folders of features",
                "need a pixel size each",
                value=f"{len(config.mpp)} µm per pixel",
                remedy="give one each with --depths",
            )
        return config.mpp
    found = tuple(bag.mpp for bag in bags)
    if None in found:
        raise FeatureStoreError(
            f"the features of {name}",
            "do not say their µm per pixel",
            remedy="give them with --depths",
        )
    return tuple(mpp for mpp in found if mpp is not None)


def _left_out(
    known: Sequence[Nodes], nodes: Sequence[Nodes], rows: Sequence[NDArray[np.int64]]
) -> str:
    """What of the files has no place in the tree."""
    lost = sum(len(k) - int((at >= 0).sum()) for k, at in zip(known, rows, strict=True))
    if not lost:
        return ""
    return f"{lost} of {sum(map(len, known))} patches have no place of their own on the grid."

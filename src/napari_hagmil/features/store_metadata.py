"""Read a feature store's metadata, and trust them only as far as they match our own layout.

A store may come from anybody. Zarr follows what its metadata say: other codecs (numcodecs' pickle
runs code), consolidated copies that differ from the arrays, sizes that fill the memory. So the
metadata are read as plain JSON, compared with what `StoreWriter` writes, and each array is opened
by its own document, through the same guard of chunks as slides in OME-Zarr.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.models.config import EncoderFacts, PixelColors
from napari_hagmil.quadtree import Nodes, PatchGrid, z_codes
from napari_hagmil.slide.formats.ome_zarr.guard import chunk_check, compressor_of
from napari_hagmil.slide.formats.ome_zarr.store import open_guarded
from napari_hagmil.untrusted import read_json

SCHEMA = "napari-hagmil/features/1"

DTypeName = Literal["float32", "float16"]

#: Rows of one depth: 400,000 px a side have 2.5 million patches of 256 px.
MAX_ROWS = 2**24

#: Addresses that one patch reaches over: half a pixel of a small one.
MAX_SPAN = 64

#: Bytes of a metadata document; ours have some 2 KB.
_MAX_DOCUMENT = 2**20


@dataclass(frozen=True, slots=True)
class FeatureKey:
    """The identity of stored features: slide, encoder, depths and settings.

    Attributes
    ----------
    fingerprint : str
        Of the slide's content; "" for imported features.
    reader : str
        The backend that decoded it, or whose features were imported: "tiff", "clam".
    slide_mpp : float or None
        µm per level-0 pixel.
    encoder : EncoderFacts
    patch_size : int
        px.
    mpp : tuple of float
        µm per pixel asked for at each depth, coarse to fine.
    dtype : str
        "float32", or "float16" for half the space and three digits.
    precision : str
        What the encoder computed in, "float32" or "bfloat16": it follows from the device.
    runtime : str
        What ran the encoder, "torch" or "onnxruntime": features differ in their last digits. Stores
        that do not say were made with torch.
    tissue : str
        SHA-256 of the file with the tissue's outlines; "" where the tissue was detected.
    """

    fingerprint: str
    reader: str
    slide_mpp: float | None
    encoder: EncoderFacts
    patch_size: int
    mpp: tuple[float, ...]
    dtype: DTypeName = "float32"
    precision: str = "float32"
    runtime: str = "torch"
    tissue: str = ""


def draft_path(path: Path) -> Path:
    """Where the store ``STORE/NAME.zarr`` is made before it is put in its place."""
    return path.parent / ".begun" / path.name


def chunk_place(depth: int, index: int) -> str:
    """The place of one chunk of rows within its store."""
    return f"depth{depth}/features/c/{index}/0"


def chunk_path(path: Path, depth: int, index: int) -> Path:
    """The file of one chunk of rows."""
    return path / chunk_place(depth, index)


def is_chunk(place: str) -> bool:
    """Whether a file of a store holds features: all others say which they are."""
    parts = place.split("/")
    return len(parts) == 5 and parts[1:3] == ["features", "c"]


def read_facts(path: Path) -> dict[str, Any]:
    """Read the metadata of a store, every entry checked.

    Raises
    ------
    FeatureStoreError
        When there is none, of another schema, or with entries that no store of ours has.
    """
    name = path.name.removesuffix(".zarr")
    try:
        facts = _attributes(path)
        schema = facts.get("schema")
    except FileNotFoundError as error:
        raise FeatureStoreError(
            f"the features of {name}",
            f"are not in {path.parent}",
            remedy="run encode with this --store",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FeatureStoreError(
            f"the features of {name}",
            f"cannot be read ({error!r})",
            remedy="encode the slide with --overwrite",
        ) from error
    if schema != SCHEMA:
        raise FeatureStoreError(
            f"the features of {name}",
            f"have the schema {schema!r:.80}, not {SCHEMA!r}",
            remedy="encode the slide with --overwrite, or take the version that wrote them",
        )
    wrong = _first_wrong(facts)
    if wrong:
        raise FeatureStoreError(
            f"the features of {name}",
            f"say {wrong}, which no store of this package does",
            remedy="encode the slide with --overwrite",
        )
    return dict(facts)


def is_of_another_schema(path: Path) -> bool:
    """Whether a store says of itself, legibly, that another version made it."""
    try:
        schema = _attributes(path)["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(schema, str) and schema != SCHEMA


def _attributes(path: Path) -> Any:
    return read_json(path / "zarr.json", limit=_MAX_DOCUMENT)["attributes"]


def key_of(facts: Mapping[str, Any]) -> FeatureKey:
    """The key among a store's facts."""
    key = dict(facts["key"])
    key["encoder"] = EncoderFacts(**key["encoder"])
    key["mpp"] = tuple(key["mpp"])
    return FeatureKey(**key)


def grid_facts(grid: PatchGrid) -> dict[str, Any]:
    """A grid as a store says it; what only the patches of others have, only where they do."""
    facts: dict[str, Any] = {"downsample": grid.downsample, "shape": list(grid.shape)}
    if grid.span != 1 or any(grid.origin):
        facts |= {"span": grid.span, "origin": list(grid.origin)}
    return facts


def grids_of(facts: Mapping[str, Any]) -> tuple[PatchGrid, ...]:
    """The grids among a store's facts, one per depth."""
    size = facts["key"]["patch_size"]
    return tuple(
        PatchGrid(
            size,
            g["downsample"],
            tuple(g["shape"]),
            g.get("span", 1),
            tuple(g.get("origin", (0.0, 0.0))),
        )
        for g in facts["grids"]
    )


@dataclass(frozen=True, slots=True)
class SlideFrame:
    """The slide that the places of stored features lie on, where it is known.

    Attributes
    ----------
    shape : (2,) int or None
        Height and width, level-0 px.
    canvas_origin : (2,) int
        `Slide.origin`: others count from the corner of the canvas.
    """

    shape: tuple[int, int] | None = None
    canvas_origin: tuple[int, int] = (0, 0)

    def facts(self) -> dict[str, Any]:
        """What a store says of it; nothing that is not known."""
        shape = {} if self.shape is None else {"slide_shape": list(self.shape)}
        y, x = self.canvas_origin
        return shape | ({"canvas_origin": [y, x]} if y or x else {})


def canvas_origin_of(facts: Mapping[str, Any]) -> tuple[int, int]:
    """Canvas pixel (y, x) on which the slide begins; (0, 0) where a store does not say."""
    y, x = facts.get("canvas_origin", (0, 0))
    return int(y), int(x)


def slide_shape_of(facts: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the slide, level-0 px; what the finest grid covers if not said."""
    if "slide_shape" in facts:
        height, width = facts["slide_shape"]
        return height, width
    grid = grids_of(facts)[-1]
    height, width = (math.ceil(n * grid.stride) for n in grid.shape)
    return height, width


def check_arrays(path: Path, facts: Mapping[str, Any]) -> None:
    """Compare the metadata of all arrays of a store with what is written for these facts.

    Raises
    ------
    OSError, ValueError
        When a document is missing, or says anything else.
    """
    width, dtype = facts["key"]["encoder"]["n_features"], facts["key"]["dtype"]
    n_all = 0
    for depth in range(len(facts["grids"])):
        folder = path / f"depth{depth}"
        n_rows = _row_count(folder / "features")
        expected: dict[str, tuple[list[int], list[int], str]] = {
            "nodes": ([n_rows, 2], [max(1, n_rows), 2], "int64"),
            "tissue": ([n_rows], [max(1, n_rows)], "bool"),
            "features": ([n_rows, width], [facts["chunk_rows"], width], dtype),
        }
        for name, (shape, chunks, kind) in expected.items():
            codecs = {"bytes"} if name == "features" else {"bytes", "zstd"}
            _check_array(folder / name, shape, chunks, kind, codecs)
        n_all += n_rows
    if n_all != facts["patches"]:
        raise ValueError(f"its arrays have {n_all} rows where {facts['patches']} patches are said")


def read_nodes(path: Path, depth: int, grid: PatchGrid) -> tuple[Nodes, NDArray[np.bool_]]:
    """The nodes of a depth, (n, 2), and which of them hold tissue, (n,).

    Call `check_arrays` before: their sizes are believed here.

    Raises
    ------
    ValueError
        When they are not the addresses of a grid in Z-order. The codecs have errors of their own.
    """
    store = open_guarded(path)
    try:
        nodes, tissue = (_read_array(store, f"depth{depth}/{name}") for name in ("nodes", "tissue"))
    finally:
        store.close()
    if len(nodes) and (nodes.min() < 0 or (nodes.max(axis=0) >= np.array(grid.shape)).any()):
        raise ValueError(f"nodes of depth {depth} lie outside its grid")
    if (np.diff(z_codes(nodes)) <= 0).any():
        raise ValueError(f"the nodes of depth {depth} are not in Z-order")
    return nodes, tissue


def _read_array(store: Any, place: str) -> NDArray[Any]:
    array = zarr.open_array(store, path=place, mode="r", zarr_format=3)
    store.checks[place] = chunk_check(array, compressor_of(array, place))
    return np.asarray(array[:])


def _row_count(features: Path) -> int:
    shape = read_json(features / "zarr.json", limit=_MAX_DOCUMENT)["shape"]
    if not (isinstance(shape, list) and len(shape) == 2 and _is_count(shape[0])):
        raise ValueError(f"its features have the shape {shape!r:.80}")
    if shape[0] > MAX_ROWS:
        raise ValueError(f"it declares {shape[0]} patches, more than any slide has ({MAX_ROWS})")
    return int(shape[0])


def _check_array(
    folder: Path, shape: list[int], chunks: list[int], dtype: str, codecs: set[str]
) -> None:
    said = read_json(folder / "zarr.json", limit=_MAX_DOCUMENT)
    place = f"{folder.parent.name}/{folder.name}"
    try:
        found = (
            (said["zarr_format"], said["node_type"], said["data_type"], said["shape"]),
            (said["chunk_grid"]["name"], said["chunk_grid"]["configuration"]["chunk_shape"]),
            said["chunk_key_encoding"],
            {codec["name"] for codec in said["codecs"]} - codecs,
            said.get("storage_transformers") or [],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the metadata of {place} are not those of an array") from error
    keys = {"name": "default", "configuration": {"separator": "/"}}
    unknown: set[str] = set()
    expected: tuple[object, ...] = (
        (3, "array", dtype, shape),
        ("regular", chunks),
        keys,
        unknown,
        [],
    )
    if found != expected:
        raise ValueError(f"the metadata of {place} are not as this package writes them")


def _first_wrong(facts: Mapping[str, Any]) -> str:
    """The first entry that does not fit, in words; empty when all do."""
    key = facts.get("key")
    encoder = key.get("encoder") if isinstance(key, dict) else None
    grids = facts.get("grids")
    if not isinstance(key, dict) or not isinstance(encoder, dict):
        return "nothing of slide and encoder"
    if not isinstance(grids, list) or not 1 <= len(grids) <= _MAX_DEPTHS:
        return "nothing of its grids"
    if not all(isinstance(grid, dict) for grid in grids):
        return "nothing of its grids"
    tables = [(facts, _FACTS), (key, _KEY), (encoder, _ENCODER), *((g, _GRID) for g in grids)]
    for table, checks in tables:
        for name, fits in checks.items():
            if name not in table and name in _LATER:
                continue
            if name not in table or not fits(table[name]):
                return f"{name} {table.get(name)!r:.60}"
    if not _is_numbers(encoder.get("mpp", [])):  # which a key must have, and an encoder may
        return f"mpp {encoder['mpp']!r:.60}"
    if set(key) - set(_KEY) - {"encoder"} or set(encoder) - set(_ENCODER) - {"mpp"}:
        return "entries that are not known"
    return "fewer µm per pixel than depths" if len(key["mpp"]) < len(grids) else ""


_MAX_DEPTHS = 12

_Check = Callable[[Any], bool]


def _is_count(value: Any, most: int = 2**40) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _is_size(most: int) -> _Check:
    return lambda value: _is_count(value, most) and value > 0


def _is_length(value: Any) -> bool:
    """A positive number that no product with a slide's side overflows."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and 1e-6 < value < 1e6


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 2000


def _is_place(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 2 and all(x == 0 or _is_length(x) for x in value)
    )


def _is_numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) < 100
        and all(isinstance(x, int | float) and -1e6 < x < 1e6 for x in value)
    )


def _is_corner(value: Any) -> bool:
    """A place, or one before the slide's corner: patches may reach over its edge."""
    return _is_numbers(value) and _is_place([abs(x) for x in value])


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_size(2**26), value))


_FACTS: dict[str, _Check] = {
    "complete": lambda value: isinstance(value, bool),
    "placed": lambda value: isinstance(value, bool),
    "patches": _is_count,
    "unread": _is_count,
    "chunk_rows": _is_size(2**20),
    "slide_shape": _is_shape,
    "canvas_origin": _is_place,
}
_KEY: dict[str, _Check] = {
    "fingerprint": _is_text,
    "reader": _is_text,
    "slide_mpp": lambda value: value is None or _is_length(value),
    "patch_size": _is_size(2**16),
    "mpp": lambda value: isinstance(value, list) and all(map(_is_length, value)),
    "dtype": lambda value: value in get_args(DTypeName),
    "precision": _is_text,
    "runtime": _is_text,
    "tissue": _is_text,
}
#: Entries that stores of earlier versions lack.
_LATER = {"mean", "std", "tissue", "runtime", "slide_shape", "span", "origin"}
_LATER |= {"canvas_origin", "colors"}
_ENCODER: dict[str, _Check] = {
    "name": _is_text,
    "weights_sha256": lambda value: value is None or _is_text(value),
    "n_features": _is_size(2**16),
    "mean": _is_numbers,
    "std": _is_numbers,
    "colors": lambda value: value in get_args(PixelColors),
}
_GRID: dict[str, _Check] = {
    "downsample": _is_length,
    "shape": _is_shape,
    "span": _is_size(MAX_SPAN),
    "origin": _is_corner,
}

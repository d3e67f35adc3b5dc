"""One depth of stored features: as the h5 files that other programs read, or as a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.errors import FeatureStoreError, MissingExtraError
from napari_hagmil.features.layout import FeatureTree
from napari_hagmil.features.store import SUFFIX, FeatureStore
from napari_hagmil.features.store_metadata import SlideFrame
from napari_hagmil.features.store_writer import StoreWriter
from napari_hagmil.files import replacing
from napari_hagmil.geometry import MPP_AT_1X

ExportKind = Literal["clam", "trident", "stamp", "store"]


@dataclass(frozen=True)
class _Rows:
    """The readable patches of one depth: features (n, d), corners x, y (n, 2) level-0 px."""

    features: NDArray[np.float32]
    corners: NDArray[np.int64]


def export_store(store: FeatureStore, kind: ExportKind, out: Path, *, depth: int = 0) -> Path:
    """Write one depth of a slide's features as a file of another program.

    CLAM: ``h5_files/NAME.h5`` and ``pt_files/NAME.pt``; TRIDENT: ``features_ENCODER/NAME.h5``;
    STAMP: ``ENCODER/NAME.h5``, with coordinates in µm; store: ``NAME.zarr`` with that depth alone.
    Bare glass is left out, and in the files of others what could not be read. Coordinates count
    from the corner of the canvas, as these programs do.

    Returns
    -------
    Path
        The h5 file, or the store.

    Raises
    ------
    FeatureStoreError
        When the store has no such depth, or no places on the slide, or is to be replaced by one of
        its depths.
    MissingExtraError
        When h5py is not installed.
    OutputError
        When a file cannot be written.
    """
    if not (store.is_placed and 0 <= depth < len(store.grids)):
        raise FeatureStoreError(
            f"the features of {store.name}",
            f"need a depth {depth} with places on the slide",
            value=f"{len(store.grids)} depths, {'with' if store.is_placed else 'without'} places",
            remedy="export another depth, or another store",
        )
    if kind == "store":
        return _single_depth(store, out, depth)
    rows, encoder = _rows(store, depth), store.encoder.name.replace("/", "-").replace(":", "-")
    folder = {"clam": "h5_files", "trident": f"features_{encoder}", "stamp": encoder}[kind]
    path = out / folder / f"{store.name}.h5"
    if kind == "stamp":
        _write_h5(path, _stamp(store, depth, rows))
        return path
    data = {"features": rows.features, "coords": rows.corners.astype(np.int32)}
    # CLAM reads the arrays alone; others can tell where its patches end.
    _write_h5(path, (data, {}), _patches(store, depth))
    if kind == "clam":
        tensor = out / "pt_files" / f"{store.name}.pt"
        tensor.parent.mkdir(parents=True, exist_ok=True)
        with replacing(tensor) as draft:
            torch.save(torch.from_numpy(rows.features), draft)
    return path


def _single_depth(store: FeatureStore, out: Path, depth: int) -> Path:
    """A store of one depth of a cascade's: what models of one depth are trained on elsewhere."""
    path = out / f"{store.name}{SUFFIX}"
    if path.resolve() == store.path.resolve():
        raise FeatureStoreError(
            f"the features of {store.name}",
            "would be replaced by one of their depths",
            remedy="choose another folder with --out",
        )
    held = store.tissue[depth]
    nodes = store.nodes[depth][held]
    tree = FeatureTree((store.grids[depth],), (nodes,), (np.ones(len(nodes), bool),))
    key = replace(store.key, mpp=(store.mpp[depth],))
    frame = SlideFrame(store.slide_shape, store.canvas_origin)
    writer = StoreWriter.begin(path, key, tree, frame=frame)
    for chunk in writer.missing():
        writer.write(chunk, store(depth, chunk.nodes))
    writer.finish()
    return path


def _rows(store: FeatureStore, depth: int) -> _Rows:
    nodes = store.nodes[depth][store.tissue[depth]]
    features = store(depth, nodes).numpy()
    read = np.isfinite(features).all(axis=1)
    corners = store.grids[depth].edges(nodes[read])[:, :2] + store.canvas_origin
    return _Rows(features[read], corners[:, ::-1])


def _mpp(store: FeatureStore, depth: int) -> tuple[float, float]:
    """µm per pixel of level 0 and of a depth's patches."""
    downsample = store.grids[depth].downsample
    level0 = store.key.slide_mpp or store.mpp[depth] / downsample
    return level0, level0 * downsample


def _patches(store: FeatureStore, depth: int) -> dict[str, Any]:
    """What TRIDENT says of its coords, in their attributes."""
    grid = store.grids[depth]
    level0, mpp = _mpp(store, depth)
    return {
        "patch_size": grid.patch_size,
        "patch_size_level0": round(grid.side),
        "level0_magnification": _magnification(level0),
        "target_magnification": _magnification(mpp),
        "overlap": round(grid.patch_size * (1 - _step(store, depth))),
        "name": store.name,
        "savetodir": "",
        "encoder": store.encoder.name,
    }


def _step(store: FeatureStore, depth: int) -> float:
    """From patch to patch, as a share of a patch's side; at most 1."""
    nodes, span = store.nodes[depth], store.grids[depth].span
    if span == 1:
        return 1.0
    steps = np.diff(np.unique(nodes[:, 1]))
    return min(1.0, float(np.median(steps)) / span) if len(steps) else 1.0


def _magnification(mpp: float) -> int | float:
    """As TRIDENT has it: a whole number where it is nearly one."""
    value = MPP_AT_1X / mpp
    return round(value) if abs(value - round(value)) < 0.02 * value and value >= 1 else value


def _stamp(store: FeatureStore, depth: int, rows: _Rows) -> tuple[dict[str, Any], dict[str, Any]]:
    """Datasets and attributes of a file of STAMP 2.1 and later."""
    level0, _ = _mpp(store, depth)
    grid = store.grids[depth]
    data = {
        "feats": rows.features.astype(np.float16),
        "coords": (rows.corners * level0).astype(np.float32),
    }
    facts = {
        "extractor": store.encoder.name,
        "unit": "um",
        "tile_size_um": grid.side * level0,
        "tile_size_px": grid.patch_size,
        "feat_type": "tile",
    }
    return data, facts


def _write_h5(
    path: Path,
    content: tuple[Mapping[str, Any], Mapping[str, Any]],
    of_coords: Mapping[str, Any] | None = None,
) -> None:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(
            "h5 files",
            "need the package h5py, which is not installed",
            remedy="run pip install 'napari-hagmil[h5]'",
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, h5py.File(draft, "w") as file:
        for name, data in content[0].items():
            file[name] = data
        file.attrs.update(content[1])
        file["coords"].attrs.update(of_coords or {})

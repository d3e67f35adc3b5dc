"""Stored features in place of an encoder: find them, check them, and serve them to a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.errors import FeatureStoreError, NoTissueError, Remedy
from napari_hagmil.features.feature_files import read_h5
from napari_hagmil.features.importers import KINDS, ImportConfig, place_features
from napari_hagmil.features.sources import EncodingProgress, FeatureSource
from napari_hagmil.features.store import SUFFIX, FeatureStore
from napari_hagmil.models import BundleConfig, EncoderFacts
from napari_hagmil.quadtree import Nodes, Quadtree, z_codes
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import MASK_MPP, TissueMask

#: How far the µm that a patch shows may be from those that a model learned on.
_SCALE = 1.25

#: Folders name the encoder of the features in them: TRIDENT's ``features_uni_v1``.
_FOLDER = "features_"


@dataclass(frozen=True)
class GivenFiles:
    """The files with the features of one slide.

    Attributes
    ----------
    files : tuple of Path
        One store, or an h5 file per depth, coarse to fine.
    """

    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Their name for messages, without folders."""
        return ", ".join(file.name for file in self.files)


class GivenFeatures:
    """Serves stored features to a run; nothing is read from the slide or encoded.

    Parameters
    ----------
    source : FeatureSource
        Answers for all nodes of `quadtree`, and all children of those of depth 0.
    quadtree : Quadtree
        Where they lie on the slide.
    name : str
        Of their files, for messages.
    note : str
        What the user should know of them; may be empty.

    Attributes
    ----------
    encoder : None
        Always None.
    patches_encoded : int
        Always 0.
    seconds : dict
        Wall time spent in "read" and "encode".
    """

    encoder = None
    patches_encoded = 0

    def __init__(
        self, source: FeatureSource, quadtree: Quadtree, name: str, note: str = ""
    ) -> None:
        self.source, self.quadtree, self.name, self.note = source, quadtree, name, note
        self.on_progress: Callable[[EncodingProgress], None] | None = None
        self.seconds = {"read": 0.0, "encode": 0.0}

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32; a row of NaN for what is unread."""
        started = time.perf_counter()
        found = self.source(depth, nodes)
        self.seconds["read"] += time.perf_counter() - started
        if self.on_progress is not None:
            self.on_progress(EncodingProgress(depth, len(nodes), len(nodes)))
        return found

    def missing(self, depth: int, nodes: Nodes) -> Nodes:
        """The nodes that would have to be encoded: none."""
        return nodes[:0]

    def within(self, slide: Slide, tissue: TissueMask) -> Quadtree:
        """Those of the nodes whose patches have their centre in a tissue mask.

        Raises
        ------
        NoTissueError
            When there are none.
        """
        kept = tuple(
            nodes[_marked(tissue, grid.centres(nodes))]
            for grid, nodes in zip(self.quadtree.grids, self.quadtree.nodes, strict=True)
        )
        if not len(kept[0]):
            raise NoTissueError(
                slide.name,
                "has no stored features in the tissue that is drawn",
                remedy="draw more, or take the tissue of the features",
            )
        return Quadtree(self.quadtree.grids, kept)

    def tissue(self, slide: Slide) -> TissueMask:
        """The places with features of the finest depth, as a mask."""
        downsample = max(1.0, MASK_MPP / slide.require_mpp())
        values = np.zeros([int(np.ceil(side / downsample)) for side in slide.shape], dtype=bool)
        edges = self.quadtree.grids[-1].edges_on(self.quadtree.nodes[-1], slide.shape)
        for y0, x0, y1, x1 in np.rint(edges / downsample).astype(int).tolist():
            values[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
        return TissueMask(values, downsample)


def open_given(slide: Slide, places: Sequence[Path], config: BundleConfig) -> GivenFeatures:
    """Open the features of a slide for a model, and check them against both.

    Parameters
    ----------
    slide : Slide
        With a pixel size.
    places : sequence of Path
        A store, an h5 file with coordinates (CLAM, TRIDENT, STAMP), or a folder of either; h5 once
        per depth, coarse to fine.
    config : BundleConfig
        Of the model.

    Raises
    ------
    FeatureStoreError
        When they are not there, not of this slide, or of another scale.
    BundleError
        When they are of another encoder, or of another length.
    """
    given = find_given(slide.path, places)
    if given.files[0].suffix == SUFFIX:
        found = _of_store(slide, given, config)
    else:
        found = _of_h5(slide, given, config)
    _check_places(slide, found)
    _check_scale(slide, found, config)
    return found


def find_given(slide: Path, places: Sequence[Path]) -> GivenFiles:
    """Find the files with a slide's features: as given, or by its name in the folders given.

    Raises
    ------
    FeatureStoreError
        When there are none, or more than one kind.
    """
    files = tuple(_found(slide, place) for place in places)
    if not files or (len(files) > 1 and any(file.suffix == SUFFIX for file in files)):
        raise FeatureStoreError(
            "stored features",
            "are one store, or an h5 file per depth from coarse to fine",
            value=f"{len(files)} files",
            remedy="give a store alone",
        )
    return GivenFiles(files)


def _found(slide: Path, place: Path) -> Path:
    if place.suffix in (SUFFIX, ".h5", ".hdf5") and place.exists():
        return place
    if not place.is_dir():
        raise FeatureStoreError(
            str(place),
            "is no feature store, h5 file or folder of them",
            remedy="give NAME.zarr, NAME.h5 or the folder that holds it",
        )
    stems = (slide.name, slide.stem, slide.name.split(".")[0])
    for name in (f"{stem}{suffix}" for stem in stems for suffix in (SUFFIX, ".h5", ".hdf5")):
        if (place / name).exists():
            return place / name
    raise FeatureStoreError(
        f"the folder {place}",
        f"holds no features of {slide.name}",
        value=f"no {slide.stem}{SUFFIX} or {slide.stem}.h5",
        remedy="give the file itself, or another folder",
    )


def _of_store(slide: Slide, given: GivenFiles, config: BundleConfig) -> GivenFeatures:
    store = FeatureStore(given.files[0])
    key = store.key
    config.check_encoder(key.encoder)
    _require_placed(given.name, is_placed=store.is_placed)
    # Of imported features the fingerprint is that of their file.
    if key.reader not in KINDS and key.fingerprint != slide.fingerprint:
        raise _of_another(slide, given.name, "they were made of a file with other contents")
    return GivenFeatures(store, store.quadtree, given.name)


def _of_h5(slide: Slide, given: GivenFiles, config: BundleConfig) -> GivenFeatures:
    mpp = slide.require_mpp()
    said = read_h5(given.files[0], patch_size=config.patch_size, slide_mpp=mpp)
    name = said.encoder or _named_by_folder(given.files[0])
    mine = config.encoder.name
    known = mine if _is_alike(name, mine) else name
    config.check_encoder(EncoderFacts(known, None, said.features.shape[1]))
    if len(given.files) > config.n_depths:
        raise FeatureStoreError(
            given.name,
            f"are {len(given.files)} depths, where the model {config.name} has {config.n_depths}",
            remedy="give one file per depth of the model, coarse to fine",
        )
    asked = ImportConfig(
        "trident",
        (),
        mine,
        mpp=config.mpp[: len(given.files)],
        patch_size=config.patch_size,
        slide_mpp=mpp,
    )
    found = place_features(given.files, asked, slide.origin)
    _require_placed(given.name, is_placed=found.placed)
    held = tuple(n[t] for n, t in zip(found.tree.nodes, found.tree.tissue, strict=True))
    source = _InMemory(found.tree.nodes, found.features)
    note = found.note or ("" if name else f"{given.name} does not say which encoder made it.")
    return GivenFeatures(source, Quadtree(found.tree.grids, held), given.name, note)


@dataclass(frozen=True)
class _InMemory:
    """Features of nodes in Z-order."""

    nodes: tuple[Nodes, ...]
    features: tuple[NDArray[np.float32], ...]

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32; NaN for what is not there."""
        codes, wanted = z_codes(self.nodes[depth]), z_codes(nodes)
        at = np.minimum(np.searchsorted(codes, wanted), max(len(codes) - 1, 0))
        found = self.features[depth][at]
        found[(codes[at] != wanted) | ~np.isfinite(found).all(axis=1)] = np.nan
        return torch.from_numpy(found)


def _named_by_folder(file: Path) -> str:
    folders = [part for part in file.parts[:-1] if part.startswith(_FOLDER)]
    return folders[-1].removeprefix(_FOLDER) if folders else ""


def _is_alike(said: str, mine: str) -> bool:
    """Whether a file's name of an encoder can mean another: "uni" and "uni_v1", or none."""
    first, second = ("".join(filter(str.isalnum, name.lower())) for name in (said, mine))
    return first.startswith(second) or second.startswith(first)


def _marked(tissue: TissueMask, centres: NDArray[np.float64]) -> NDArray[np.bool_]:
    at = np.floor((centres + 0.5) / tissue.downsample).astype(np.int64)
    inside = ((at >= 0) & (at < tissue.values.shape)).all(axis=1)
    marked = np.zeros(len(at), dtype=bool)
    marked[inside] = tissue.values[tuple(at[inside].T)]
    return marked


def _require_placed(name: str, *, is_placed: bool) -> None:
    if not is_placed:
        raise FeatureStoreError(
            f"the features in {name}",
            "have no places on the slide, so that no map can be drawn",
            remedy=Remedy(
                library="give features with coordinates, or predict from the store",
                command_line="give features with coordinates, or call the slide with predict",
                window="choose features with coordinates",
            ),
        )


def _of_another(slide: Slide, name: str, why: str) -> FeatureStoreError:
    return FeatureStoreError(
        f"the features in {name}",
        f"are not those of {slide.name}: {why}",
        remedy="choose the features of this slide",
    )


def _check_places(slide: Slide, found: GivenFeatures) -> None:
    """Raise when patches lie beyond the slide: x and y are swapped, or it is another one."""
    for grid, nodes in zip(found.quadtree.grids, found.quadtree.nodes, strict=True):
        starts = grid.edges(nodes)[:, :2]
        outside = (starts >= slide.shape).any(axis=1)
        if not outside.any():
            continue
        if not (starts[:, ::-1] >= slide.shape).any():
            raise _of_another(slide, found.name, "their x and y look swapped")
        height, width = slide.shape
        why = f"{outside.sum():,} of {len(nodes):,} patches lie beyond its {width} × {height} px"
        raise _of_another(slide, found.name, why)


def _check_scale(slide: Slide, found: GivenFeatures, config: BundleConfig) -> None:
    """Raise unless each depth's patches show about as many µm as the model's."""
    for depth, grid in enumerate(found.quadtree.grids):
        seen, learned = grid.side * slide.require_mpp(), config.patch_size * config.mpp[depth]
        if not 1 / _SCALE <= seen / learned <= _SCALE:
            raise FeatureStoreError(
                f"the features in {found.name}",
                f"show {seen:.0f} µm a patch at depth {depth}, where the model {config.name} "
                f"learned on {learned:.0f} µm",
                remedy="give the depths coarse to fine, cut at the model's scale",
            )

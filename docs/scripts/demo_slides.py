"""The phantom slides of the demo model, and their features on disk.

Every split has its own range of seeds, so no slide of one is a slide of another. A slide goes the
way of any other: written as a JPEG-tiled pyramidal TIFF, opened, its tissue found, patches read
and encoded. What has been encoded is kept per slide under the work folder, so that a run which
was killed goes on where it stopped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from napari_hagmil.bags import LazyFeatures
from napari_hagmil.encoders import Encoder, load_encoder
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.quadtree import Nodes, build_quadtree
from napari_hagmil.slide import open_slide
from napari_hagmil.tissue import segment_tissue

Split = Literal["train", "val", "test"]
Kind = Literal["healthy", "micro", "mixed"]

#: First seed of each split; a split has at most 100 000 slides.
FIRST_SEED: dict[Split, int] = {"train": 1_000_000, "val": 1_100_000, "test": 1_200_000}

#: Sides of level 0, px, in turn. Held-out slides are larger than those of the training.
SIZES: dict[Split, tuple[int, ...]] = {
    "train": (5120, 6144, 7168, 8192),
    "val": (5120, 6144, 7168, 8192),
    "test": (9216, 10240, 11264, 12288),
}

#: Smallest and largest lesion diameter, µm, and how many, in turn.
LESIONS: dict[Split, dict[Kind, tuple[tuple[float, float], tuple[int, ...]]]] = {
    "train": {"micro": ((150, 220), (2, 3, 1, 4)), "mixed": ((150, 2000), (2, 1, 4, 3))},
    "val": {"micro": ((150, 200), (1, 2, 3)), "mixed": ((150, 2000), (1, 3, 2))},
    "test": {"micro": ((150, 200), (1, 2, 3)), "mixed": ((150, 3000), (1, 3, 2, 4))},
}

#: Kinds of the slides with lesions, in turn.
KINDS: dict[Split, tuple[Kind, ...]] = {
    "train": ("micro", "mixed"),
    "val": ("micro", "mixed"),
    "test": ("micro", "mixed", "mixed"),
}

ENCODER = "efficientnet-lite0"
MPP = (1.0, 0.5, 0.25)
DOWNSAMPLES = (4.0, 2.0, 1.0)


@dataclass(frozen=True, slots=True)
class DemoSlide:
    """One phantom: its split, what was asked to be planted, and how it is drawn."""

    split: Split
    kind: Kind
    config: PhantomConfig

    @property
    def name(self) -> str:
        """Unique among all slides, and it says what the slide is."""
        return f"{self.split}-{self.config.seed}-{self.kind}"

    @property
    def label(self) -> int:
        """1 = tumor."""
        return int(self.kind != "healthy")


def demo_slides(split: Split, n: int) -> list[DemoSlide]:
    """The first n slides of a split: every second one healthy."""
    return [_demo_slide(split, i) for i in range(n)]


def _demo_slide(split: Split, i: int) -> DemoSlide:
    half, kinds = i // 2, KINDS[split]
    kind: Kind = kinds[half % len(kinds)] if i % 2 else "healthy"
    diameters, counts = LESIONS[split].get(kind, ((150.0, 200.0), (0,)))
    config = PhantomConfig(
        seed=FIRST_SEED[split] + i,
        size=SIZES[split][(half + half // len(SIZES[split])) % len(SIZES[split])],
        lesions=counts[half // len(kinds) % len(counts)],
        lesion_diameters_um=diameters,
    )
    return DemoSlide(split, kind, config)


def write_slide(slide: DemoSlide, folder: Path, *, workers: int = 1) -> Path:
    """The slide's file, drawn unless it is there; its truth lies beside it as GeoJSON."""
    path = folder / f"{slide.name}.tiff"
    if not path.exists():
        truth = write_phantom(path, slide.config, workers=workers)
        if bool(truth.lesions) != bool(slide.label):
            raise RuntimeError(f"{slide.name} holds {len(truth.lesions)} lesions; take other seeds")
    return path


class FeatureStore:
    """Features of one slide on disk; a `FeatureSource` that knows what was encoded before.

    Attributes
    ----------
    nodes : tuple of (n, 2) int64 arrays
        The tissue nodes of every depth.
    """

    def __init__(self, path: Path) -> None:
        self._known: dict[tuple[int, int, int], np.ndarray] = {}
        with np.load(path) as file:
            depths = range(len(MPP))
            self.nodes = tuple(file[f"tissue{depth}"] for depth in depths)
            for depth in depths:
                for (row, column), x in zip(file[f"nodes{depth}"], file[f"x{depth}"], strict=True):
                    self._known[depth, int(row), int(column)] = x

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32; all must have been encoded."""
        rows = [self._known[depth, int(r), int(c)] for r, c in nodes]
        return torch.from_numpy(np.stack(rows).astype(np.float32))

    def lacks(self, depth: int, nodes: Nodes) -> bool:
        """Whether any of these nodes was never encoded."""
        return any((depth, int(r), int(c)) not in self._known for r, c in nodes)


@dataclass(frozen=True)
class Request:
    """Nodes of one depth of one slide to encode; None: the tissue nodes of that depth."""

    slide: DemoSlide
    depth: int
    nodes: Nodes | None


def store_path(slide: DemoSlide, work: Path) -> Path:
    """Where the features of a slide are kept."""
    return work / "features" / f"{slide.name}.npz"


def encode_all(requests: Sequence[Request], work: Path, *, processes: int = 2) -> Iterator[str]:
    """Encode what is asked for and not yet on disk, in several processes; yields slide names."""
    for folder in ("slides", "features"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    wanted = [request for request in requests if not _is_known(request, work)]
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_start_worker) as pool:
        yield from pool.map(_encode, wanted, [work] * len(wanted))


def _is_known(request: Request, work: Path) -> bool:
    path = store_path(request.slide, work)
    if not path.exists():
        return False
    store = FeatureStore(path)
    nodes = store.nodes[request.depth] if request.nodes is None else request.nodes
    return not store.lacks(request.depth, nodes)


_encoder: Encoder | None = None


def _start_worker() -> None:
    # One thread each: two processes share two cores better than two pools of threads do.
    global _encoder
    torch.set_num_threads(1)
    _encoder = load_encoder(ENCODER)


def _encode(request: Request, work: Path) -> str:
    assert _encoder is not None
    target = store_path(request.slide, work)
    with open_slide(write_slide(request.slide, work / "slides")) as slide:
        tree = build_quadtree(
            segment_tissue(slide),
            slide_shape=slide.shape,
            patch_size=_encoder.patch_size,
            downsamples=DOWNSAMPLES,
        )
        nodes = tree.nodes[request.depth] if request.nodes is None else request.nodes
        lazy = LazyFeatures(slide, tree.grids, _encoder, workers=1)
        _save(target, tree.nodes, request.depth, nodes, lazy(request.depth, nodes).numpy())
    return request.slide.name


def _save(path: Path, tissue: tuple[Nodes, ...], depth: int, nodes: Nodes, x: np.ndarray) -> None:
    """Add features to a slide's store, all or nothing."""
    arrays: dict[str, np.ndarray] = {f"tissue{d}": n for d, n in enumerate(tissue)}
    for d in range(len(tissue)):
        arrays[f"nodes{d}"] = np.empty((0, 2), np.int64)
        arrays[f"x{d}"] = np.empty((0, x.shape[1]), np.float16)
    if path.exists():
        with np.load(path) as file:
            arrays |= {name: file[name] for name in file.files}
    arrays[f"nodes{depth}"] = np.concatenate([arrays[f"nodes{depth}"], nodes])
    arrays[f"x{depth}"] = np.concatenate([arrays[f"x{depth}"], x.astype(np.float16)])
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def planted(path: Path) -> list[dict[str, object]]:
    """The lesions of a slide from its GeoJSON: "polygon" ((n, 2), y and x) and "diameter_um"."""
    features = json.loads(path.with_suffix(".geojson").read_text(encoding="utf-8"))["features"]
    return [
        {
            "polygon": np.array(f["geometry"]["coordinates"][0])[:-1, ::-1] - 0.5,
            "diameter_um": f["properties"]["measurements"]["diameter_um"],
        }
        for f in features
    ]

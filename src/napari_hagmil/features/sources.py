"""Feature sources: what a cascade asks for the features of nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.features.kept import KeptFeatures
from napari_hagmil.quadtree import Nodes, PatchGrid, parents
from napari_hagmil.slide import Slide, read_patches
from napari_hagmil.slide.color_profile import Colors

Patch = NDArray[np.uint8]
"""(patch_size, patch_size, 3) RGB."""


class FeatureSource(Protocol):
    """Answers (depth, nodes) with features.

    The answer has one row per node, in the order asked. A row that is not finite says that the
    place could not be read; the cascade leaves it out of the bag and reports it as unread.
    """

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32."""
        ...


@dataclass(frozen=True, slots=True)
class EncodingProgress:
    """How far the encoding of one depth has come: `done` of `total` patches."""

    depth: int
    done: int
    total: int


class LazyFeatures:
    """Reads and encodes the nodes that are asked for, once each.

    Asking again for a node costs nothing, so a cascade run again with a larger budget
    encodes only its new branches.

    Parameters
    ----------
    slide : Slide
        Read from, never through dask.
    grids : sequence of PatchGrid
        One per depth.
    encoder : Encoder
        Its patch size must be that of the grids.
    batch_size : int
        Patches per call of the encoder.
    workers : int
        Threads that read.
    kept : KeptFeatures, optional
        What earlier runs have encoded, and where this one's features go.
    on_progress : callable, optional
        Called after every batch with `EncodingProgress`; what it raises (for instance
        `CancelledError`) ends the work, and what is encoded by then is kept.
    colors : "file" or "srgb"
        Of the pixels that the encoder is given.

    Attributes
    ----------
    patches_encoded : int
        How many patches went through the encoder, those that were kept not counted.
    seconds : dict
        Wall time spent in "read" (waiting for pixels) and "encode".
    """

    def __init__(
        self,
        slide: Slide,
        grids: Sequence[PatchGrid],
        encoder: Encoder,
        *,
        batch_size: int = 32,
        workers: int = 2,
        kept: KeptFeatures | None = None,
        on_progress: Callable[[EncodingProgress], None] | None = None,
        colors: Colors = "file",
    ) -> None:
        self.slide, self.grids, self.encoder = slide, tuple(grids), encoder
        self.batch_size, self.workers, self.on_progress = batch_size, workers, on_progress
        self.colors = colors
        self._kept, self._recalled = kept, set[int]()
        self.patches_encoded = 0
        self.seconds = {"read": 0.0, "encode": 0.0}
        self._known: dict[tuple[int, int, int], torch.Tensor] = {}

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32, encoding what is new."""
        new = self.missing(depth, nodes)
        encoded = 0
        try:
            for start in range(0, len(new), self.batch_size):
                self._report(depth, start, len(new))
                self._encode(depth, new[start : start + self.batch_size])
                encoded = min(start + self.batch_size, len(new))
        finally:
            # Also after a cancel: what was encoded need not be encoded again tomorrow.
            self._keep(depth, new[:encoded])
        self._report(depth, len(new), len(new))
        return self._rows(depth, nodes)

    def missing(self, depth: int, nodes: Nodes) -> Nodes:
        """The nodes of a depth that would have to be encoded."""
        self._recall(depth)
        new = [node for node in nodes if (depth, int(node[0]), int(node[1])) not in self._known]
        return np.array(new, dtype=np.int64).reshape(-1, 2)

    def _rows(self, depth: int, nodes: Nodes) -> torch.Tensor:
        if not len(nodes):
            return torch.empty((0, self.encoder.n_features))
        return torch.stack([self._known[depth, int(r), int(c)] for r, c in nodes])

    def _recall(self, depth: int) -> None:
        """Read what is kept of a depth, once."""
        if self._kept is None or depth in self._recalled:
            return
        self._recalled.add(depth)
        nodes, features = self._kept.of(self.grids[depth])
        for (row, column), feature in zip(nodes.tolist(), features, strict=True):
            self._known.setdefault((depth, row, column), feature)

    def _keep(self, depth: int, nodes: Nodes) -> None:
        # Of a file that changed while it was read nobody knows which content the pixels were of.
        if self._kept is not None and len(nodes) and not self.slide.has_changed():
            self._kept.add(self.grids[depth], nodes, self._rows(depth, nodes))

    def _report(self, depth: int, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(EncodingProgress(depth, done, total))

    def _encode(self, depth: int, nodes: Nodes) -> None:
        started = time.perf_counter()
        pixels = read_nodes(
            self.slide, self.grids[depth], nodes, workers=self.workers, colors=self.colors
        )
        read = time.perf_counter()
        keys = [(depth, int(row), int(column)) for row, column in nodes]
        self._known.update(zip(keys, encode_pixels(self.encoder, pixels), strict=True))
        self.patches_encoded += sum(patch is not None for patch in pixels)
        self.seconds["read"] += read - started
        self.seconds["encode"] += time.perf_counter() - read


class WithAncestors:
    """Answers with a node's features followed by its parent's, its grandparent's and so on.

    Every ancestor of a node that the cascade opened has been looked at already, so a source
    that keeps what it encoded answers without a patch more.

    Parameters
    ----------
    source : FeatureSource
    """

    def __init__(self, source: FeatureSource) -> None:
        self.source = source

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, (depth + 1) · n_features) float32; NaN where any is."""
        rows = [self.source(depth, nodes)]
        for above in range(depth - 1, -1, -1):
            nodes = parents(nodes)
            rows.append(self.source(above, nodes))
        return torch.cat(rows, dim=1)


class FromDepth:
    """Answers as if a deeper depth were the first: for a model that has no coarser ones.

    Parameters
    ----------
    source : FeatureSource
    first : int
        The depth that is asked for as 0.
    """

    def __init__(self, source: FeatureSource, first: int) -> None:
        self.source, self.first = source, first

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32."""
        return self.source(depth + self.first, nodes)


def in_context(source: FeatureSource, context: str) -> FeatureSource:
    """The source as a bundle's `context` wants it: "none" or "ancestors"."""
    return WithAncestors(source) if context == "ancestors" else source


def read_nodes(
    slide: Slide, grid: PatchGrid, nodes: Nodes, *, workers: int, colors: Colors = "file"
) -> list[Patch | None]:
    """Pixels of some nodes of a grid, in their order; None where they cannot be read."""
    regions = [grid.region(node) for node in nodes]
    pixels: list[Patch | None] = [None] * len(regions)
    for i, patch in read_patches(slide, regions, grid.patch_size, workers=workers):
        if isinstance(patch, np.ndarray):
            pixels[i] = slide.in_colors(patch, colors)
    return pixels


def encode_pixels(encoder: Encoder, pixels: Sequence[Patch | None]) -> torch.Tensor:
    """Features of patches, (n, n_features) float32; a row of NaN for each None."""
    features = torch.full((len(pixels), encoder.n_features), torch.nan)
    readable = [i for i, patch in enumerate(pixels) if patch is not None]
    if readable:
        features[readable] = encoder(np.stack([p for p in pixels if p is not None]))
    return features

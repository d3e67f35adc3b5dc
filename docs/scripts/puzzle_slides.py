"""The two-level puzzle: slides of features in which no depth alone decides.

Three depths, 32 features. The label is *fine pattern T under coarse cue C*: half of the negatives
carry C with no T below, the others T (and its weak mark M at the middle depth) under no C, and so
do half of the positives besides. Background: one of six directions per depth, and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.models import EncoderFacts
from napari_hagmil.quadtree import Nodes, children
from napari_hagmil.training import CohortSlide
from napari_hagmil.training.protocol.methods import FeatureFacts

N_FEATURES, N_DEPTHS = 32, 3
CUE, MARK, NOISE, BACKGROUND = 2.2, 1.32, 0.45, 1.6

FACTS = FeatureFacts(
    EncoderFacts("puzzle", None, N_FEATURES), 1, (1.0, 0.5, 0.25), ("negative", "positive")
)


@dataclass(frozen=True)
class World:
    """The fixed directions: six of background per depth, and C, M, T."""

    background: NDArray[np.float64]
    marks: NDArray[np.float64]

    @classmethod
    def draw(cls, seed: int) -> World:
        """Draw the directions."""
        rng = np.random.default_rng(seed)
        directions = rng.normal(size=(N_DEPTHS * 6 + 3, N_FEATURES))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return cls(directions[:-3].reshape(N_DEPTHS, 6, N_FEATURES) * BACKGROUND, directions[-3:])


@dataclass(frozen=True)
class PuzzleFeatures:
    """A `FeatureSource`: rows of every depth; children of row i at 4 i … 4 i + 3."""

    rows: tuple[torch.Tensor, ...]

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, 32)."""
        return self.rows[depth][torch.from_numpy(place(depth, nodes))]


@dataclass(frozen=True)
class Puzzle:
    """A slide, and which of its finest rows are the lesion: T under C."""

    slide: CohortSlide
    lesion: NDArray[np.bool_]

    def recall(self, nodes: Nodes) -> float:
        """Share of the lesion that is among some finest nodes."""
        return float(self.lesion[place(N_DEPTHS - 1, nodes)].sum() / self.lesion.sum())

    def lesion_below(self, depth: int, nodes: Nodes) -> NDArray[np.float64]:
        """How much of the lesion lies below each node: what an oracle goes by."""
        below = self.lesion.reshape(-1, 4 ** (N_DEPTHS - 1 - depth)).sum(1)
        return below[place(depth, nodes)].astype(np.float64)


def place(depth: int, nodes: Nodes) -> NDArray[np.int64]:
    """Row of each node: coarse ones stand in a line, children in the order of `children`."""
    rows, columns = nodes[:, 0], nodes[:, 1]
    index = columns >> depth
    for bit in range(depth - 1, -1, -1):
        index = 4 * index + 2 * (rows >> bit & 1) + (columns >> bit & 1)
    return np.asarray(index)


def puzzles(n: int, seed: int, world: World, *, null: bool = False) -> list[Puzzle]:
    """Draw slides, half of them positive, in random order.

    `null`: labels that mean nothing, half of either kind said of each kind of slides.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 2)
    told = labels.copy()
    if null:
        for kind in (0, 1):
            told[labels == kind] = rng.permutation(np.arange((labels == kind).sum()) % 2)
    return [
        _puzzle(f"{seed}-{i}", int(label), int(said), world, rng)
        for i, (label, said) in enumerate(zip(labels, told, strict=True))
    ]


def _puzzle(name: str, label: int, told: int, world: World, rng: np.random.Generator) -> Puzzle:
    n = int(rng.integers(60, 121))
    rows = [
        world.background[depth][rng.integers(6, size=n * 4**depth)]
        + rng.normal(size=(n * 4**depth, N_FEATURES)) * NOISE
        for depth in range(N_DEPTHS)
    ]
    lesion = np.zeros(16 * n, dtype=bool)
    free = iter(rng.permutation(n))
    cues = [next(free) for _ in range(rng.integers(1, 4))] if label or rng.random() < 0.5 else []
    rows[0][cues] += CUE * world.marks[0]
    for coarse in cues if label else []:
        lesion[_plant(int(coarse), rows, world, rng)] = True
    if rng.random() < 0.5 if label else not cues:
        for _ in range(2):
            _plant(int(next(free)), rows, world, rng)
    nodes: list[Nodes] = [np.stack([np.zeros(n, np.int64), np.arange(n)], axis=1)]
    for _ in range(N_DEPTHS - 1):
        nodes.append(children(nodes[-1]))
    features = PuzzleFeatures(tuple(torch.from_numpy(r.astype(np.float32)) for r in rows))
    return Puzzle(CohortSlide(name, told, tuple(nodes), features), lesion)


def _plant(
    coarse: int, rows: Sequence[NDArray[np.float64]], world: World, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Put T on 2–4 of the 16 fine instances below, M on their parents; the fine rows."""
    fine = coarse * 16 + rng.permutation(16)[: rng.integers(2, 5)]
    rows[2][fine] += CUE * world.marks[2]
    rows[1][np.unique(fine // 4)] += MARK * world.marks[1]
    return np.asarray(fine)

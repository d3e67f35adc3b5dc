"""The atlas: small stain images of nuclei and cells, several dozen of each kind.

A sprite is the hematoxylin (or eosin) that one nucleus (cell) adds, 0 at its margin, so that it
may be stamped with a maximum in any order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from napari_hagmil.phantom.noise import ByteArray, FloatArray, periodic_noise, stream

ANGLES = 16  # directions of a spindle nucleus over half a turn
PER_ANGLE = 6

Sprites = tuple[ByteArray, ...]
Draw = Callable[[float, float], float]  # uniform between two numbers


@dataclass(frozen=True)
class Atlas:
    """Sprites by kind.

    Within a kind, sprites go from pale to dark, except spindles, which go by ANGLES directions.
    """

    lymphocyte: Sprites
    centrocyte: Sprites
    histiocyte: Sprites
    cytoplasm: Sprites
    spindle: Sprites
    epithelium: Sprites
    tumour: Sprites
    mitosis: Sprites
    hole: Sprites
    red_cell: Sprites


@dataclass(frozen=True)
class Shape:
    """A nucleus in µm and stain levels.

    Attributes
    ----------
    radius
        Mean radius, µm.
    aspect
        Length over width.
    lobes
        Amplitude of the Fourier perturbation of the outline, as a fraction of the radius.
    inside, rim
        Stain of the interior and of the nuclear membrane, 0..255.
    clumps
        Amplitude of the chromatin, in stain levels.
    clump_um
        Size of the chromatin clumps, µm.
    nucleoli
        How many nucleoli.
    soft
        Width of the edge, µm.
    """

    radius: float
    aspect: float = 1.1
    lobes: float = 0.04
    inside: float = 150
    rim: float = 180
    clumps: float = 25
    clump_um: float = 0.7
    nucleoli: int = 0
    soft: float = 0.45
    angle: float | None = None


class _Painter:
    """Draws shapes at one pixel size from one stream of random numbers."""

    def __init__(self, mpp: float) -> None:
        self.mpp = mpp
        self.rng = stream(0, "atlas")
        side = max(96, round(64 / mpp))
        self._chromatin = {
            um: periodic_noise(self.rng, (side, side), max(0.35, um / mpp))
            for um in (0.5, 0.7, 1.1)
        }

    def draw(self, shape: Shape) -> ByteArray:
        """Paint one shape, cropped to what it covers."""
        rng, mpp = self.rng, self.mpp
        half = math.ceil(shape.radius * math.sqrt(shape.aspect) * (1 + 2.2 * shape.lobes) / mpp) + 2
        axis = np.arange(-half, half + 1, dtype=np.float32) * mpp
        y, x = axis[:, None], axis[None, :]
        turn = rng.uniform(0, math.pi) if shape.angle is None else shape.angle
        along = math.cos(turn) * x + math.sin(turn) * y
        across = -math.sin(turn) * x + math.cos(turn) * y
        stretch = math.sqrt(shape.aspect)
        along, across = along / stretch, across * stretch
        radius = np.hypot(along, across)
        inside = shape.radius * self._outline(np.arctan2(across, along), shape.lobes) - radius
        value = self._chromatin_level(shape, inside)
        for _ in range(shape.nucleoli):
            value = np.maximum(value, self._nucleolus(shape, y, x))
        # At coarse pixels the edge must still be a pixel wide, or nuclei turn into squares.
        soft = max(shape.soft, 0.9 * mpp)
        cover = np.clip(inside / soft + 0.5, 0, 1)
        return _crop(np.clip(value * cover, 0, 255).astype(np.uint8))

    def _outline(self, theta: FloatArray, lobes: float) -> FloatArray:
        """Radius of the outline at each angle, relative to the mean."""
        total = np.ones_like(theta)
        for k in range(2, 7):
            amplitude = lobes * self.rng.normal() * 1.6 / k
            total += amplitude * np.cos(k * theta + self.rng.uniform(0, 2 * math.pi))
        return total

    def _chromatin_level(self, shape: Shape, inside: FloatArray) -> FloatArray:
        """Interior with clumps, and the membrane within 0.8 µm of the outline."""
        noise = self._chromatin[shape.clump_um]
        n = inside.shape[0]
        oy, ox = self.rng.integers(0, noise.shape[0], 2)
        rows, columns = (np.arange(n) + oy) % noise.shape[0], (np.arange(n) + ox) % noise.shape[1]
        level = shape.inside + shape.clumps * noise[np.ix_(rows, columns)]
        rim = np.exp(-(((inside - 0.35) / 0.55) ** 2))
        return np.asarray(level + (shape.rim - shape.inside) * rim, dtype=np.float32)

    def _nucleolus(self, shape: Shape, y: FloatArray, x: FloatArray) -> FloatArray:
        """Place a dark dot of 1.2 to 2.6 µm somewhere in the middle of the nucleus."""
        cy, cx = self.rng.uniform(-0.45, 0.45, 2) * shape.radius
        size = self.rng.uniform(0.1, 0.17) * shape.radius + 0.25
        bump = np.clip((size - np.hypot(y - cy, x - cx)) / 0.3 + 0.5, 0, 1)
        return np.asarray(bump * (shape.rim + 25), dtype=np.float32)


def _crop(sprite: ByteArray) -> ByteArray:
    """Cut the empty margin away, keeping at least one pixel."""
    rows, columns = np.flatnonzero(sprite.any(1)), np.flatnonzero(sprite.any(0))
    if not rows.size:
        return sprite[:1, :1]
    return np.ascontiguousarray(
        sprite[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], dtype=np.uint8
    )


@lru_cache(maxsize=2)
def make_atlas(mpp: float) -> Atlas:
    """All sprites at `mpp` µm per pixel (a fraction of a second, once)."""
    painter = _Painter(mpp)
    draw = painter.rng.uniform

    def series(count: int, shape: Callable[[Draw, float], Shape]) -> Sprites:
        """`count` sprites for t from 0 (pale) to 1 (dark)."""
        return tuple(painter.draw(shape(draw, i / (count - 1))) for i in range(count))

    return Atlas(
        lymphocyte=series(64, _lymphocyte),
        centrocyte=series(64, _centrocyte),
        histiocyte=series(32, _histiocyte),
        cytoplasm=series(32, _cytoplasm),
        spindle=tuple(painter.draw(_spindle(draw, i)) for i in range(PER_ANGLE * ANGLES)),
        epithelium=series(48, _epithelium),
        tumour=series(96, _tumour),
        mitosis=series(8, _mitosis),
        hole=series(16, _hole),
        red_cell=series(12, _red_cell),
    )


def _lymphocyte(draw: Draw, t: float) -> Shape:
    """Small, round, dark; 6 to 8 µm."""
    return Shape(draw(2.9, 3.9), draw(1.0, 1.22), 0.05, 128 + 48 * t, 165 + 35 * t, 34, 0.7)


def _centrocyte(draw: Draw, t: float) -> Shape:
    """Larger and vesicular, as in germinal centres."""
    nucleoli = int(draw(0, 3.2))
    return Shape(
        draw(3.7, 5.9), draw(1.05, 1.45), 0.09, 62 + 50 * t, 125 + 40 * t, 24, 0.7, nucleoli
    )


def _histiocyte(draw: Draw, t: float) -> Shape:
    """Pale and bean-shaped."""
    nucleoli = int(draw(0, 1.7))
    return Shape(draw(3.5, 4.8), draw(1.2, 1.8), 0.1, 50 + 45 * t, 112 + 40 * t, 18, 0.5, nucleoli)


def _cytoplasm(draw: Draw, t: float) -> Shape:
    """Body of a histiocyte, as eosin."""
    return Shape(draw(8.0, 12.5), draw(1.0, 1.5), 0.14, 62 + 38 * t, 78 + 40 * t, 9, 1.1, 0, 1.6)


def _epithelium(draw: Draw, t: float) -> Shape:
    """Oval and regular, as in glands."""
    return Shape(draw(3.2, 4.2), draw(1.2, 1.7), 0.06, 95 + 50 * t, 140 + 35 * t, 25, 0.7)


def _tumour(draw: Draw, t: float) -> Shape:
    """Large, irregular, unlike its neighbours; 11 to 20 µm, coarse chromatin, nucleoli."""
    nucleoli, clumps = int(draw(0, 3.4)), draw(22, 36)
    radius, aspect, lobes = draw(5.6, 8.6), draw(1.05, 1.6), draw(0.08, 0.19)
    return Shape(radius, aspect, lobes, 52 + 84 * t, 115 + 62 * t, clumps, 1.1, nucleoli, soft=0.5)


def _mitosis(draw: Draw, _: float) -> Shape:
    """Chromosomes on a plate."""
    return Shape(draw(3.2, 4.4), draw(1.6, 3.4), 0.22, 205, 210, 20, 0.7, 0, 0.9)


def _hole(draw: Draw, _: float) -> Shape:
    """Clear halo of a tingible body macrophage."""
    return Shape(draw(5.0, 9.0), draw(1.0, 1.3), 0.14, 34, 20, 3, 1.1, 0, 3.0)


def _red_cell(draw: Draw, _: float) -> Shape:
    """Disc of 6.6 µm, as eosin."""
    return Shape(3.3, draw(1, 1.4), 0.05, 205, 240, 4)


def _spindle(draw: Draw, number: int) -> Shape:
    """Thin, along one of the directions."""
    angle = math.pi * (number // PER_ANGLE) / ANGLES
    inside, rim = draw(95, 150), draw(125, 170)
    return Shape(draw(2.7, 3.7), draw(3.2, 7.5), 0.07, inside, rim, 24, 0.7, angle=angle)

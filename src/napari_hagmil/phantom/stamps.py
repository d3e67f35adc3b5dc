"""Which nucleus stands where: decided by a hash of its place on a jittered grid, then stamped.

Stamping takes the maximum, which commutes: neighbouring windows agree without talking.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from napari_hagmil.phantom.layout import PhantomPlan
from napari_hagmil.phantom.noise import ByteArray, HashArray, IntArray, hash_grid, rehash, uniform
from napari_hagmil.phantom.nuclei import ANGLES, PER_ANGLE, Atlas, Sprites, make_atlas
from napari_hagmil.phantom.stain import StainPlanes
from napari_hagmil.phantom.textures import Textures
from napari_hagmil.phantom.window import Window

REACH_UM = 26.0  # no sprite is longer

Places = tuple[IntArray, IntArray, HashArray]  # y, x in level-0 px, and a hash each


@dataclass(frozen=True)
class Grid:
    """A jittered hexagonal grid of places for nuclei."""

    salt: int
    spacing_um: float
    jitter: float


SMALL = Grid(1, 7.4, 0.62)
MEDIUM = Grid(2, 10.2, 0.55)
LARGE = Grid(3, 16.0, 0.55)


def stamp_nuclei(
    plan: PhantomPlan, textures: Textures, window: Window, planes: StainPlanes
) -> StainPlanes:
    """Stamp all nuclei of a window on its stain planes; returns new planes."""
    atlas, census = make_atlas(plan.config.mpp), plan.census
    reach = round(REACH_UM / plan.config.mpp)
    blue = _Canvas(planes.hematoxylin, window, reach)
    pink = _Canvas(planes.eosin, window, reach)
    small = _Picker(plan, window, reach, SMALL)
    medium = _Picker(plan, window, reach, MEDIUM)
    large = _Picker(plan, window, reach, LARGE)
    holes = _Canvas(np.zeros_like(planes.hematoxylin), window, reach)
    holes.stamp(medium.take(census.hole), atlas.hole)
    if holes.used:
        blue.subtract(holes)
        pink.subtract(holes)
    blue.stamp(small.take(census.lymphocyte), atlas.lymphocyte)
    _stamp_follicle(plan, atlas, medium, blue, pink)
    places = small.take(census.spindle)
    blue.stamp_indexed(places, atlas.spindle, _along_fibres(plan, textures, places))
    blue.stamp(small.take(census.epithelium), atlas.epithelium)
    pink.stamp(small.take(census.red_cell), atlas.red_cell)
    _stamp_tumour(plan, atlas, large, blue)
    return StainPlanes(blue.cropped(), pink.cropped())


def _stamp_follicle(
    plan: PhantomPlan, atlas: Atlas, medium: "_Picker", blue: "_Canvas", pink: "_Canvas"
) -> None:
    """Cells of the germinal centres, and histiocytes with their cytoplasm."""
    blue.stamp(medium.take(plan.census.centrocyte), atlas.centrocyte)
    histiocytes = medium.take(plan.census.histiocyte)
    blue.stamp(histiocytes, atlas.histiocyte)
    pink.stamp(histiocytes, atlas.cytoplasm)


def _stamp_tumour(plan: PhantomPlan, atlas: Atlas, large: "_Picker", blue: "_Canvas") -> None:
    """Tumour nuclei, darker or paler by lesion, one in seventy in mitosis."""
    places = large.take(plan.census.tumour)
    if not places[0].size:
        return
    level = large.look_up(plan.census.chromasia, places).astype(np.float32) / 255
    luck = uniform(rehash(places[2]))
    index = ((0.45 * level + 0.55 * luck) * (len(atlas.tumour) - 1)).astype(np.int64)
    dividing = luck * 70 % 1 < 1 / 70
    y, x, luck_bits = places
    blue.stamp_indexed(
        (y[~dividing], x[~dividing], luck_bits[~dividing]), atlas.tumour, index[~dividing]
    )
    blue.stamp((y[dividing], x[dividing], luck_bits[dividing]), atlas.mitosis)


def _along_fibres(plan: PhantomPlan, textures: Textures, places: Places) -> IntArray:
    """Index of a spindle sprite that lies along the collagen at each place."""
    y, x, luck = places
    shift = (plan.config.seed + 1) * (7919 + 104729 * 3)
    angles = []
    for fibres in textures.fibres:
        n = fibres.angle.shape[0]
        rows = ((y + shift % 5003) % fibres.texture.period / fibres.step).astype(np.int64) % n
        columns = ((x + shift % 4801) % fibres.texture.period / fibres.step).astype(np.int64) % n
        angles.append(fibres.angle[rows, columns])
    mix, cell = plan.fibre_mix, plan.frame.cell_px
    rows = (y // cell).clip(0, mix.shape[0] - 1)
    columns = (x // cell).clip(0, mix.shape[1] - 1)
    angle = np.where(mix[rows, columns] < 128, *angles) + 0.5 * (uniform(rehash(luck)) - 0.5)
    turn = np.floor(angle / np.pi * ANGLES + 0.5).astype(np.int64) % ANGLES
    return np.asarray(turn * PER_ANGLE + luck % np.uint32(PER_ANGLE), dtype=np.int64)


class _Picker:
    """All places of one grid that can touch a window."""

    def __init__(self, plan: PhantomPlan, window: Window, reach: int, grid: Grid) -> None:
        self._cell = plan.frame.cell_px
        spacing = grid.spacing_um / plan.config.mpp
        rows, columns = (
            np.arange(int((o - reach) // spacing) - 2, int((o + n + reach) // spacing) + 2)
            for o, n in ((window.y, window.height), (window.x, window.width))
        )
        first = hash_grid(rows, columns, plan.config.seed * 977 + grid.salt)
        second, third = rehash(first), rehash(first ^ np.uint32(0x5BD1E995))
        y = rows[:, None] + 0.5 + grid.jitter * (uniform(first) - 0.5)
        x = columns[None, :] + 0.5 + 0.5 * (rows[:, None] % 2)
        x = x + grid.jitter * (uniform(second) - 0.5)
        self._y = np.floor(y * spacing).astype(np.int64).ravel()
        self._x = np.floor(x * spacing).astype(np.int64).ravel()
        self._luck, self._hash = uniform(third).ravel() * 255, rehash(third).ravel()
        shape = plan.census.lymphocyte.shape
        on_slide = (self._y >= 0) & (self._x >= 0)
        on_slide &= (self._y < shape[0] * self._cell) & (self._x < shape[1] * self._cell)
        near = (self._y > window.y - reach) & (self._y < window.y + window.height + reach)
        near &= (self._x > window.x - reach) & (self._x < window.x + window.width + reach)
        self._free = on_slide & near

    def take(self, chance: ByteArray) -> Places:
        """Places that hold this kind of nucleus; no later kind can have them.

        The luck that remains after a refusal is what the next kind is drawn from, so the chances
        of the kinds add up.
        """
        free = np.flatnonzero(self._free)
        y, x = self._y[free], self._x[free]
        odds = chance[y // self._cell, x // self._cell].astype(np.float32)
        chosen = self._luck[free] < odds
        self._luck[free] -= odds
        taken = free[chosen]
        self._free[taken] = False
        return self._y[taken], self._x[taken], self._hash[taken]

    def look_up(self, field: ByteArray, places: Places) -> npt.NDArray[np.uint8]:
        """Value of a layout field at each place."""
        return field[places[0] // self._cell, places[1] // self._cell]


class _Canvas:
    """A stain plane with a rim wide enough that no sprite needs clipping."""

    def __init__(self, plane: ByteArray, window: Window, reach: int) -> None:
        self._rim = 2 * reach  # a centre may lie `reach` outside, and its sprite as far again
        self._origin = window.y - self._rim, window.x - self._rim
        self._data = np.pad(plane, self._rim)
        self.used = False

    def subtract(self, other: "_Canvas") -> None:
        """Take another canvas's stain away."""
        cv2.subtract(self._data, other._data, dst=self._data)

    def cropped(self) -> ByteArray:
        """Cut the rim off."""
        return self._data[self._rim : -self._rim, self._rim : -self._rim]

    def stamp(self, places: Places, sprites: Sprites) -> None:
        """Stamp a random sprite at each place."""
        index = (places[2] % np.uint32(len(sprites))).astype(np.int64)
        self.stamp_indexed(places, sprites, index)

    def stamp_indexed(self, places: Places, sprites: Sprites, index: IntArray) -> None:
        """Stamp sprites[index] centred on each place."""
        self.used = self.used or bool(index.size)
        data, maximum = self._data, np.maximum
        half = np.array([(s.shape[0] // 2, s.shape[1] // 2) for s in sprites])
        top = (places[0] - self._origin[0] - half[index, 0]).tolist()
        left = (places[1] - self._origin[1] - half[index, 1]).tolist()
        for y, x, k in zip(top, left, index.tolist(), strict=True):
            sprite = sprites[k]
            height, width = sprite.shape
            part = data[y : y + height, x : x + width]
            maximum(part, sprite, out=part)

"""Periodic textures, made once per pixel size and shared by all slides.

Each but the fat is stored with its period repeated by `MARGIN` pixels, so that any block is one
view.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from napari_hagmil.phantom.noise import ByteArray, FloatArray, periodic_noise, stream, to_byte

MARGIN = 1024 + 128
WORK_MPP = 0.5  # textures are made at this size and enlarged: four times cheaper, no visible loss
FAT_MPP = 1.0


@dataclass(frozen=True)
class Texture:
    """A texture of period `period` px; `data` is larger by MARGIN along both axes."""

    data: ByteArray
    period: int

    def block(self, y: int, x: int, height: int, width: int) -> ByteArray:
        """View of the texture at level-0 pixel (y, x); height, width <= MARGIN."""
        y, x = y % self.period, x % self.period
        return self.data[y : y + height, x : x + width]


@dataclass(frozen=True)
class Fibres:
    """Collagen, and the direction of its fibres (radians, one value per `step` px)."""

    texture: Texture
    angle: FloatArray
    step: float


@dataclass(frozen=True)
class Textures:
    """All textures at one pixel size; 128 is the mean of a noise, 255 the most of a stain."""

    fibres: tuple[Fibres, Fibres]
    grain: Texture
    edge: Texture
    membranes: Texture
    fat: Texture
    blood: Texture
    camera: ByteArray


def _enlarge(work: ByteArray, work_mpp: float, mpp: float) -> Texture:
    """Periodic enlargement of a texture from work_mpp to mpp, with the margin."""
    period = round(work.shape[0] * work_mpp / mpp)
    ring = np.pad(work, 8, mode="wrap")
    scale = period / work.shape[0]
    # The map keeps pixel centres in step across the seam, which resize() of a padded image
    # would not at a fractional scale.
    axis = ((np.arange(period, dtype=np.float32) + 0.5) / scale - 0.5 + 8).astype(np.float32)
    grid_x, grid_y = np.meshgrid(axis, axis)
    large = cv2.remap(ring, grid_x, grid_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return Texture(np.pad(large, (0, MARGIN), mode="wrap").astype(np.uint8), period)


def _follow(image: FloatArray, dy: FloatArray, dx: FloatArray, doublings: int) -> FloatArray:
    """Average along a direction field (line integral convolution by doubling steps)."""
    height, width = image.shape
    grid_x, grid_y = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    for k in range(doublings):
        step = np.float32(0.5 * 2.0**k)
        ahead = cv2.remap(
            image, grid_x + dx * step, grid_y + dy * step, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )  # fmt: skip
        behind = cv2.remap(
            image, grid_x - dx * step, grid_y - dy * step, cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_WRAP,
        )  # fmt: skip
        image = np.asarray((ahead + behind) * np.float32(0.5), dtype=np.float32)
    return image


def _fibres(name: str, period_um: float, base: float, mpp: float) -> Fibres:
    """Wavy collagen: fine fibres in coarse bundles, with clear slits between bundles."""
    rng = stream(0, name)
    n = round(period_um / WORK_MPP)
    angle = base + 0.75 * periodic_noise(rng, (n, n), 55 / WORK_MPP)
    angle = (angle + 0.28 * periodic_noise(rng, (n, n), 11 / WORK_MPP)).astype(np.float32)
    dy, dx = np.sin(angle), np.cos(angle)
    fine = _follow(periodic_noise(rng, (n, n), 0.9), dy, dx, 6)
    bundle = _follow(periodic_noise(rng, (n, n), 4.0), dy, dx, 7)
    fine, bundle = fine / fine.std(), bundle / bundle.std()
    slits = np.clip((-1.15 - bundle) * 2.0, 0, 1)
    value = (128 + 24 * fine + 30 * bundle) * (1 - 0.8 * slits)
    texture = _enlarge(to_byte(value.astype(np.float32)), WORK_MPP, mpp)
    return Fibres(texture, np.ascontiguousarray(angle[::8, ::8]), 8 * WORK_MPP / mpp)


def _noise_texture(name: str, parts: tuple[tuple[float, float], ...], mpp: float) -> Texture:
    """Mean 128; parts are (sigma in µm, amplitude in grey levels)."""
    rng = stream(0, name)
    n = round(512 / WORK_MPP)
    total = np.full((n, n), 128, np.float32)
    for sigma_um, amplitude in parts:
        total += amplitude * periodic_noise(rng, (n, n), sigma_um / WORK_MPP)
    return _enlarge(to_byte(total), WORK_MPP, mpp)


def _cells(name: str, period_um: float, spacing_um: float, work_mpp: float) -> FloatArray:
    """Distance in µm to the nearest wall of a periodic Voronoi tissue of jittered seeds."""
    rng = stream(0, name)
    n, count = round(period_um / work_mpp), max(2, 2 * round(period_um / spacing_um / 2))
    row, column = np.mgrid[:count, :count]
    jitter = rng.uniform(-0.36, 0.36, (2, count, count))
    y = ((row + 0.5 + jitter[0]) * n / count) % n
    x = ((column + 0.5 * (row % 2) + 0.5 + jitter[1]) * n / count) % n
    seeds = np.ones((n, n), np.uint8)
    seeds[y.astype(int), x.astype(int)] = 0
    pad = min(n, math.ceil(2.5 * n / count))
    _, labels = cv2.distanceTransformWithLabels(
        np.pad(seeds, pad, mode="wrap"), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    wall = np.ones(labels.shape, np.uint8)
    wall[:-1][labels[:-1] != labels[1:]] = 0
    wall[:, :-1][labels[:, :-1] != labels[:, 1:]] = 0
    distance = cv2.distanceTransform(wall, cv2.DIST_L2, 5)
    # The blur rounds the corners of the cells and takes the staircase off the walls.
    soft = cv2.GaussianBlur(distance, (0, 0), 1.8)[pad:-pad, pad:-pad]
    return _bend(rng, np.asarray(soft * np.float32(work_mpp), dtype=np.float32), n / count)


def _bend(rng: np.random.Generator, image: FloatArray, cell: float) -> FloatArray:
    """Bend a periodic image by a twentieth of a cell: living walls are never straight."""
    height, width = image.shape
    grid_x, grid_y = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    for grid in (grid_y, grid_x):
        grid += np.float32(0.06 * cell) * periodic_noise(rng, image.shape, 0.22 * cell)
    return np.asarray(
        cv2.remap(image, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP),
        dtype=np.float32,
    )


def _blood(mpp: float) -> Texture:
    """Crowded red cells: discs of 7 µm with a paler centre, as eosin."""
    rng = stream(0, "blood")
    period_um, spacing = 256.0, 5.6
    n, count = round(period_um / mpp), round(period_um / spacing)
    canvas = np.full((n, n), 22, np.uint8)
    radius = 3.4 / mpp
    half = math.ceil(radius) + 1
    yy, xx = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)
    for i in range(count):
        for j in range(count):
            dy, dx = rng.uniform(-0.45, 0.45, 2)
            y = (i + 0.5 + dy) * n / count
            x = (j + 0.5 * (i % 2) + 0.5 + dx) * n / count
            squeeze, turn = rng.uniform(0.72, 1.0), rng.uniform(0, math.pi)
            u = (math.cos(turn) * yy + math.sin(turn) * xx) / squeeze
            v = -math.sin(turn) * yy + math.cos(turn) * xx
            r = np.hypot(u, v) / radius
            disc = np.clip((1 - r) * radius + 0.5, 0, 1) * (204 + 38 * np.minimum(r, 1) ** 2)
            rows = np.arange(round(y) - half, round(y) + half + 1) % n
            columns = np.arange(round(x) - half, round(x) + half + 1) % n
            where = np.ix_(rows, columns)
            canvas[where] = np.maximum(canvas[where], disc.astype(np.uint8))
    return Texture(np.pad(canvas, (0, MARGIN), mode="wrap"), n)


@lru_cache(maxsize=2)
def make_textures(mpp: float) -> Textures:
    """All textures at `mpp` µm per pixel (about a second, once)."""
    fat = to_byte(_cells("fat", 2048, 78, FAT_MPP) * 10)
    membranes = to_byte(_cells("membranes", 512, 15, WORK_MPP) * 60)
    side = MARGIN + 512
    camera = 128 + 1.6 * stream(0, "camera").standard_normal((side, side, 3), np.float32)
    return Textures(
        fibres=(
            _fibres("fibres a", 512, 0.3, mpp),
            _fibres("fibres b", 416, 1.9, mpp),
        ),
        grain=_noise_texture("grain", ((0.45, 16), (1.3, 18), (4.0, 14)), mpp),
        edge=_noise_texture("edge", ((1.2, 14), (4.0, 26), (12.0, 30)), mpp),
        membranes=_enlarge(membranes, WORK_MPP, mpp),
        fat=Texture(fat, fat.shape[0]),
        blood=_blood(mpp),
        camera=to_byte(camera),
    )

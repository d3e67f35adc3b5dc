"""Where the tissue lies and what it is made of, on a grid of cells of about 8 µm.

All fields are float32 (rows, columns); signed distances are in µm, positive inside.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from napari_hagmil.phantom.noise import FloatArray, fractal_noise, smooth_noise, stream

CELL_UM = 8.0
MARGIN_UM = 40.0


@dataclass(frozen=True)
class Frame:
    """The layout grid: `cell_px` level-0 pixels and `cell_um` µm a cell."""

    seed: int
    shape: tuple[int, int]
    cell_px: int
    cell_um: float

    @property
    def extent_um(self) -> float:
        """Longer side of the slide, µm."""
        return max(self.shape) * self.cell_um

    def noise(self, name: str, *scales_um: float) -> FloatArray:
        """Unit-variance noise with the given correlation lengths in µm."""
        scales = tuple(s / self.cell_um for s in scales_um)
        return fractal_noise(stream(self.seed, name), self.shape, scales)


@dataclass(frozen=True)
class Anatomy:
    """Signed distances (µm) and smooth noises of everything healthy."""

    tissue: FloatArray
    node: FloatArray
    fat: FloatArray
    follicle: FloatArray
    centre: FloatArray
    sinus: FloatArray
    trabecula: FloatArray
    lumen: FloatArray
    wall: FloatArray
    blood: FloatArray
    gland: FloatArray


def depth_um(mask: npt.NDArray[np.bool_], cell_um: float) -> FloatArray:
    """Distance of each cell to the nearest cell outside, µm; outside: 0."""
    padded = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(distance * np.float32(cell_um), dtype=np.float32)


def signed_um(mask: npt.NDArray[np.bool_], cell_um: float) -> FloatArray:
    """Signed distance, positive inside, µm."""
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    distance = depth_um(mask, cell_um) - np.minimum(outside, 1e5) * np.float32(cell_um)
    # Cells are on or off: without the blur the border, once enlarged, would be a staircase.
    return np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.0), dtype=np.float32)


@dataclass(frozen=True)
class _Piece:
    """A star-shaped piece of tissue; centre, radius in µm."""

    y: float
    x: float
    radius: float
    is_node: bool


def _place_pieces(frame: Frame) -> list[_Piece]:
    """Throw one to five pieces that touch neither each other nor the edge of the slide."""
    rng = stream(frame.seed, "pieces")
    extent = frame.extent_um
    if extent < 1500:
        return [_Piece(extent / 2, extent / 2, extent * 0.46, True)]
    wanted = int(rng.integers(1, 6)) if extent > 2500 else int(rng.integers(1, 3))
    largest = extent * rng.uniform(0.30, 0.40) * (1.0 if wanted < 3 else 0.8)
    pieces: list[_Piece] = []
    for attempt in range(400):
        if len(pieces) == wanted:
            break
        shrink = 1.0 if not pieces else 0.95 ** (attempt / 12) * rng.uniform(0.5, 1.0)
        radius = max(largest * shrink, 120.0)
        low, high = radius * 1.12, extent - radius * 1.12
        y, x = rng.uniform(low, high, 2)
        if all(math.hypot(y - p.y, x - p.x) > (radius + p.radius) * 1.12 for p in pieces):
            pieces.append(_Piece(y, x, radius, not pieces or rng.random() < 0.6))
    return pieces


def outline(
    rng: np.random.Generator, theta: npt.NDArray[np.float64], roughness: float, waves: int = 12
) -> npt.NDArray[np.float64]:
    """Irregular closed outline of mean radius one: a Fourier series with 1/k amplitudes."""
    radius = np.ones_like(theta)
    for k in range(2, waves + 1):
        amplitude = roughness * rng.normal() / k
        radius += amplitude * np.cos(k * theta + rng.uniform(0, 2 * math.pi))
    return np.clip(radius, 0.45, 1.6)


def _blob(
    frame: Frame,
    centre: tuple[float, float],
    radius: float,
    rng: np.random.Generator,
    roughness: float,
) -> tuple[tuple[slice, slice], FloatArray]:
    """Window of the grid, and in it the approximate signed distance (µm) to a blob's outline."""
    reach = radius * 1.6 + 2 * frame.cell_um
    rows, columns = (
        slice(
            max(0, math.floor((c - reach) / frame.cell_um)),
            max(0, min(n, math.ceil((c + reach) / frame.cell_um))),
        )
        for c, n in zip(centre, frame.shape, strict=True)
    )
    y = (np.arange(rows.start, rows.stop) + 0.5) * frame.cell_um - centre[0]
    x = (np.arange(columns.start, columns.stop) + 0.5) * frame.cell_um - centre[1]
    theta = np.linspace(0, 2 * math.pi, 128, endpoint=False)
    shape = outline(rng, theta, roughness)
    angle = np.arctan2(y[:, None], x[None, :])
    edge = np.interp(angle, theta, shape, period=2 * math.pi) * radius
    return (rows, columns), (edge - np.hypot(y[:, None], x[None, :])).astype(np.float32)


def _tissue(frame: Frame, pieces: list[_Piece]) -> tuple[FloatArray, FloatArray]:
    """Signed distance of the tissue, and 1 where the piece is a lymph node."""
    rng = stream(frame.seed, "outlines")
    field = np.full(frame.shape, -1e4, np.float32)
    is_node = np.zeros(frame.shape, np.float32)
    for piece in pieces:
        window, distance = _blob(frame, (piece.y, piece.x), piece.radius, rng, 0.24)
        field[window] = np.maximum(field[window], distance)
        is_node[window][distance > -0.2 * piece.radius] = piece.is_node
    size = min(1.0, frame.extent_um / 4000)
    field += 90 * size * frame.noise("edge", 350, 130) + 16 * size * frame.noise("fringe", 35, 16)
    # Clefts: thin tears along the ridges of a noise, in some places only.
    tear = 9.0 - 260 * np.abs(frame.noise("tears", 260, 90))
    where = frame.noise("torn", 700) - 1.35
    field = np.minimum(field, -np.minimum(tear, 60 * where))
    # Uneven, or tissue that meets the edge of the slide would be cut along a straight line.
    border = _border(frame, MARGIN_UM * size) - 60 * size * np.abs(frame.noise("border", 400, 120))
    return signed_um(np.minimum(field, border) > 0, frame.cell_um), is_node


def _border(frame: Frame, margin_um: float) -> FloatArray:
    """Distance to the slide's edge less the margin, µm."""
    axes = [np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) for n in frame.shape]
    nearest = np.minimum(axes[0][:, None], axes[1][None, :])
    return np.asarray(nearest * frame.cell_um - margin_um, dtype=np.float32)


def _paint_follicles(frame: Frame, node: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mantles and germinal centres, mostly in the cortex: signed distances, µm."""
    rng = stream(frame.seed, "follicles")
    mantle = np.full(frame.shape, -99, np.float32)
    centre = mantle.copy()
    spacing, keep = rng.uniform(380, 560), rng.uniform(0.35, 0.9)
    for i in range(math.ceil(frame.shape[0] * frame.cell_um / spacing)):
        for j in range(math.ceil(frame.shape[1] * frame.cell_um / spacing)):
            dy, dx, chance, size, germinal = rng.random(5)
            y = (i + 0.15 + 0.7 * dy) * spacing
            x = (j + 0.15 + 0.7 * dx + 0.5 * (i % 2)) * spacing
            row, column = int(y / frame.cell_um), int(x / frame.cell_um)
            if row >= frame.shape[0] or column >= frame.shape[1]:
                continue
            depth, radius = float(node[row, column]), 110 + 150 * size
            if depth < 0.6 * radius or chance > keep * math.exp(-max(0.0, depth - 500) / 500):
                continue
            window, distance = _blob(frame, (y, x), radius, rng, 0.16)
            mantle[window] = np.maximum(mantle[window], distance)
            if germinal < 0.75:
                inner = distance - radius * (0.28 + 0.2 * germinal)
                centre[window] = np.maximum(centre[window], inner)
    return mantle, centre


def _paint_rings(
    frame: Frame,
    name: str,
    room: FloatArray,
    per_mm2: float,
    radii_um: tuple[float, float],
) -> tuple[FloatArray, FloatArray]:
    """Round hollows where `room` (µm) allows: signed distance of the hollow, and a number each."""
    rng = stream(frame.seed, name)
    hollow = np.full(frame.shape, -99, np.float32)
    number = np.zeros(frame.shape, np.float32)
    area_mm2 = frame.shape[0] * frame.shape[1] * (frame.cell_um / 1000) ** 2
    for _ in range(rng.poisson(per_mm2 * area_mm2)):
        cy, cx, size, value = rng.random(4)
        row, column = int(cy * frame.shape[0]), int(cx * frame.shape[1])
        radius = radii_um[0] * (radii_um[1] / radii_um[0]) ** (size**1.6)
        if room[row, column] < 1.2 * radius:
            continue
        centre = (float(cy * frame.shape[0]), float(cx * frame.shape[1]))
        at = (centre[0] * frame.cell_um, centre[1] * frame.cell_um)
        window, distance = _blob(frame, at, radius, rng, 0.17)
        hollow[window] = np.maximum(hollow[window], distance)
        number[window][distance > -40] = value
    return hollow, number


def make_anatomy(frame: Frame) -> Anatomy:
    """Draw the healthy tissue of one slide."""
    tissue, is_node = _tissue(frame, _place_pieces(frame))
    small = min(1.0, frame.extent_um / 4000)
    rind = small * (130 + 140 * frame.noise("rind", 900, 300))
    node = signed_um((tissue > np.maximum(rind, 20)) & (is_node > 0.5), frame.cell_um)
    mantle, centre = _paint_follicles(frame, node)
    depth = np.clip((node - 350) / 400, 0, 1)
    ridge = 1 - np.abs(frame.noise("sinus", 85, 40)) * (3.4 - 1.9 * depth)
    subcapsular = 14 - np.abs(node - 34 - 6 * frame.noise("rim", 90))
    sinus = np.maximum(26 * ridge - 12, subcapsular)
    sinus = np.minimum(sinus, np.minimum(node - 8, -mantle))
    band = 14 - 300 * np.abs(frame.noise("trabeculae", 420, 160))
    trabecula = np.minimum(band + 20 * np.clip((300 - node) / 300, -1, 1), node)
    fat = _fat(frame, tissue, node)
    outside = np.minimum(tissue - 15, np.maximum(-node - 10, trabecula + 15))
    lumen, blood = _paint_rings(frame, "vessels", np.minimum(outside, -fat + 60), 9.0, (7, 130))
    wall = np.asarray(lumen + 6 + 16 * np.clip((lumen + 60) / 60, 0, 1), dtype=np.float32)
    gland_room = np.minimum(np.minimum(tissue - 30, -fat + 30), -node - 20)
    gland_room = np.where(is_node > 0.5, -1, np.minimum(gland_room, 80 * frame.noise("lobes", 500)))
    gland, _ = _paint_rings(frame, "glands", gland_room.astype(np.float32), 220.0, (14, 55))
    return Anatomy(tissue, node, fat, mantle, centre, sinus, trabecula, lumen, wall, blood, gland)


def _fat(frame: Frame, tissue: FloatArray, node: FloatArray) -> FloatArray:
    """Fat around nodes, in fibrous pieces, and at the hilum of some nodes."""
    level = stream(frame.seed, "fatness").uniform(-0.5, 0.8)
    lobules = 110 * (frame.noise("fat", 330, 110) + level)
    hilum = 200 * (frame.noise("hilum", 800) - 1.7)
    either = np.maximum(np.minimum(lobules, -node - 14), hilum)
    return np.asarray(np.minimum(either, tissue - 4), dtype=np.float32)


__all__ = ["CELL_UM", "Anatomy", "Frame", "depth_um", "make_anatomy", "outline", "smooth_noise"]

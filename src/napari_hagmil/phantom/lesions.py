"""Plant tumour: outlines, truth, and the fields that the renderer needs."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_hagmil.phantom.anatomy import Frame, outline
from napari_hagmil.phantom.config import PhantomConfig
from napari_hagmil.phantom.noise import FloatArray, stream
from napari_hagmil.phantom.truth import Lesion, Polygon

Mask = npt.NDArray[np.bool_]

OUTSIDE = np.float32(-99.0)
GROW = 1.25  # reach of an outline beyond its mean radius, when room is looked for


@dataclass(frozen=True)
class LesionFields:
    """Layout fields of all lesions.

    Attributes
    ----------
    inside
        Signed distance to the outline, µm, positive inside.
    nest
        Signed distance (roughly, µm) to the border of the tumour nests; negative in the stroma.
    chromasia, eosin, basophilia
        Per lesion, 0..1: darkness of its nuclei, pinkness and blueness of its cytoplasm.
    """

    inside: FloatArray
    nest: FloatArray
    chromasia: FloatArray
    eosin: FloatArray
    basophilia: FloatArray


@dataclass(frozen=True)
class _Ground:
    """Where the next lesion may stand.

    Attributes
    ----------
    room
        Distance to the tissue's edge and to the lesions that are planted already, µm.
    solid
        Where lesions like to start: tissue other than fat.
    """

    room: FloatArray
    solid: Mask


def plant_lesions(
    config: PhantomConfig, frame: Frame, tissue: FloatArray, solid: Mask
) -> tuple[tuple[Lesion, ...], LesionFields]:
    """Draw the lesions of a slide, each inside the tissue and apart from the others.

    Parameters
    ----------
    config
        How many, and how large.
    frame
        The layout grid.
    tissue
        Signed distance to the tissue's edge, µm.
    solid
        Where lesions like to start: tissue other than fat.
    """
    rng = stream(config.seed, "lesions")
    fields = LesionFields(
        *(np.full(frame.shape, OUTSIDE, np.float32) for _ in range(2)),
        *(np.zeros(frame.shape, np.float32) for _ in range(3)),
    )
    room = tissue.copy()
    lesions: list[Lesion] = []
    for number in range(_count(config, rng)):
        diameter = _diameter(config, rng, 2 * float(room.max()) / GROW)
        if diameter is None:
            break
        lesion = _place(config, frame, rng, _Ground(room, solid), diameter)
        lesions.append(lesion)
        _paint(config, frame, fields, lesion, number)
        np.minimum(room, -fields.inside - 60, out=room, where=fields.inside > OUTSIDE)
    return tuple(lesions), fields


def _count(config: PhantomConfig, rng: np.random.Generator) -> int:
    """Count the lesions: as asked, or none on four slides of ten, else mostly few."""
    drawn = 0 if rng.random() < 0.4 else 1 + min(7, int(rng.geometric(0.42)) - 1)
    return drawn if config.lesions is None else config.lesions


def _diameter(config: PhantomConfig, rng: np.random.Generator, cap: float) -> float | None:
    """Log-uniform diameter in µm, or None where not even the smallest fits."""
    low, high = config.lesion_diameters_um
    if cap < low:
        return None
    return float(low * (min(high, cap) / low) ** rng.random())


def _place(
    config: PhantomConfig,
    frame: Frame,
    rng: np.random.Generator,
    ground: _Ground,
    diameter: float,
) -> Lesion:
    """Choose a place with room, and an outline of exactly the wanted area."""
    n = 4 * int(np.clip(diameter / 12, 18, 180))  # a multiple of 4, for _centre
    theta = np.linspace(0, 2 * math.pi, n, endpoint=False)
    roughness = 0.14 + 0.16 * min(1.0, diameter / 1500)
    shape = outline(rng, theta, roughness, waves=10 if diameter < 400 else 28)
    shape *= diameter / 2 / math.sqrt(_area(_turn(shape, theta)) / math.pi)
    roomy = ground.room >= min(float(shape.max()), float(ground.room.max()))
    liked = roomy & ground.solid
    spots = np.flatnonzero(liked if liked.any() else roomy)
    row, column = divmod(int(spots[rng.integers(spots.size)]), frame.shape[1])
    at = (np.array((row, column)) + rng.uniform(0.2, 0.8, 2)) * frame.cell_px - 0.5
    polygon = at + _turn(shape, theta) / config.mpp
    area = _area(polygon) * config.mpp**2
    return Lesion(polygon, 2 * math.sqrt(area / math.pi), area)


def _turn(radius: Polygon, theta: Polygon) -> Polygon:
    """Polar outline → (n, 2) offsets (y, x)."""
    return np.stack((radius * np.sin(theta), radius * np.cos(theta)), axis=1)


def _area(polygon: Polygon) -> float:
    """Area of a simple polygon, by the shoelace formula."""
    y, x = polygon[:, 0], polygon[:, 1]
    return abs(float(np.dot(y, np.roll(x, -1)) - np.dot(x, np.roll(y, -1)))) / 2


def _paint(
    config: PhantomConfig, frame: Frame, fields: LesionFields, lesion: Lesion, number: int
) -> None:
    """Write one lesion into the fields, within its window and a rim of 100 µm."""
    rng = stream(config.seed, f"lesion {number}")
    rim = 100 / config.mpp
    low = np.floor((lesion.polygon.min(0) - rim) / frame.cell_px).astype(int).clip(0)
    high = np.ceil((lesion.polygon.max(0) + rim) / frame.cell_px).astype(int)
    window = (slice(low[0], high[0]), slice(low[1], high[1]))
    shape = fields.inside[window].shape
    inside = _signed_distance(config, frame, lesion, (int(low[0]), int(low[1])), shape)
    np.maximum(fields.inside[window], inside, out=fields.inside[window])
    local = Frame(config.seed, shape, frame.cell_px, frame.cell_um)
    scale = rng.uniform(38, 85) * (1.0 if lesion.diameter_um > 300 else 0.7)
    ridge = np.abs(local.noise(f"nest {number}", scale, scale * 0.4))
    # Width of the stroma bands; a micro-metastasis is nearly solid.
    width = rng.uniform(0.10, 0.45) * min(1.0, lesion.diameter_um / 450)
    nest = np.minimum((ridge - width) * scale * 0.9, inside + 4)
    owned = inside > -90
    fields.nest[window][owned] = nest[owned]
    for field in (fields.chromasia, fields.eosin, fields.basophilia):
        field[window][owned] = rng.random()


def _signed_distance(
    config: PhantomConfig,
    frame: Frame,
    lesion: Lesion,
    origin: tuple[int, int],
    shape: tuple[int, ...],
) -> FloatArray:
    """Distance (µm) along the ray from the centre to the outline; positive inside."""
    centre = _centre(lesion)
    y, x = (
        ((np.arange(n) + o + 0.5) * frame.cell_px - 0.5 - c) * config.mpp
        for n, o, c in zip(shape, origin, centre, strict=True)
    )
    spokes = (lesion.polygon - centre) * config.mpp
    theta = np.arctan2(spokes[:, 0], spokes[:, 1])
    angle = np.arctan2(y[:, None], x[None, :])
    edge = np.interp(angle, theta, np.hypot(spokes[:, 0], spokes[:, 1]), period=2 * math.pi)
    return np.asarray(edge - np.hypot(y[:, None], x[None, :]), dtype=np.float32)


def _centre(lesion: Lesion) -> Polygon:
    """Find the point from which the outline is a star.

    Vertices stand at equal angles, so opposite ones face each other through it.
    """
    n = len(lesion.polygon)
    a, b = lesion.polygon[0], lesion.polygon[n // 4]
    # Spoke 0 lies along x and spoke n/4 along y (n is a multiple of 4).
    return np.array((a[0], b[1]))

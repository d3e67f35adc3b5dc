"""Distractors that can mislead a reader: folds, blur, pen, dust, uneven light."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from napari_hagmil.phantom.anatomy import Frame
from napari_hagmil.phantom.noise import ByteArray, FloatArray, smooth_noise, stream, to_byte

# Transmission (R, G, B) of the inks.
INKS = ((0.16, 0.22, 0.62), (0.10, 0.42, 0.24), (0.12, 0.12, 0.14))


@dataclass(frozen=True)
class Speck:
    """A dust particle: centre in level-0 pixels, and its transmission as a small image."""

    y: int
    x: int
    image: ByteArray


@dataclass(frozen=True)
class Distractors:
    """Layout fields; `light` is the transmission of lamp and ink, (rows, columns, 3)."""

    fold: ByteArray
    blur: ByteArray
    light: ByteArray
    specks: tuple[Speck, ...]


def make_distractors(frame: Frame, tissue: FloatArray) -> Distractors:
    """Draw the distractors of one slide; tissue is a signed distance, µm."""
    return Distractors(
        fold=_folds(frame, tissue),
        blur=_focus(frame),
        light=_light(frame, tissue),
        specks=_dust(frame),
    )


def _walk(
    rng: np.random.Generator, start: npt.NDArray[np.float64], length: float, bend: float
) -> npt.NDArray[np.float64]:
    """Walk a smooth path of 40 points, (n, 2) as (y, x) in the unit of `length`."""
    heading = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, bend, 40))
    steps = np.stack((np.sin(heading), np.cos(heading)), axis=1) * length / 40
    return np.asarray(start + np.cumsum(steps, axis=0), dtype=np.float64)


def _stroke(canvas: ByteArray, path: npt.NDArray[np.float64], width: float, value: int) -> None:
    """Draw a path of a given width in cells, with sub-cell coordinates."""
    points = np.round(path[:, ::-1] * 16).astype(np.int32)
    cv2.polylines(
        canvas, [points.reshape(-1, 1, 2)], False, value, max(1, round(width)), cv2.LINE_AA, 4
    )


def _folds(frame: Frame, tissue: FloatArray) -> ByteArray:
    """Bands where the tissue lies double, 25 to 90 µm wide."""
    rng = stream(frame.seed, "folds")
    canvas = np.zeros(frame.shape, np.uint8)
    spots = np.argwhere(tissue > 40)
    if frame.extent_um < 1500 or not len(spots):
        return canvas
    for _ in range(rng.integers(0, 5)):
        start = spots[rng.integers(len(spots))].astype(np.float64)
        length = rng.uniform(500, 3000) / frame.cell_um
        _stroke(canvas, _walk(rng, start, length, 0.12), rng.uniform(25, 90) / frame.cell_um, 255)
    wobble = frame.noise("fold edge", 40, 20)
    return to_byte(cv2.GaussianBlur(canvas, (0, 0), 0.8).astype(np.float32) * (1 + 0.2 * wobble))


def _focus(frame: Frame) -> ByteArray:
    """Patches out of focus: 0 sharp, 255 blurred."""
    rng = stream(frame.seed, "focus")
    if rng.random() < 0.35 or frame.extent_um < 1500:
        return np.zeros(frame.shape, np.uint8)
    noise = frame.noise("defocus", 800, 300)
    return to_byte(255 * (noise - rng.uniform(1.5, 2.2)) / 0.5)


def _light(frame: Frame, tissue: FloatArray) -> ByteArray:
    """Uneven lamp (a few percent) times the ink of the pen strokes."""
    lamp = 1 - 0.008 * np.abs(frame.noise("lamp", 2500)) - 0.004 * np.abs(frame.noise("smear", 200))
    light = np.repeat(lamp[..., None], 3, axis=2)
    rng = stream(frame.seed, "pen")
    if frame.extent_um > 1500 and rng.random() < 0.6:
        for _ in range(rng.integers(1, 3)):
            ink = np.array(INKS[rng.integers(len(INKS))], np.float32)
            cover = _pen(frame, rng, tissue)[..., None]
            light = light * (1 - cover * (1 - ink))
    return to_byte(255 * light.astype(np.float32))


def _pen(frame: Frame, rng: np.random.Generator, tissue: FloatArray) -> FloatArray:
    """Cover 0..1 of one pen's strokes, which mostly start on glass near the tissue."""
    canvas = np.zeros(frame.shape, np.uint8)
    spots = np.argwhere((tissue < -60) & (tissue > -900))
    if not len(spots):
        return canvas.astype(np.float32)
    width = min(rng.uniform(250, 550), frame.extent_um / 14) / frame.cell_um
    for _ in range(rng.integers(1, 4)):
        start = spots[rng.integers(len(spots))].astype(np.float64)
        length = rng.uniform(0.1, 0.5) * frame.extent_um / frame.cell_um
        _stroke(canvas, _walk(rng, start, length, 0.10), width, 255)
    streaks = smooth_noise(rng, frame.shape, 120 / frame.cell_um)
    fine = smooth_noise(rng, frame.shape, 14 / frame.cell_um)
    soft = cv2.GaussianBlur(canvas, (0, 0), 2.0).astype(np.float32) / 255
    return np.asarray(np.clip(soft * (0.80 + 0.12 * streaks + 0.05 * fine), 0, 0.97))


def _dust(frame: Frame) -> tuple[Speck, ...]:
    """Drop a few dark specks of 5 to 40 µm anywhere, some of them fibres, slightly out of focus."""
    rng = stream(frame.seed, "dust")
    pixels = [n * frame.cell_px for n in frame.shape]
    mpp = frame.cell_um / frame.cell_px
    area_mm2 = (frame.extent_um / 1000) ** 2
    specks = []
    for _ in range(int(rng.poisson(min(120.0, 0.7 * area_mm2)))):
        radius = 2.5 * 8 ** rng.random() ** 2 / mpp
        half = math.ceil(radius * 1.8) + 3
        axis = np.arange(-half, half + 1, dtype=np.float32)
        grain = cv2.resize(rng.standard_normal((7, 7), np.float32), (axis.size, axis.size))
        turn, thin = rng.uniform(0, math.pi), rng.uniform(1.0, 3.0)
        u = (math.cos(turn) * axis[:, None] + math.sin(turn) * axis[None, :]) * thin
        v = math.cos(turn) * axis[None, :] - math.sin(turn) * axis[:, None]
        edge = (1 + 0.3 * grain - np.hypot(u, v) / radius) * radius / (1 + 0.8 / mpp)
        border = half - np.maximum(np.abs(axis)[:, None], np.abs(axis)[None, :])
        edge = np.minimum(edge, border / 2 - 0.5)  # clear at the margin of the image
        opaque = np.clip(edge + 0.5, 0, 1) * rng.uniform(0.35, 0.85)
        y, x = (int(rng.integers(0, n)) for n in pixels)
        specks.append(Speck(y - half, x - half, to_byte((255 * (1 - opaque)).astype(np.float32))))
    return tuple(specks)

"""Artefacts planted on pictures of tissue at 1 µm per pixel, with the places that they cover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.phantom import PhantomConfig, PhantomPlan, plan_phantom, render_region
from napari_hagmil.phantom.distractors import INKS, Distractors

Picture = NDArray[np.uint8]
Place = NDArray[np.bool_]
Rng = np.random.Generator

#: Transmission (R, G, B) of a granule: melanin and haemosiderin, and soot.
PIGMENTS = ((0.33, 0.18, 0.08), (0.42, 0.24, 0.06), (0.08, 0.08, 0.09))


def clean_phantom(seed: int, size: int) -> tuple[Picture, Place]:
    """A phantom without artefacts of its own, and where its tissue lies."""
    plan = plan_phantom(PhantomConfig(seed=seed, size=size, mpp=1.0))
    plan = replace(plan, distractors=_none(plan))
    tissue = cv2.resize(plan.tissue.astype(np.uint8), (size, size), interpolation=cv2.INTER_NEAREST)
    return render_region(plan, 0, 0, size, size), tissue > 0


def _none(plan: PhantomPlan) -> Distractors:
    nothing = np.zeros_like(plan.distractors.fold)
    return Distractors(nothing, nothing, np.full((*nothing.shape, 3), 255, np.uint8), ())


def fold(picture: Picture, start: tuple[int, int], rng: Rng) -> tuple[Picture, Place]:
    """A band of 40 to 150 µm where the tissue lies on itself: transmissions multiply."""
    band = _band(picture.shape, start, rng, rng.uniform(40, 150), rng.uniform(500, 1500))
    dy, dx = (int(n) for n in rng.integers(-120, 120, 2))
    above = np.roll(picture, (dy, dx), (0, 1)).astype(np.float32) / np.percentile(picture, 99)
    double = cv2.GaussianBlur(picture * np.minimum(above, 1), (0, 0), 0.7)
    return _blend(picture, double, _soft(band, 1.5)), band


def blur(picture: Picture, start: tuple[int, int], rng: Rng) -> tuple[Picture, Place]:
    """A place of 300 to 1,200 µm out of focus, by 1.5 to 5 µm."""
    place = _blob(picture.shape, start, rng, rng.uniform(150, 600))
    out = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1.5, 5))
    return _blend(picture, out, _soft(place, 15)), place


def pen(picture: Picture, start: tuple[int, int], rng: Rng) -> tuple[Picture, Place]:
    """A marker's stroke of 200 to 500 µm across tissue and glass, streaky."""
    band = _band(picture.shape, start, rng, rng.uniform(200, 500), rng.uniform(800, 2500))
    ink = np.array(INKS[rng.integers(len(INKS))])
    streaks = cv2.resize(rng.normal(0, 0.1, (24, 24)), picture.shape[1::-1])
    cover = _soft(band, 8) * np.clip(0.85 + streaks, 0, 1)
    return _times(picture, 1 - cover[..., None] * (1 - ink)), band


def bubble(picture: Picture, start: tuple[int, int], rng: Rng) -> tuple[Picture, Place]:
    """Air under the cover slip, 300 to 1,400 µm wide: a dark rim, and no focus inside."""
    place = _blob(picture.shape, start, rng, rng.uniform(150, 700), wobble=0.06)
    inside = cv2.distanceTransform(place.astype(np.uint8), cv2.DIST_L2, 5)
    width = rng.uniform(10, 30)
    rim = np.exp(-(((inside - width) / (0.5 * width)) ** 2)) * rng.uniform(0.45, 0.8)
    out = _blend(picture, cv2.GaussianBlur(picture, (0, 0), rng.uniform(2, 5)), _soft(place, 3))
    return _times(out, 1 - np.where(place, rim, 0)[..., None]), place


def pigment(picture: Picture, start: tuple[int, int], rng: Rng) -> tuple[Picture, Place]:
    """Brown or black granules of 2 to 8 µm, in a heap of 80 to 300 µm."""
    colour, radius = np.array(PIGMENTS[rng.integers(len(PIGMENTS))]), rng.uniform(40, 150)
    heap = np.zeros(picture.shape[:2], np.uint8)
    count = int(rng.uniform(0.008, 0.02) * np.pi * radius**2)
    for y, x in np.array(start) + rng.normal(0, radius / 2, (count, 2)):
        cv2.circle(heap, (round(x * 16), round(y * 16)), round(rng.uniform(1, 4) * 16), 255, -1,
                   cv2.LINE_AA, 4)  # fmt: skip
    cover = cv2.GaussianBlur(heap, (0, 0), 0.7).astype(np.float32)[..., None] / 255
    dense = cv2.blur((heap > 0).astype(np.float32), (16, 16)) > 0.25
    return _times(picture, 1 - cover * (1 - colour)), dense


PLANT: dict[str, Callable[[Picture, tuple[int, int], Rng], tuple[Picture, Place]]] = {
    "fold": fold,
    "blur": blur,
    "pen": pen,
    "bubble": bubble,
    "pigment": pigment,
}


def planted(
    picture: Picture, tissue: Place, kind: str, count: int, rng: Rng
) -> tuple[Picture, Place]:
    """A picture with so many artefacts of a kind, each begun on tissue."""
    spots = np.argwhere(tissue[::16, ::16]) * 16
    covered = np.zeros(tissue.shape, bool)
    for _ in range(count):
        y, x = (int(n) for n in spots[rng.integers(len(spots))])
        picture, place = PLANT[kind](picture, (y, x), rng)
        covered |= place
    return picture, covered


def _band(
    shape: tuple[int, ...], start: tuple[int, int], rng: Rng, width: float, length: float
) -> Place:
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.1, 40))
    steps = np.stack((np.sin(heading), np.cos(heading)), 1) * length / 40
    path = np.array(start) + np.cumsum(steps, 0) - steps.sum(0) / 2
    canvas = np.zeros(shape[:2], np.uint8)
    cv2.polylines(canvas, [path[:, ::-1].astype(np.int32)], False, 255, round(width))
    return canvas > 0


def _blob(
    shape: tuple[int, ...], start: tuple[int, int], rng: Rng, radius: float, wobble: float = 0.15
) -> Place:
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    waves = sum(rng.normal(0, wobble / n) * np.sin(n * turn + rng.uniform(0, 7)) for n in (2, 3, 4))
    points = np.array(start) + (radius * (1 + waves))[:, None] * np.stack(
        (np.sin(turn), np.cos(turn)), 1
    )
    canvas = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(canvas, [points[:, ::-1].astype(np.int32)], 255)
    return canvas > 0


def _soft(place: Place, sigma: float) -> NDArray[np.float32]:
    return cv2.GaussianBlur(place.astype(np.float32), (0, 0), sigma)


def _blend(below: Picture, above: NDArray[np.generic], share: NDArray[np.float32]) -> Picture:
    mixed = below + share[..., None] * (above.astype(np.float32) - below)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def _times(picture: Picture, transmission: NDArray[np.floating]) -> Picture:
    return np.clip(picture * transmission + 0.5, 0, 255).astype(np.uint8)

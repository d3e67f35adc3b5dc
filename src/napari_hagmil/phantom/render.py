"""Pixels of level 0, block by block; a block depends on nothing but the plan and its place."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from napari_hagmil.phantom.config import PhantomError
from napari_hagmil.phantom.layout import PhantomPlan
from napari_hagmil.phantom.noise import ByteArray
from napari_hagmil.phantom.stain import StainPlanes
from napari_hagmil.phantom.stamps import stamp_nuclei
from napari_hagmil.phantom.textures import Texture, Textures, make_textures
from napari_hagmil.phantom.window import Window, blend, cells, enlarge

BLOCK = 1024  # px; blocks are aligned to multiples of it, which makes any region reproducible
BLUR_UM = 1.5
REDDEST = 158.0  # eosin of tissue stays below this: denser is read as haemoglobin by the stain
HALO = 32  # px rendered around a block that is partly out of focus


def render_region(plan: PhantomPlan, y: int, x: int, height: int, width: int) -> ByteArray:
    """Render a rectangle of level 0.

    Parameters
    ----------
    plan
        From `plan_phantom`.
    y, x, height, width
        Level-0 pixels, inside the slide.

    Returns
    -------
    (height, width, 3) uint8 RGB, the same pixels whichever rectangle asks for them.
    """
    size = plan.config.size
    if min(y, x) < 0 or min(height, width) < 1 or y + height > size or x + width > size:
        raise PhantomError(
            "region",
            f"must lie inside the slide of {size} px",
            value=f"y={y}, x={x}, {height}×{width} px",
        )
    out = np.empty((height, width, 3), np.uint8)
    for top in range(y // BLOCK * BLOCK, y + height, BLOCK):
        for left in range(x // BLOCK * BLOCK, x + width, BLOCK):
            block = render_block(plan, top, left)
            rows = slice(max(y, top), min(y + height, top + BLOCK))
            columns = slice(max(x, left), min(x + width, left + BLOCK))
            out[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x] = block[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
    return out


def render_block(plan: PhantomPlan, y: int, x: int) -> ByteArray:
    """Render the BLOCK px square whose first pixel is (y, x), multiples of BLOCK."""
    window = Window(y, x, BLOCK, BLOCK)
    textures = make_textures(plan.config.mpp)
    if cells(plan, plan.shapes.tissue, window, pad=2).max() <= 40:
        glass = np.zeros((BLOCK, BLOCK), np.uint8)
        rgb = plan.stain.colour(StainPlanes(glass, glass))
    else:
        rgb = plan.stain.colour(_focused(plan, textures, window))
    light = enlarge(plan, plan.distractors.light, window)
    rgb = np.asarray(cv2.multiply(rgb, light, scale=1 / 255), dtype=np.uint8)
    _drop_dust(plan, rgb, window)
    oy, ox = (y // BLOCK * 331) % 512, (x // BLOCK * 197) % 512
    noise = textures.camera[oy : oy + BLOCK, ox : ox + BLOCK]
    return np.asarray(cv2.addWeighted(rgb, 1.0, noise, 1.0, -128.0), dtype=np.uint8)


def _focused(plan: PhantomPlan, textures: Textures, window: Window) -> StainPlanes:
    """Stain planes, blurred where the slide is out of focus."""
    if not cells(plan, plan.distractors.blur, window, pad=2).any():
        return _planes(plan, textures, window)
    outer = window.grown(HALO)
    amount = enlarge(plan, plan.distractors.blur, window)
    # Two box blurs look like a Gaussian and cost a tenth of it; together they reach HALO at most.
    side = 2 * min(round(1.2 * BLUR_UM / plan.config.mpp), HALO // 2 - 1) + 1
    inner = slice(HALO, HALO + BLOCK)
    sharp = _planes(plan, textures, outer)
    mixed = []
    for plane in (sharp.hematoxylin, sharp.eosin):
        soft = np.asarray(cv2.blur(cv2.blur(plane, (side, side)), (side, side)), dtype=np.uint8)
        mixed.append(blend(plane[inner, inner], soft[inner, inner], amount))
    return StainPlanes(mixed[0], mixed[1])


@lru_cache(maxsize=32)
def _ramp(centre: int, slope: float) -> ByteArray:
    """Table that sharpens a signed distance into a cover."""
    return np.asarray(np.clip((np.arange(256) - centre) * slope + 128, 0, 255), dtype=np.uint8)


@dataclass(frozen=True)
class _Canvas:
    """What every layer of one window is painted from.

    Attributes
    ----------
    plan, textures, window
        The slide, its textures, and the place.
    edge, grain
        Two textures under the window: the raggedness of borders, the granularity of stain.
    """

    plan: PhantomPlan
    textures: Textures
    window: Window
    edge: ByteArray
    grain: ByteArray

    def enlarge(self, field: ByteArray) -> ByteArray:
        """Bring a layout field to level 0."""
        return enlarge(self.plan, field, self.window)

    def texture(self, texture: Texture, salt: int) -> ByteArray:
        """Look at a texture through the window."""
        return _block(texture, self.plan, self.window, salt)


def _cover(
    canvas: _Canvas, field: ByteArray, ragged: float, slope: float = 16.0
) -> ByteArray | None:
    """Sharp cover of a signed distance with a ragged border; None where it is nowhere."""
    plan, window = canvas.plan, canvas.window
    if cells(plan, field, window, pad=2).max() < 128 - 127 * ragged:
        return None
    distance = enlarge(plan, field, window, cubic=True)
    rough = cv2.addWeighted(distance, 1.0, canvas.edge, ragged, -128.0 * ragged)
    return np.asarray(cv2.LUT(rough, _ramp(128, slope)), dtype=np.uint8)


def _block(texture: Texture, plan: PhantomPlan, window: Window, salt: int) -> ByteArray:
    """Look at a texture through a window; each slide starts it elsewhere."""
    shift = (plan.config.seed + 1) * (7919 + 104729 * salt)
    return texture.block(
        window.y + shift % 5003, window.x + shift % 4801, window.height, window.width
    )


def _planes(plan: PhantomPlan, textures: Textures, window: Window) -> StainPlanes:
    """Hematoxylin and eosin over a window."""
    edge = _block(textures.edge, plan, window, 1)
    grain = _block(textures.grain, plan, window, 2)
    canvas = _Canvas(plan, textures, window, edge, grain)
    planes = _paint_tumour(canvas, _paint_ground(canvas))
    planes = stamp_nuclei(plan, textures, window, _paint_fat(canvas, planes))
    planes = _paint_hollows(canvas, planes)
    tissue = _cover(canvas, plan.shapes.tissue, 0.25, 12.0)
    if tissue is None:
        glass = np.zeros_like(planes.hematoxylin)
        return StainPlanes(glass, glass.copy())
    both = (planes.hematoxylin, plan.gain_hematoxylin), (planes.eosin, plan.gain_eosin)
    cut = []
    for plane, gain in both:
        strong = cv2.multiply(plane, canvas.enlarge(gain), scale=1 / 128)
        cut.append(np.asarray(cv2.multiply(strong, tissue, scale=1 / 255), np.uint8))
    return _fold(plan, window, StainPlanes(*cut))


def _paint_ground(canvas: _Canvas) -> StainPlanes:
    """Everything between the nuclei that has no sharp border."""
    plan, ground, grain = canvas.plan, canvas.plan.ground, canvas.grain
    first, second = (canvas.texture(f.texture, 3) for f in canvas.textures.fibres)
    fibres = blend(first, second, canvas.enlarge(plan.fibre_mix))
    collagen = cv2.multiply(canvas.enlarge(ground.fibres), fibres, scale=1 / 160)
    eosin = cv2.add(canvas.enlarge(ground.eosin), collagen)
    mottle = cv2.multiply(canvas.enlarge(ground.grain), grain, scale=1 / 255)
    hematoxylin = cv2.add(canvas.enlarge(ground.hematoxylin), mottle)
    hematoxylin = cv2.subtract(hematoxylin, (14.0,))
    eosin = cv2.min(cv2.addWeighted(eosin, 1.0, grain, 0.22, -28.0), (REDDEST,))
    return StainPlanes(np.asarray(hematoxylin, np.uint8), np.asarray(eosin, np.uint8))


def _paint_tumour(canvas: _Canvas, below: StainPlanes) -> StainPlanes:
    """Cytoplasm of the tumour nests, with faint cell borders."""
    shapes, grain = canvas.plan.shapes, canvas.grain
    cover = _cover(canvas, shapes.nest, 0.22, 8.0)
    if cover is None:
        return below
    border = cv2.LUT(canvas.texture(canvas.textures.membranes, 4), _MEMBRANE)
    eosin = cv2.addWeighted(canvas.enlarge(shapes.tumour_eosin), 1.0, grain, 0.3, -38)
    eosin = cv2.multiply(eosin, border, scale=1 / 200)
    blue = cv2.addWeighted(canvas.enlarge(shapes.tumour_hematoxylin), 1.0, grain, 0.2, -25)
    return StainPlanes(
        blend(below.hematoxylin, np.asarray(blue, np.uint8), cover),
        blend(below.eosin, np.asarray(eosin, np.uint8), cover),
    )


# Byte distance to a cell border (60 levels a µm) → factor of the eosin, in 1/200: a pale cleft.
_MEMBRANE = np.clip(110 + 1.0 * np.arange(256), 0, 200).astype(np.uint8)
# Byte distance to an adipocyte's wall (10 levels a µm) → stain of the wall: gone after 1.5 µm.
_WALL_EOSIN = np.clip(84 - 12 * np.maximum(np.arange(256) - 14, 0), 2, 84).astype(np.uint8)
_WALL_BLUE = np.clip(15 - 2.4 * np.maximum(np.arange(256) - 14, 0), 1, 15).astype(np.uint8)


def _paint_fat(canvas: _Canvas, below: StainPlanes) -> StainPlanes:
    """Adipocytes: clear, with thin walls."""
    cover = _cover(canvas, canvas.plan.shapes.fat, 0.18)
    if cover is None:
        return below
    distance = _fat_distance(canvas.plan, canvas.textures, canvas.window)
    return StainPlanes(
        blend(below.hematoxylin, np.asarray(cv2.LUT(distance, _WALL_BLUE), np.uint8), cover),
        blend(below.eosin, np.asarray(cv2.LUT(distance, _WALL_EOSIN), np.uint8), cover),
    )


def _fat_distance(plan: PhantomPlan, textures: Textures, window: Window) -> ByteArray:
    """Distance to the walls, enlarged from pixels of 1 µm: it is smooth, only walls are sharp."""
    fat, mpp = textures.fat, plan.config.mpp
    matrix = np.array(
        [
            [mpp, 0, ((window.x + 0.5) * mpp - 0.5 + 37 * plan.config.seed) % fat.period],
            [0, mpp, ((window.y + 0.5) * mpp - 0.5 + 71 * plan.config.seed) % fat.period],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(
            fat.data, matrix, (window.width, window.height), flags=flags,
            borderMode=cv2.BORDER_WRAP,
        ),
        dtype=np.uint8,
    )  # fmt: skip


def _paint_hollows(canvas: _Canvas, below: StainPlanes) -> StainPlanes:
    """Lumens of vessels, empty or full of blood, and of glands."""
    shapes, h, e = canvas.plan.shapes, below.hematoxylin, below.eosin
    for field, filled in ((shapes.lumen, True), (shapes.gland, False)):
        cover = _cover(canvas, field, 0.12)
        if cover is None:
            continue
        content = np.full(h.shape, 3, np.uint8)
        if filled:
            blood = canvas.texture(canvas.textures.blood, 5)
            content = blend(content, blood, canvas.enlarge(shapes.blood))
        h = blend(h, np.full(h.shape, 2, np.uint8), cover)
        e = blend(e, content, cover)
    return StainPlanes(h, e)


def _fold(plan: PhantomPlan, window: Window, flat: StainPlanes) -> StainPlanes:
    """Double the stain where the tissue is folded."""
    if not cells(plan, plan.distractors.fold, window, pad=2).any():
        return flat
    fold = enlarge(plan, plan.distractors.fold, window, cubic=True)
    h, e = flat.hematoxylin, flat.eosin
    double = cv2.multiply(e, fold, scale=0.9 / 255)
    return StainPlanes(
        np.asarray(cv2.add(h, cv2.multiply(h, fold, scale=0.8 / 255)), np.uint8),
        np.asarray(cv2.max(e, cv2.min(cv2.add(e, double), (REDDEST,))), np.uint8),
    )


def _drop_dust(plan: PhantomPlan, rgb: ByteArray, window: Window) -> None:
    """Darken the pixels under dust, in place."""
    for speck in plan.distractors.specks:
        y, x = speck.y - window.y, speck.x - window.x
        height, width = speck.image.shape
        rows = slice(max(y, 0), min(y + height, window.height))
        columns = slice(max(x, 0), min(x + width, window.width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        mask = speck.image[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        part = rgb[rows, columns].astype(np.uint16) * mask[..., None] // 255
        rgb[rows, columns] = part.astype(np.uint8)

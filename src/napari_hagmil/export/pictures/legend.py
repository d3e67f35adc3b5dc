"""The legend below the overview: scale bar, colours, meaning of the lines."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_hagmil.cascade.result import SlideResult
from napari_hagmil.geometry import magnification_label

#: (256, 3) RGB of percentile 0 to 100: cividis, as in the window, evenly readable whatever one's
#: colour vision.
COLORS: NDArray[np.uint8] = np.asarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_CIVIDIS)[:, 0, ::-1],
    np.uint8,
)

#: RGB of the lines around followed branches.
OUTLINE = (16, 16, 48)

#: The legend does not fit into less, px.
_LEAST_WIDTH = 1250
_HEIGHT, _MARGIN, _BAR = 132, 24, 360
_PURPOSE = "Research use only"
_INK, _GREY, _RULE = (26, 26, 32), (104, 104, 112), (214, 214, 220)


def with_legend(
    picture: NDArray[np.uint8], downsample: float, result: SlideResult
) -> NDArray[np.uint8]:
    """Put a picture (h, w, 3) of the slide over its legend, on white.

    Parameters
    ----------
    picture : (h, w, 3) uint8
        RGB.
    downsample : float
        Level-0 pixels per picture pixel.
    result : SlideResult
        What the picture shows.
    """
    height, width = picture.shape[:2]
    page = Image.new("RGB", (max(width, _LEAST_WIDTH), height + _HEIGHT), "white")
    page.paste(Image.fromarray(picture), ((page.width - width) // 2, 0))
    draw = ImageDraw.Draw(page)
    draw.line([(0, height), (page.width, height)], fill=_RULE)
    top = height + 22
    x = _scale_bar(draw, _MARGIN, top, result.slide.mpp * downsample, width)
    if result.stages:
        x = _colour_bar(draw, x + 56, top, _magnification(result, result.stages[-1].depth))
        _line_keys(draw, x + 56, top, result)
    caption = "     ".join(filter(None, (result.slide.name, _state(result), _PURPOSE)))
    draw.text((_MARGIN, height + _HEIGHT - 34), caption, _GREY, _font(18))
    return np.asarray(page, np.uint8)


def outline_thickness(depth: int) -> int:
    """Thickness of the lines around the branches followed at a depth, px."""
    return max(1, 3 - depth)


def scale_length(um_per_px: float, width: int) -> float:
    """Length of a scale bar, µm: 1, 2 or 5 times a power of ten, a sixth of the width at most."""
    longest = max(um_per_px * width / 6, 1e-6)
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(m for m in (1, 2, 5) if m * power <= longest) * power)


def _scale_bar(draw: ImageDraw.ImageDraw, x: int, y: int, um_per_px: float, width: int) -> int:
    """Draw the scale bar; returns where it ends."""
    length = scale_length(um_per_px, width)
    end = x + round(length / um_per_px)
    draw.rectangle((x, y + 4, end, y + 10), fill=_INK)
    draw.text((x, y + 22), f"{length / 1000:g} mm", _INK, _font(21))
    return max(end, x + 80)


def _colour_bar(draw: ImageDraw.ImageDraw, x: int, y: int, magnification: str) -> int:
    """Draw the colours of percentile 0 to 100; returns where they end."""
    end = x + _BAR
    for i in range(_BAR):
        color = COLORS[i * 255 // (_BAR - 1)]
        draw.line([(x + i, y), (x + i, y + 14)], fill=tuple(color.tolist()))
    draw.text((x, y + 22), "0", _INK, _font(21))
    draw.text((end, y + 22), "100", _INK, _font(21), anchor="ra")
    middle = f"attention percentile at {magnification}"
    draw.text(((x + end) // 2, y + 22), middle, _INK, _font(21), anchor="ma")
    return end


def _line_keys(draw: ImageDraw.ImageDraw, x: int, y: int, result: SlideResult) -> None:
    """Say what the outlines and the places without a tint are."""
    at = x
    for stage in result.stages:
        if stage.followed.any():
            thickness = outline_thickness(stage.depth)
            draw.rectangle((at, y - 2, at + 28, y + 16), outline=OUTLINE, width=thickness)
            text = f"followed at {_magnification(result, stage.depth)}"
            draw.text((at + 38, y - 6), text, _INK, _font(21))
            at += 62 + round(draw.textlength(text, _font(21)))
    text = f"no tint: not visited at {_magnification(result, result.stages[-1].depth)}"
    draw.text((x, y + 26), text, _INK, _font(21))


def _state(result: SlideResult) -> str:
    return {
        "done": "",
        "no_tissue": "no tissue was found: nothing was looked at",
        "cancelled": "cancelled before the end",
        "incomplete": f"incomplete: {result.unread}",
    }[result.state]


def _magnification(result: SlideResult, depth: int) -> str:
    return magnification_label(result.slide.mpp * result.grids[depth].downsample)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: Pillow's own font has neither umlauts nor ×."""
    # Where it lies is asked without the import of matplotlib, which takes as long as the pictures.
    found = find_spec("matplotlib")
    places = found.submodule_search_locations if found else None
    folder = Path(next(iter(places or ["."])), "mpl-data", "fonts", "ttf")
    return ImageFont.truetype(folder / "DejaVuSans.ttf", size)

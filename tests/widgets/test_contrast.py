"""Text of the docks in both themes, and colours on the slide that everybody can tell apart."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from napari.utils.colormaps import ensure_colormap
from napari.utils.colormaps.standardize_color import transform_color
from napari.utils.theme import get_theme
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_hagmil.plugin import colors
from napari_hagmil.widgets.style import (
    ERROR_COLOR,
    FOCUS_COLOR,
    QUIET_COLOR,
    WARNING_COLOR,
    dock_style,
)

#: WCAG 2.1, level AA: text, and parts that carry meaning.
TEXT, PARTS = 4.5, 3.0


def luminance(color):
    """Relative luminance of red, green, blue, 0 to 255 (WCAG 2.1)."""
    share = np.asarray(color, dtype=float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def rgb(text):
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


#: What cones of one kind less see of linear light: Machado et al. (2009), full severity.
EYES = {
    "all cones": np.eye(3),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
}  # fmt: skip
#: Eosin pale and strong, haematoxylin pale and in nuclei, DAB.
TISSUES = ("#e3a6c8", "#d9779f", "#7b4b94", "#46266b", "#8b5a2b")


def difference(one, other):
    """CIEDE2000 of two opaque colours, to the eyes that see it least."""

    def seen(color, eyes):
        share = transform_color(color)[0, :3]
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        there = np.clip(EYES[eyes] @ linear, 0, 1)
        back = np.where(there <= 0.0031308, 12.92 * there, 1.055 * there ** (1 / 2.4) - 0.055)
        return rgb2lab(back.reshape(1, 1, 3))[0, 0]

    return min(float(deltaE_ciede2000(seen(one, eyes), seen(other, eyes))) for eyes in EYES)


def test_the_measure_itself():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("ink", [QUIET_COLOR, WARNING_COLOR, ERROR_COLOR, FOCUS_COLOR])
def test_coloured_text_can_be_read_in_both_themes(ink, theme):
    behind = get_theme(theme).background.as_rgb_tuple()[:3]
    assert contrast(rgb(ink.on(theme)), behind) >= TEXT
    assert ink.on(theme) in dock_style(theme)


def test_one_colour_has_one_meaning_to_every_eye():
    for (one, a), (other, b) in itertools.combinations(colors.MEANINGS.items(), 2):
        assert difference(a, b) >= 11, (one, other)


@pytest.mark.parametrize("tissue", TISSUES)
def test_every_line_stands_out_from_the_tissue(tissue):
    for meaning, color in colors.MEANINGS.items():
        assert difference(color, tissue) >= 9, meaning


def test_no_line_has_the_colour_of_high_attention_and_the_page_names_them_all():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "dock.md").read_text()
    for meaning, color in colors.MEANINGS.items():
        assert difference(color, "#fee838") >= 11, meaning
        assert f"| {meaning} | " in page
        assert f"`{color[:7]}`" in page


@pytest.mark.parametrize("name", ["cividis", "viridis", "magma", "inferno", "gray"])
def test_every_map_on_offer_grows_evenly_lighter(name):
    colors = ensure_colormap(name).map(np.linspace(0, 1, 32, dtype=np.float32))[:, :3]
    light = np.array([luminance(255 * color) for color in colors])
    assert (np.diff(light) > 0).all()
    assert contrast(255 * colors[0], 255 * colors[-1]) > PARTS

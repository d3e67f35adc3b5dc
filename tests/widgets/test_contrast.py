"""Text of the docks in a dark room, and colours that everybody can tell apart."""

import numpy as np
import pytest
from napari.utils.colormaps import ensure_colormap
from napari.utils.theme import get_theme

from napari_hagmil.plugin.layers import BRANCH_COLORS
from napari_hagmil.widgets.style import ERROR_COLOR, QUIET_COLOR, WARNING_COLOR

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


def background():
    """Behind the docks, in the theme that napari starts with."""
    return get_theme("dark").background.as_rgb_tuple()[:3]


def test_the_measure_itself():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("color", [QUIET_COLOR, WARNING_COLOR, ERROR_COLOR])
def test_coloured_text_can_be_read_in_a_dark_room(color):
    assert contrast(rgb(color), background()) >= TEXT


@pytest.mark.parametrize("color", BRANCH_COLORS)
def test_the_colour_of_a_depth_stands_out_where_it_is_text(color):
    assert contrast(rgb(color), background()) >= TEXT


@pytest.mark.parametrize("name", ["cividis", "viridis", "magma", "inferno", "gray"])
def test_every_map_on_offer_grows_evenly_lighter(name):
    colors = ensure_colormap(name).map(np.linspace(0, 1, 32, dtype=np.float32))[:, :3]
    light = np.array([luminance(255 * color) for color in colors])
    assert (np.diff(light) > 0).all()
    assert contrast(255 * colors[0], 255 * colors[-1]) > PARTS

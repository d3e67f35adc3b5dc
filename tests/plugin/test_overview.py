"""The picture of a whole slide with its attention."""

import numpy as np
import pytest

from napari_hagmil.attention import AttentionMap
from napari_hagmil.plugin.overview import overview_picture, tinted


def test_rgb_is_kept_and_the_longest_side_is_as_asked():
    overview = np.full((50, 100, 3), (200, 120, 160), np.uint8)
    picture = overview_picture(overview, 40)
    assert picture.shape == (20, 40, 3)
    assert (picture == (200, 120, 160)).all()
    assert overview_picture(overview, 400).shape == (50, 100, 3)


def test_channels_become_grey_over_the_range_that_they_use():
    channel = np.linspace(100, 200, 400, dtype=np.uint16).reshape(20, 20, 1)
    picture = overview_picture(channel, 20, rgb=False)
    assert (picture == picture[..., :1]).all()
    assert (picture.min(), picture.max()) == (0, 255)


def test_attention_tints_its_own_place_and_nothing_else():
    values = np.array([[np.nan, 100.0]], dtype=np.float32)
    amap = AttentionMap(values, downsample=10, origin=(0.0, 0.0))
    picture = np.full((4, 8, 3), 100, np.uint8)
    out = tinted(picture, (20, 40), amap, "gray")
    expected = picture.copy()
    # The second cell covers level-0 columns 10 to 20 and rows 0 to 10, a pixel of the picture 5.
    expected[:2, 2:4] = int(0.55 * 100 + 0.45 * 255)
    assert out == pytest.approx(expected, abs=1)
    assert (picture == 100).all()


def test_colours_of_more_than_8_bits_keep_their_hue():
    for bits in (10, 12, 16):
        overview = np.full((50, 100, 3), (200, 120, 160)) * (2**bits - 1) // 255
        overview[0, 0] = 2**bits - 1
        picture = overview_picture(overview.astype(np.uint16), 100)
        assert picture[1, 1] == pytest.approx((200, 120, 160), abs=1)
    # A part that holds no white is shown by the white of the whole.
    dark = np.full((50, 100, 3), (20, 12, 16), np.uint16) * np.uint16(257)
    assert overview_picture(dark, 100, white=65535.0)[1, 1].tolist() == [20, 12, 16]

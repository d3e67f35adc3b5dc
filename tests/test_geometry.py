import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hagmil.geometry import (
    Region,
    from_file_xy,
    is_plausible_mpp,
    magnification_label,
    magnification_text,
    overlay_placement,
    square_around,
    to_file_xy,
)


@pytest.mark.parametrize(
    ("mpp", "label"),
    [
        (0.25, "40×"),
        (0.228, "40×"),
        (0.2527, "40×"),
        (0.499, "20×"),
        (1.0, "10×"),
        (4.0, "2.5×"),
        (8.0, "1.25×"),
        (0.35, "28.6×"),
    ],
)
def test_pixel_sizes_are_shown_as_the_magnification_that_people_name(mpp, label):
    assert magnification_label(mpp) == label


@pytest.mark.parametrize(
    ("value", "text"), [(0.0312, "0.0312×"), (7.5, "7.5×"), (999, "999×"), (3180.4, "3180×")]
)
def test_no_magnification_is_written_as_a_power_of_ten(value, text):
    assert magnification_text(value) == text


@pytest.mark.parametrize("mpp", [None, 0.0, 352.8, 0.0049, -1.0])
def test_pixel_sizes_of_no_microscope_are_implausible(mpp):
    assert not is_plausible_mpp(mpp)


def test_a_region_without_area_is_refused():
    with pytest.raises(ValueError, match="at least 1×1"):
        Region(0, 0, 0, 5)


points = st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2), min_size=1, max_size=20)


@given(points)
def test_file_coordinates_round_trip(yx):
    assert np.allclose(from_file_xy(to_file_xy(yx)), yx, atol=1e-6)


def test_the_centre_of_the_first_pixel_is_half_a_pixel_from_the_file_corner():
    assert to_file_xy([(0, 0)]).tolist() == [[0.5, 0.5]]
    assert to_file_xy([(2, 7)]).tolist() == [[7.5, 2.5]]


@given(st.floats(1, 4096), st.floats(0.05, 10), st.tuples(*[st.integers(-9000, 9000)] * 2))
def test_a_raster_pixel_covers_exactly_its_level_0_pixels(downsample, mpp, origin):
    (scale, _), translate = overlay_placement(downsample, mpp, origin)
    first_edge = np.array(translate) - scale / 2
    assert np.allclose(first_edge, mpp * (np.array(origin) - 0.5), rtol=1e-9, atol=1e-6)


sides = st.floats(1, 300)


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.floats(1, 400), st.integers(5, 500))
def test_a_square_around_a_place_stays_on_the_slide_while_it_fits(corner, size, side, extent):
    bounds = (*corner, *np.add(corner, size))
    square = square_around(bounds, side, (extent, 500))
    assert square.height == square.width == max(round(side), 1)
    for start, stop, along in zip((square.y, square.x), square.stop, (extent, 500), strict=True):
        if square.height <= along:
            assert 0 <= start < stop <= along
        else:
            assert start <= 0
            assert stop >= along


def test_a_square_that_fits_has_its_place_in_the_middle():
    assert square_around((9.5, 19.5, 11.5, 29.5), 20, (100, 100)) == Region(1, 15, 20, 20)

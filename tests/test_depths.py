import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_hagmil.depths import plan_depths
from napari_hagmil.errors import SlideFormatError

MODEL = (1.0, 0.5, 0.25)


@pytest.mark.parametrize(
    ("slide_mpp", "downsamples"),
    [
        (0.25, (4.0, 2.0, 1.0)),
        (0.2275, (4.0, 2.0, 1.0)),
        (0.2527, (4.0, 2.0, 1.0)),
        (0.125, (8.0, 4.0, 2.0)),
        (0.499, (2.0, 1.0)),
        (1.0, (1.0,)),
    ],
)
def test_depths_fall_on_the_pixels_that_the_slide_has(slide_mpp, downsamples):
    assert plan_depths(slide_mpp, MODEL).downsamples == downsamples


def test_a_missing_magnification_is_said_and_not_invented():
    plan = plan_depths(0.499, MODEL)
    assert plan.last_depth == 1
    assert len(plan.notes) == 1
    assert "no 40×" in plan.notes[0]
    assert "ends at 20×" in plan.notes[0]


def test_odd_pixel_sizes_are_resampled_to_the_exact_size():
    plan = plan_depths(0.176, MODEL)
    assert plan.mpp == pytest.approx(MODEL)


def test_a_slide_coarser_than_the_first_depth_is_refused():
    with pytest.raises(SlideFormatError, match=r"scan\.tif has 4 µm per pixel, coarser"):
        plan_depths(4.0, MODEL, name="scan.tif")


@given(st.floats(0.05, 1.2))
def test_no_depth_is_ever_upsampled_and_each_is_half_the_one_before(slide_mpp):
    plan = plan_depths(slide_mpp, MODEL)
    assert min(plan.downsamples) >= 1 - 1e-9
    for coarse, fine in zip(plan.downsamples, plan.downsamples[1:], strict=False):
        assert coarse == pytest.approx(2 * fine)
    for real, wanted in zip(plan.mpp, MODEL, strict=False):
        assert 0.79 <= real / wanted <= 1.26

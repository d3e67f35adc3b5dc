"""What the dock says of a slide."""

import numpy as np
import pytest
from PIL import Image

from napari_hagmil.slide import open_slide
from napari_hagmil.widgets.cascade.slide.slide_panel import SlidePanel

pytestmark = pytest.mark.window


def test_a_slide_without_a_pixel_size_is_not_offered_that_of_the_slide_before(
    qapp, tmp_path, phantom
):
    plain = tmp_path / "plain.png"
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(plain)
    panel = SlidePanel()
    with open_slide(phantom, mpp=0.4321) as slide:
        panel.show_slide(slide)
        assert panel.mpp_input.value() == pytest.approx(0.4321)
    with open_slide(plain) as slide:
        panel.show_slide(slide)
    assert panel.mpp_input.value() == pytest.approx(0.25)
    assert panel.mpp_button.text() == "Use"

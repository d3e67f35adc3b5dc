"""A model that is not for the slide says so before any class."""

import numpy as np
import pytest
from test_cascade_dock import dock

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import Stage
from napari_hagmil.models import load_bundle
from napari_hagmil.prepare import why_unfit
from napari_hagmil.slide import open_slide
from napari_hagmil.widgets.cascade.run.depth_row import DepthFindings

__all__ = ["dock"]


def test_the_demo_model_is_for_phantoms_alone(phantom, slides_dir):
    config = load_bundle(find_bundle("demo")).config
    with open_slide(phantom) as slide:
        assert why_unfit(config, slide) == ""
    with open_slide(slides_dir / "CMU-1-Small-Region.svs") as slide:
        said = why_unfit(config, slide)
    assert said.startswith("The model demo is not for this slide. ")
    assert said.endswith(config.intended_use)


@pytest.mark.window
def test_the_warning_takes_the_place_of_the_class_and_goes_with_it(dock):
    none = np.zeros(1, bool)
    stage = Stage(
        0, np.zeros((1, 2), int), np.ones(1, np.float32), np.array([2, 0], np.float32), none, none
    )
    found = DepthFindings("10×", stage, 1.0, ("normal", "tumor"), "normal", "Not for this slide.")
    dock.findings.show_depth(found)
    assert dock.findings.prediction.text() == "Not for this slide."
    assert dock.findings.said.text().startswith("It gives normal 88 %, at 10×")
    dock.findings.show_depth(DepthFindings("10×", stage, 1.0, ("normal", "tumor"), "normal"))
    assert dock.findings.prediction.text() == "normal 88 %, at 10×"
    assert not dock.findings.said.isVisibleTo(dock)

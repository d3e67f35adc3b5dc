"""The scale bar stays in µm whatever layers of others lie on the slide."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.widgets.unit_of_others import UnitOfOthers


def add_slide(viewer, mpp):
    unit = "um" if mpp else "pixel"
    facts = {"path": "a.svs", "mpp": mpp}
    return viewer.add_image(np.zeros((9, 9)), units=(unit, unit), metadata={KEY: facts})


def unit_of_the_scale_bar(viewer):
    """As napari's scale bar asks for it; none where layers disagree."""
    return viewer.layers.units and str(viewer.layers.units[-1])


@pytest.mark.parametrize("slide_first", [True, False])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_layer_without_a_unit_takes_that_of_the_slide_and_stays_in_its_place(slide_first, axes):
    viewer = ViewerModel()
    units = UnitOfOthers(viewer)
    if slide_first:
        add_slide(viewer, 0.25)
    theirs = viewer.add_points(np.full((1, axes), 4.0))
    before = theirs.extent.world.tolist()
    if not slide_first:
        add_slide(viewer, 0.25)
    assert unit_of_the_scale_bar(viewer) == "micrometer"
    assert theirs.extent.world.tolist() == before
    del units


def test_over_a_slide_without_a_pixel_size_it_has_none_again_and_a_stated_unit_is_kept():
    viewer = ViewerModel()
    units = UnitOfOthers(viewer)
    slide = add_slide(viewer, 0.25)
    viewer.add_points(np.zeros((1, 2)))
    stated = viewer.add_points(np.zeros((1, 2)), units=("mm", "mm"))
    assert {str(unit) for unit in stated.units} == {"millimeter"}
    viewer.layers.remove(slide)
    viewer.layers.remove(stated)
    add_slide(viewer, None)
    assert unit_of_the_scale_bar(viewer) == "pixel"
    viewer.add_points(np.zeros((1, 2)), units=("um", "um"), metadata={KEY: {"pins": True}})
    assert unit_of_the_scale_bar(viewer) == "pixel"
    del units


@pytest.mark.window
def test_a_layer_that_is_added_costs_no_collection_of_garbage(viewer, monkeypatch):
    """As the end of a batch of napari's does: tenths of a second a layer."""
    collected = []
    monkeypatch.setattr("napari._vispy.canvas.gc.collect", lambda: collected.append(True))
    units = UnitOfOthers(viewer)
    add_slide(viewer, 0.25)
    viewer.add_points(np.zeros((1, 2)))
    assert not collected
    del units


@pytest.mark.window
def test_no_notice_of_napari_says_that_units_disagree(viewer, qapp):
    units = UnitOfOthers(viewer)
    notification_manager.records.clear()
    add_slide(viewer, 0.25)
    viewer.add_points(np.zeros((1, 2)))
    qapp.processEvents()
    assert [one.message for one in notification_manager.records] == []
    viewer.layers.clear()
    add_slide(viewer, None)
    viewer.add_points(np.zeros((1, 2)), units=("um", "um"), metadata={KEY: {"pins": True}})
    qapp.processEvents()
    assert [one.message for one in notification_manager.records] == []
    del units

"""The review as layers: what is drawn, and what is read back after an edit in napari."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes

from napari_hagmil.plugin.review_layers import (
    LABEL_ON_BRIGHT,
    LABEL_ON_DARK,
    regions_in,
    regions_layer,
)
from napari_hagmil.plugin.review_layers import (
    REGIONS as REGIONS_LAYER,
)
from napari_hagmil.review import ReviewRegion, ReviewState
from napari_hagmil.widgets.review.sync import LayerSync

MPP = 0.25


def box(y, x, size=100.0):
    return ((y, x), (y, x + size), (y + size, x + size), (y + size, x))


REGIONS = (
    ReviewRegion("a", box(0, 0), (box(20, 20, 10), box(60, 60, 10)), decision="accepted"),
    ReviewRegion("b", box(0, 200), path_class="Tumor"),
)


@pytest.fixture
def layer():
    data, meta, _ = regions_layer(REGIONS, MPP, current="a")
    return Shapes(data, **meta)


def test_every_ring_is_drawn_and_what_is_read_back_is_what_was_drawn(layer):
    assert len(layer.data) == 4
    assert np.allclose(layer.data[1], np.array(box(20, 20, 10)) * MPP)
    assert regions_in(layer, REGIONS, MPP) == REGIONS


def test_holes_have_the_look_of_their_region_and_no_label_of_their_own(layer):
    assert np.array_equal(layer.edge_color[1], layer.edge_color[0])
    assert layer.edge_width[:3] == [layer.edge_width[0]] * 3
    assert layer.features["label"].tolist() == ["", "", "", "Tumor"]


def test_a_hole_that_is_deleted_is_filled_and_the_other_stays(layer):
    layer.selected_data = {1}
    layer.remove_selected()
    first, second = regions_in(layer, REGIONS, MPP)
    assert first.holes == REGIONS[0].holes[1:]
    assert (first.id, first.provenance, first.decision) == ("a", "redrawn", "accepted")
    assert second is REGIONS[1]


def test_a_region_that_is_deleted_takes_its_holes_along(layer):
    layer.selected_data = {0}
    layer.remove_selected()
    assert regions_in(layer, REGIONS, MPP) == REGIONS[1:]


def test_a_hole_that_is_moved_stays_the_hole_of_its_region(layer):
    corners = [np.array(ring) for ring in layer.data]
    corners[2] += 2 * MPP
    layer.data = corners
    first, _ = regions_in(layer, REGIONS, MPP)
    assert first.polygon == REGIONS[0].polygon
    assert first.holes[0] == REGIONS[0].holes[0]
    assert np.allclose(first.holes[1], np.array(box(62, 62, 10)))


def test_what_is_drawn_there_by_hand_is_a_region_of_its_own(layer):
    layer.add(np.array(box(300, 300)) * MPP, shape_type="polygon")
    found = regions_in(layer, REGIONS, MPP)
    assert found[:2] == REGIONS
    assert (found[2].provenance, found[2].holes) == ("drawn", ())
    assert np.allclose(found[2].polygon, box(300, 300))


@pytest.mark.parametrize(("bright", "color"), [(True, LABEL_ON_BRIGHT), (False, LABEL_ON_DARK)])
def test_labels_are_black_on_a_bright_slide_and_white_on_a_dark_one(bright, color):
    layers = LayerSync(ViewerModel(), lambda what, members: None)
    layers.clear(bright=bright)
    layers.show(ReviewState(regions=REGIONS), MPP, "")
    found = layers.layer(REGIONS_LAYER).text.color.constant
    assert found == pytest.approx([float(color == LABEL_ON_DARK)] * 3 + [1.0])

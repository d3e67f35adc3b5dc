"""Outlines by the thousand, and labels that have no room."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_hagmil.plugin.labels import with_room
from napari_hagmil.plugin.review_layers import ANNOTATIONS, MOST_SHAPES, POINTS
from napari_hagmil.review import UNCLASSIFIED, Annotation, ReviewState
from napari_hagmil.widgets.review.sync import LayerSync


def squares(n, apart=100.0):
    return tuple(
        Annotation(f"{i}", "polygon", ((y, x), (y, x + 9), (y + 9, x + 9)), "Tumor")
        for i in range(n)
        for y, x in [(apart * (i // 100), apart * (i % 100))]
    )


@pytest.fixture
def shown(qapp):
    """A viewer's review layers, and what is drawn in them."""
    viewer, edits = ViewerModel(), []
    viewer.add_image(np.zeros((9, 9)))  # the first layer of a window moves the camera
    viewer.scene.camera.zoom = 1.0
    sync = LayerSync(viewer, lambda what, members: edits.append(members))
    yield viewer, sync, edits
    sync.close()


def said(viewer):
    return [text for text in viewer.layers[ANNOTATIONS].features["label"] if text]


def color_at(layer, y, x):
    """What a layer shows at a place, µm."""
    row, column = np.round(layer.world_to_data((y, x))).astype(int)
    return layer.data[row, column].tolist()


def test_ten_thousand_outlines_are_a_picture_of_what_is_in_view(shown, wait_until):
    viewer, sync, edits = shown
    ruler = Annotation("r", "ruler", ((50.0, 50.0), (50.0, 90.0)))
    state = ReviewState(annotations=(*squares(10_000), ruler))
    viewer.scene.camera.center = (0, 50, 50)
    sync.show(state, 0.5, "")
    layer = viewer.layers[ANNOTATIONS]
    assert isinstance(layer, Image)
    red, ours = [200, 0, 0, 255], [*UNCLASSIFIED.color, 255]
    assert color_at(layer, 0, 52) == red  # a side from (0, 100) to (0, 109), at 0.5 µm per px
    assert color_at(layer, 2, 54.5) == red
    assert color_at(layer, 4, 50)[3] == 0  # and inside the corner that the triangle lacks
    assert color_at(layer, 25, 30) == ours
    assert color_at(layer, 10, 10)[3] == 0
    assert max(layer.data.shape) < 2500
    assert layer.extent.world.max() <= 0.5 * 10_000
    sync.pick(("1",))
    bold = (layer.data[..., 3] > 0).sum()
    viewer.scene.camera.zoom = 4.0
    wait_until(lambda: layer.scale[0] == pytest.approx(0.25))
    assert color_at(layer, 0, 52) == red
    viewer.scene.camera.center = (0, 2450, 2450)
    wait_until(lambda: layer.translate[0] > 2000)
    sync.pick(())
    viewer.scene.camera.zoom = 1.0
    viewer.scene.camera.center = (0, 50, 50)
    wait_until(lambda: layer.translate[0] < 1)
    assert (layer.data[..., 3] > 0).sum() < bold
    point = Annotation("p", "point", ((5.0, 5.0),))
    sync.show(ReviewState(annotations=(*state.annotations, point)), 0.5, "")
    viewer.layers[POINTS].add([[8.0, 8.0]])
    assert len(edits[-1]) == 10_003  # what the user adds beside the lines costs none of them


def test_a_hole_is_drawn_as_a_ring_of_its_own_and_edited_with_naparis_tools(shown):
    viewer, sync, edits = shown
    hole = ((2.0, 4.0), (2.0, 6.0), (4.0, 6.0))
    ring = replace(squares(1)[0], holes=(hole,), parent="p")
    state = ReviewState(annotations=(ring, *squares(3)[1:]))
    sync.show(state, 0.5, "")
    layer = viewer.layers[ANNOTATIONS]
    assert [len(one) for one in layer.data] == [3, 3, 3, 3]
    assert list(layer.features["ring"]) == [0, 1, 0, 0]
    layer.selected_data = {1}
    layer.remove_selected()
    assert edits[-1] == (replace(ring, holes=()), *state.annotations[1:])
    layer.selected_data = {0}
    layer.remove_selected()
    assert [one.id for one in edits[-1]] == ["1", "2"]


def test_few_outlines_can_be_edited_again(shown):
    viewer, sync, _ = shown
    sync.show(ReviewState(annotations=squares(MOST_SHAPES + 1)), 0.5, "")
    sync.show(ReviewState(annotations=squares(2)), 0.5, "")
    assert isinstance(viewer.layers[ANNOTATIONS], Shapes)
    sync.pick(("1",))
    layer = viewer.layers[ANNOTATIONS]
    assert isinstance(layer, Shapes)
    assert layer.edge_width[1] == 2 * layer.edge_width[0]


def test_labels_that_would_pile_up_wait_for_room_and_a_key_hides_all(shown, wait_until):
    viewer, sync, _ = shown
    sync.show(ReviewState(annotations=squares(4, apart=200.0)), 1.0, "")
    assert len(said(viewer)) == 4
    viewer.scene.camera.zoom = 0.1
    wait_until(lambda: len(said(viewer)) == 1)
    viewer.scene.camera.zoom = 1.0
    wait_until(lambda: len(said(viewer)) == 4)
    sync.toggle_labels()
    assert said(viewer) == []
    sync.show(ReviewState(annotations=squares(5, apart=200.0)), 1.0, "")
    assert said(viewer) == []
    sync.toggle_labels()
    assert len(said(viewer)) == 5


def test_the_first_of_two_labels_that_overlap_is_shown_and_an_empty_one_takes_no_room():
    assert with_room([(0, 0), (0, 30), (0, 31)], ["", "abc", "x"]).tolist() == [False, True, False]
    assert with_room([(0, 0), (24, 0), (0, 40)], ["abc", "abc", "x"]).tolist() == [True] * 3
    assert with_room(np.empty((0, 2)), []).tolist() == []

"""Outlines by the thousand, and labels that have no room."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes, Vectors

from napari_hagmil.plugin.labels import with_room
from napari_hagmil.plugin.review_layers import ANNOTATIONS, MOST_SHAPES, POINTS, annotation_colors
from napari_hagmil.polygons import outline
from napari_hagmil.review import QUPATH_CLASSES, Annotation, ReviewState
from napari_hagmil.widgets.review.many.lines import MOST_CORNERS, OutlineLines
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


def lines_of(drawn, mpp=1.0):
    return OutlineLines.of(drawn, annotation_colors(drawn, QUPATH_CLASSES), mpp)


def test_in_view_an_outline_has_all_the_corners_that_the_screen_can_show():
    around = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = 100 * np.stack([np.sin(around), np.cos(around)], axis=1)
    here, there = (Annotation("", "freehand", outline(circle + at)) for at in (200, 900))
    lines = lines_of([here, there], mpp=0.5)
    box = np.array((0.0, 0.0)), np.array((200.0, 200.0))
    whole, colors = lines.within(box, um_per_px=0.1)
    np.testing.assert_allclose(whole[:, 0], 0.5 * (circle + 200), atol=1e-4)
    np.testing.assert_allclose(whole[:, 0] + whole[:, 1], np.roll(whole[:, 0], -1, 0), atol=1e-4)
    assert len(colors) == len(whole)
    coarse, _ = lines.within(box, um_per_px=5.0)  # 20 px across
    assert len(coarse) == 20
    from_centre = np.hypot(*(coarse[:, 0] + coarse[:, 1] / 2 - 100).T)
    assert (np.abs(from_centre - 50) < 5.0).all()  # no line is off by a pixel of the screen
    assert len(lines.within(lines.box, um_per_px=100.0)[0]) == 2  # a stroke each


def test_however_many_outlines_are_in_view_each_is_drawn_and_all_of_them_soon():
    drawn = squares(20_000)
    ruler = Annotation("r", "ruler", ((0.0, 0.0), (50.0, 0.0)))
    lines = lines_of([*drawn, ruler])
    segments, _ = lines.within(lines.box, um_per_px=0.01)
    assert len(drawn) <= len(segments) <= MOST_CORNERS + 2
    np.testing.assert_allclose(segments[-1], [(0, 0), (50, 0)])


def test_ten_thousand_outlines_are_lines_of_their_places_and_colours(shown, wait_until):
    viewer, sync, edits = shown
    viewer.scene.camera.center = (20.0, 20.0)
    ruler = Annotation("r", "ruler", ((0.0, 0.0), (50.0, 0.0)))
    state = ReviewState(annotations=(*squares(10_000), ruler))
    sync.show(state, 0.5, "")
    layer = viewer.layers[ANNOTATIONS]
    assert isinstance(layer, Vectors)
    starts, ways = layer.data[:, 0], layer.data[:, 1]
    np.testing.assert_allclose(starts[3:6], np.array([(0, 100), (0, 109), (9, 109)]) * 0.5)
    np.testing.assert_allclose((starts + ways)[5], (0, 50))  # closed
    assert len(layer.data) < 3 * 10_000  # what is far from the view is not drawn
    width = layer.edge_width
    viewer.scene.camera.zoom = 4.0
    wait_until(lambda: layer.edge_width == pytest.approx(width / 4))
    viewer.scene.camera.center = (2500.0, 2500.0)
    wait_until(lambda: (np.abs(layer.data[:, 0] - 2500) < 500).all())
    viewer.scene.camera.zoom = 0.01
    wait_until(lambda: len(layer.data) >= 10_000)
    assert layer is viewer.layers[ANNOTATIONS]
    assert edits == []
    point = Annotation("p", "point", ((5.0, 5.0),))
    sync.show(ReviewState(annotations=(*state.annotations, point)), 0.5, "")
    viewer.layers[POINTS].add([[8.0, 8.0]])
    assert len(edits[-1]) == 10_003  # what the user adds beside the lines costs none of them


def test_few_outlines_can_be_edited_again(shown):
    viewer, sync, _ = shown
    sync.show(ReviewState(annotations=squares(MOST_SHAPES + 1)), 0.5, "")
    sync.show(ReviewState(annotations=squares(2)), 0.5, "")
    assert isinstance(viewer.layers[ANNOTATIONS], Shapes)


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

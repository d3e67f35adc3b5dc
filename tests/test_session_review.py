"""A review without a screen: what keys and buttons do, and whose session it is."""

import gc
import json
from dataclasses import replace

import numpy as np
import pytest

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import Rings, area_of, outline
from napari_hagmil.review import ReviewPatch, ReviewRegion, open_sitting
from napari_hagmil.review.drawing.stroke import Stroke
from napari_hagmil.session import Review, ReviewPreferences, Session, session_of
from napari_hagmil.session.background.importing import read_import
from napari_hagmil.session.drawing.drawn import DrawnObjects
from napari_hagmil.slide import open_slide
from napari_hagmil.tissue import TissueMask


def box(y, x, size=400.0):
    return outline([(y, x), (y, x + size), (y + size, x + size), (y + size, x)])


FOUND = (
    ReviewRegion("a", box(200, 200), score=97.0, depth=2),
    ReviewRegion("b", box(200, 700), score=90.0, depth=2),
    ReviewRegion("c", box(2000, 2000, 900), score=80.0, depth=2),
)


@pytest.fixture
def session(phantom, tmp_path):
    path = tmp_path / "phantom.tiff"
    path.write_bytes(phantom.read_bytes())
    made = Session()
    made.adopt(open_slide(path))
    yield made
    made.close()


class Heard:
    """A review, and what it said and where it sent the view."""

    def __init__(self, session, **preferences):
        self.preferences = ReviewPreferences(**preferences)
        self.said, self.centred, self.remembered = [], [], []
        self.review = Review(
            session, preferences=lambda: self.preferences, remember_class=self.remembered.append
        )
        self.review.said.connect(self.said.append)
        self.review.centre_asked.connect(lambda region: self.centred.append(region.id))


@pytest.fixture
def heard(session):
    made = Heard(session)
    made.review.change("find regions", regions=FOUND)
    return made


def decisions(review):
    return [one.decision for one in review.state.regions]


def test_a_decision_goes_on_to_the_next_undecided_region_and_undo_takes_it_back(heard):
    review = heard.review
    review.step(1)
    review.decide("accepted")
    assert (review.current, heard.centred) == ("b", ["a", "b"])
    review.decide("rejected")
    assert decisions(review) == ["accepted", "rejected", "unseen"]
    review.undo()
    assert decisions(review) == ["accepted", "unseen", "unseen"]
    assert heard.said == ["Undone: reject region."]
    review.redo()
    review.redo()
    assert heard.said[1:] == ["Done again: reject region.", "There is nothing to redo."]
    review.decide("accepted")
    assert heard.said[-1] == "Every region of the queue has a decision."


def test_without_auto_advance_the_current_region_and_the_view_stay(session):
    heard = Heard(session, auto_advance=False)
    heard.review.change("find regions", regions=FOUND)
    heard.review.choose("a")
    heard.review.decide("accepted")
    assert (heard.review.current, heard.centred) == ("a", [])


def test_merging_and_splitting_make_the_new_region_the_current_one(heard):
    review = heard.review
    review.chosen = ("a", "b")
    review.merge()
    assert (review.region().provenance, len(review.state.regions)) == ("merged", 2)
    review.split("c", outline([(1900, 2500), (3000, 2500)]))
    assert review.region().provenance == "split"
    review.split("c", outline([(0, 0), (1, 1)]))
    assert heard.said == ["An edit needs a region; choose one"]


def test_removing_the_current_region_goes_on_to_the_next(heard):
    heard.review.choose("b")
    heard.review.remove()
    assert [one.id for one in heard.review.state.regions] == ["a", "c"]
    assert heard.review.current == "c"


def test_single_patches_are_decided_by_the_pointer_and_taken_back(heard):
    review = heard.review
    patches = tuple(ReviewPatch((2000.0, x, 2400.0, x + 450), 99.0) for x in (2000.0, 2450.0))
    regions = (*FOUND[:2], replace(FOUND[2], patches=patches))
    review.change("find regions", regions=regions)
    review.decide_patch_at((2200 * 0.25, 2500 * 0.25), "rejected")
    assert (review.current, heard.centred) == ("c", [])
    assert [one.decision for one in review.region().patches] == ["unseen", "rejected"]
    review.decide_patch_at((2200 * 0.25, 2500 * 0.25), "rejected")
    assert review.region() == regions[2]
    review.undo()
    assert heard.said == ["Undone: decide patch with its region."]
    review.decide_patch_at((2600 * 0.25, 2500 * 0.25), "rejected")
    assert heard.said[-1] == "Point at a patch of a region: there is none."
    review.centre_patch(1)
    assert heard.centred == ["c"]


def test_a_click_chooses_the_region_there_and_the_view_stays(heard):
    heard.review.choose_at((2400 * 0.25, 2400 * 0.25))
    assert (heard.review.current, heard.centred) == ("c", [])


def test_a_new_class_is_remembered_and_one_without_a_name_is_refused(heard):
    heard.review.add_class(" Gland ", (1, 2, 3))
    heard.review.add_class(" ", (1, 2, 3))
    assert [one.name for one in heard.remembered] == ["Gland"]
    assert heard.said == ["A class needs a name; type one"]


def test_an_unfinished_drawing_is_in_the_journal_and_gone_when_it_is_finished(heard):
    review = heard.review
    review.set_drawing_class("Tumor")
    review.keep_sketch("polygon", box(0, 0))
    review.keep_sketch("polygon", box(0, 0, 500))
    assert review.sitting.sketch.points == box(0, 0, 500)
    review.add_annotation("polygon", box(0, 0, 500))
    review.add_annotation("polygon", box(0, 0)[:2])
    assert [one.path_class for one in review.state.annotations] == ["Tumor"]
    assert review.sitting.sketch is None


def square(x, y, side, kind="Polygon"):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": [ring] if kind == "Polygon" else [x, y]},
        "properties": {"classification": {"name": "Gland", "color": [1, 2, 3]}},
    }


def written(path, *features):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_what_is_picked_is_combined_painted_moved_and_locked_and_each_is_undone(heard):
    review, said = heard.review, heard.said
    drawn = DrawnObjects(review)
    square = Rings(((100.0, 100.0), (100.0, 200.0), (200.0, 200.0), (200.0, 100.0)))
    drawn.unite()
    assert "Pick an annotation first" in said[-1]
    drawn.add("polygon", square)
    (first,) = drawn.picked
    drawn.move((0.0, 50.0))
    drawn.duplicate((50.0, 0.0))
    assert len(drawn.chosen) == 1
    assert drawn.picked != (first,)
    drawn.pick_at((120.0, 160.0), 1.0)
    assert drawn.picked == (first,)
    drawn.pick_at((240.0, 160.0), 1.0, add=True)
    drawn.unite()
    assert drawn.picked == (first,)
    assert area_of(drawn.chosen[0].rings) == 150 * 100
    base = drawn.base_of((175.0, 200.0), 10.0)
    stroke = Stroke(10.0, base.rings, erases=True)
    stroke.move((175.0, 200.0))
    drawn.paint(base, stroke.finished(0.1), erases=True)
    assert len(drawn.chosen[0].holes) == 1
    drawn.fill_holes()
    drawn.lock()
    before = review.state
    drawn.move((9.0, 9.0))
    drawn.delete()
    drawn.take_edited(())
    assert review.state == before
    assert "locked" in said[-1]
    assert drawn.base_of((175.0, 200.0), 10.0) is None
    drawn.lock()
    drawn.delete()
    assert review.state.annotations == ()
    for name in (
        "delete annotation", "lock annotation", "lock annotation", "fill holes", "erase",
        "unite areas", "duplicate annotation", "move annotation", "draw polygon",
    ):  # fmt: skip
        assert review.sitting.undo_name == name
        review.undo()
    assert review.state.annotations == ()
    assert drawn.picked == ()


def test_annotations_are_imported_with_their_classes(heard, session, tmp_path):
    path = written(tmp_path / "drawn.geojson", square(0, 0, 10))
    heard.review.take_import(read_import(path, session.slide))
    assert heard.said == ["1 annotation imported from drawn.geojson."]
    assert heard.review.state.classes[-1].name == "Gland"
    assert len(heard.review.state.annotations) == 1


def test_nothing_beside_the_slide_is_imported_and_what_is_left_out_is_counted(
    heard, session, tmp_path
):
    height, width = session.slide.shape
    inside, across = square(5, 5, 10), square(width - 30, height - 20, 100)
    beside = [square(width + 5, 0, 10), square(-20, 5, 10), square(-1, 9, 0, "Point")]
    path = written(tmp_path / "drawn.geojson", inside, across, *beside)
    heard.review.take_import(read_import(path, session.slide))
    said = "2 annotations imported from drawn.geojson. 3 beside the slide left out. "
    assert heard.said == [f"{said}1 cut where the slide ends."]
    corners = np.concatenate([one.points for one in heard.review.state.annotations])
    assert corners.min() >= -0.5
    assert (corners.max(axis=0) == (height - 0.5, width - 0.5)).all()
    assert area_of(Rings(heard.review.state.annotations[1].points)) == 20 * 30
    with pytest.raises(AnnotationError, match="all lie beside it"):
        read_import(written(path, *beside), session.slide)


def test_annotations_on_bare_glass_are_kept_and_counted(session, tmp_path):
    values = np.zeros((64, 64), bool)
    values[10:12, 10:12] = True  # level-0 pixels 640 to 767 of each axis
    around, corner, glass = square(600, 600, 300), square(760, 760, 50), square(770, 600, 90)
    path = written(tmp_path / "drawn.geojson", around, corner, glass, square(5, 5, 0, "Point"))
    found = read_import(path, session.slide, tissue=TissueMask(values, 64.0))
    assert len(found.annotations) == 4
    assert found.notes == ("2 kept where no tissue was found.",)


def test_a_refused_change_is_said_and_the_layers_are_shown_again(heard, session):
    slide = session.slide
    shown = []
    heard.review.changed.connect(lambda: shown.append(decisions(heard.review)))
    session.sitting.close()
    other = open_sitting(slide.path, slide.fingerprint)
    session.adopt(slide)
    heard.review.choose("a")
    shown.clear()
    heard.review.decide("accepted")
    assert shown == [["unseen"] * 3]
    assert "another window" in heard.said[-1]
    heard.review.answer(None)
    heard.review.decide("accepted")
    assert decisions(heard.review)[0] == "accepted"
    other.close()


def test_another_slide_resets_the_review_before_it_is_shown(heard, session, phantom, tmp_path):
    copy = tmp_path / "other.tiff"
    copy.write_bytes(phantom.read_bytes())
    heard.review.choose("a")
    happened = []
    heard.review.reset.connect(lambda slide: happened.append(slide.name))
    heard.review.changed.connect(lambda: happened.append(heard.review.current))
    session.adopt(open_slide(copy))
    assert happened == ["other.tiff", ""]
    assert heard.review.state.regions == ()


def test_before_a_slide_is_open_everything_is_refused_with_a_sentence():
    heard = Heard(Session())
    heard.review.decide("accepted")
    heard.review.undo()
    heard.review.find()
    assert not heard.review.change("conclude")
    assert heard.said[-1] == "Open a slide first: there is nothing to review yet."


class Window:
    """As a viewer: it can be referred to weakly."""


class Proxy:
    """As the proxy of the viewer that napari hands to plugins."""

    def __init__(self, window):
        self.__wrapped__ = window


def test_a_window_has_one_session_whoever_asks_first():
    window, other = Window(), Window()
    session = session_of(Proxy(window))
    assert session_of(window) is session
    assert session_of(other) is not session


def test_a_window_that_is_gone_leaves_no_session_to_the_next():
    window = Window()
    session = session_of(window)
    key = id(window)
    del window
    gc.collect()
    from napari_hagmil.session import window as module

    assert key not in module._SESSIONS
    assert session.slide is None

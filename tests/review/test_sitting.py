"""State in, state out: changes, the one undo stack, and what is found again on the next day."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from json_schemas import require_schemas, validator
from napari_hagmil.errors import ReviewHeldError
from napari_hagmil.review import (
    QUPATH_CLASSES,
    Annotation,
    Conclusion,
    PathClass,
    ReviewRegion,
    ReviewState,
    Sitting,
    open_sitting,
    with_class,
)
from napari_hagmil.review.history import MAX_UNDO, History, Step
from napari_hagmil.review.record import applied, decode_lines, difference, encode_line

SQUARE = ((0.5, 0.5), (0.5, 9.5), (9.5, 9.5), (9.5, 0.5))


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "case 7.svs"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def sit(slide, tmp_path):
    """Open the review of the slide as often as wanted; all are closed at the end."""
    opened = []

    def make(fingerprint="f" * 32) -> Sitting:
        opened.append(open_sitting(slide, fingerprint, user_folder=tmp_path / "user"))
        return opened[-1]

    yield make
    for sitting in opened:
        sitting.close()


places = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
outlines = st.lists(places, min_size=3, max_size=5).map(tuple)
names = st.text(max_size=8)
regions = st.builds(
    ReviewRegion,
    id=st.sampled_from("abcd"),
    polygon=outlines,
    holes=st.lists(outlines, max_size=2).map(tuple),
    score=st.none() | st.floats(0, 100),
    depth=st.none() | st.integers(0, 4),
    provenance=names,
    decision=st.sampled_from(["unseen", "accepted", "rejected"]),
    path_class=names,
    comment=names,
)
annotations = st.builds(
    Annotation,
    id=st.sampled_from("abcd"),
    kind=st.sampled_from(["polygon", "freehand", "rectangle", "point", "ruler"]),
    points=outlines,
    path_class=names,
    comment=names,
)
colors = st.tuples(*[st.integers(0, 255)] * 3)
states = st.builds(
    ReviewState,
    regions=st.lists(regions, max_size=4, unique_by=lambda r: r.id).map(tuple),
    annotations=st.lists(annotations, max_size=4, unique_by=lambda a: a.id).map(tuple),
    classes=st.lists(
        st.builds(PathClass, names.filter(str.strip), colors),
        max_size=3,
        unique_by=lambda c: c.name,
    ).map(tuple),
    pins=st.lists(places, max_size=3).map(tuple),
    vetoes=st.lists(outlines, max_size=2).map(tuple),
    tissue=st.none() | st.lists(outlines, max_size=2).map(tuple),
    mpp_override=st.none() | st.floats(0.05, 10),
    conclusion=st.builds(Conclusion, names, names),
)


@given(before=states, after=states)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_recorded_step_leads_to_the_very_same_state_by_way_of_json(before, after):
    record = json.loads(json.dumps(difference(before, after)))
    assert applied(before, record) == after
    assert difference(after, after) == {}
    line = {"crc": "0123abcd", "n": 1, "kind": "change", "change": record}
    assert list(validator("review").iter_errors(line)) == []
    (read,), rest = decode_lines(encode_line(0, {"kind": "change", "change": record}))
    assert (read, rest) == ({"n": 0, "kind": "change", "change": record}, b"")


pinned = st.builds(ReviewState, pins=st.lists(places, max_size=3).map(tuple))


@given(moves=st.lists(pinned | st.sampled_from(["undo", "redo"]), max_size=12))
@settings(max_examples=50, deadline=None)
def test_a_history_is_the_same_after_its_own_records(moves):
    history = History(ReviewState())
    for move in moves:
        if isinstance(move, str):
            getattr(history, move)()
        else:
            history.push(Step("edit", move))
    again = History(ReviewState())
    for record in history.records():
        again.replay(json.loads(json.dumps(record)))
    assert [step.state for step in again.steps] == [step.state for step in history.steps]
    assert (again.at, again.undo_name, again.redo_name) == (
        history.at,
        history.undo_name,
        history.redo_name,
    )


def test_only_what_changed_is_written():
    many = tuple(ReviewRegion(str(i), SQUARE) for i in range(500))
    before = ReviewState(regions=many)
    decided = ReviewRegion("7", SQUARE, decision="accepted")
    after = ReviewState(regions=(*many[:7], decided, *many[8:]))
    assert len(json.dumps(difference(before, after))) < 400


def test_everything_is_undone_and_redone_in_one_order_and_by_name():
    sitting = Sitting()
    heard = []
    sitting.changed.connect(lambda state, action: heard.append(action))
    sitting.change("follow this branch", pins=((4.0, 5.0),))
    sitting.change("correct the pixel size", mpp_override=0.5)
    sitting.change("conclude", conclusion=Conclusion("tumor", "sure"))
    assert (sitting.undo_name, sitting.redo_name) == ("conclude", "")
    assert [sitting.undo(), sitting.undo()] == ["conclude", "correct the pixel size"]
    assert sitting.state == ReviewState(pins=((4.0, 5.0),))
    assert sitting.redo() == "correct the pixel size"
    assert sitting.redo_name == "conclude"
    sitting.change("leave this place out", vetoes=(SQUARE,))
    assert sitting.redo_name == ""
    assert sitting.state.mpp_override == 0.5
    assert [sitting.undo() for _ in range(4)][-1] == ""
    assert sitting.state == ReviewState()
    assert heard[3:6] == [
        "undo conclude",
        "undo correct the pixel size",
        "redo correct the pixel size",
    ]


def test_a_change_that_changes_nothing_is_no_step():
    sitting = Sitting()
    sitting.change("conclude", conclusion=Conclusion())
    assert sitting.undo_name == ""


def test_letters_of_one_comment_are_one_step(sit):
    sitting = sit()
    for text in ("a", "ab", "abc"):
        sitting.change("comment", coalesce="comment r1", conclusion=Conclusion("", text))
    sitting.change("comment", coalesce="comment r2", conclusion=Conclusion("", "abcd"))
    sitting.close()
    again = sit()
    assert again.undo() == "comment"
    assert again.state.conclusion.text == "abc"
    assert again.undo() == "comment"
    assert again.state == ReviewState()


def test_old_steps_fall_off_the_end_but_not_what_they_did():
    sitting = Sitting()
    for i in range(MAX_UNDO + 50):
        sitting.change("pin", pins=(*sitting.state.pins, (float(i), 0.0)))
    while sitting.undo():
        pass
    assert len(sitting.state.pins) == 50


def test_a_slide_that_was_only_looked_at_leaves_no_file(sit, slide):
    sit().close()
    assert [p.name for p in slide.parent.iterdir()] == [slide.name]


def test_the_next_day_finds_the_sitting_undo_and_redo_included(sit, slide):
    sitting = sit()
    sitting.change("find regions", regions=(ReviewRegion("a", SQUARE, score=97.5, depth=2),))
    accepted = (ReviewRegion("a", SQUARE, score=97.5, depth=2, decision="accepted"),)
    sitting.change("accept region", regions=accepted)
    sitting.change("conclude", conclusion=Conclusion("tumor", "größer als 2 mm"))
    sitting.undo()
    sitting.keep_sketch(Annotation("s", "polygon", SQUARE[:2]))
    sitting.keep_sketch(None)
    state = sitting.state
    sitting.close()
    assert require_schemas(slide.parent) == {"review"}
    again = sit()
    assert again.state == state
    assert (again.undo_name, again.redo_name) == ("accept region", "conclude")
    assert again.redo() == "conclude"
    assert again.state.conclusion.text == "größer als 2 mm"


def test_own_classes_are_kept_with_their_colours(sit):
    sitting = sit()
    sitting.change(
        "add class", classes=with_class(sitting.state.classes, PathClass("Mitosis", (9, 8, 7)))
    )
    sitting.change(
        "colour", classes=with_class(sitting.state.classes, PathClass("Tumor", (1, 2, 3)))
    )
    sitting.close()
    classes = sit().state.classes
    assert [one.name for one in classes] == [one.name for one in QUPATH_CLASSES] + ["Mitosis"]
    assert (classes[0].color, classes[-1].color) == ((1, 2, 3), (9, 8, 7))


@pytest.mark.parametrize("color", [(1, 2), (1, 2, 256), (-1, 0, 0)])
def test_a_class_needs_a_name_and_a_colour(color):
    with pytest.raises(ValueError, match="must be three numbers"):
        with_class(QUPATH_CLASSES, PathClass("Tumor", color))
    with pytest.raises(ValueError, match="needs a name"):
        with_class(QUPATH_CLASSES, PathClass(" ", (1, 2, 3)))


def test_an_outline_in_the_making_comes_back_as_an_annotation(sit):
    sitting = sit()
    sitting.keep_sketch(Annotation("s", "polygon", SQUARE[:3], "Tumor"))
    sitting.journal.flush()
    sitting.close()
    again = sit()
    assert again.state.annotations == (Annotation("s", "polygon", SQUARE[:3], "Tumor"),)
    assert again.undo() == "restore the unfinished outline"


def test_a_finished_outline_is_not_restored_twice(sit):
    sitting = sit()
    sitting.keep_sketch(Annotation("s", "polygon", SQUARE[:3]))
    sitting.change("draw polygon", annotations=(Annotation("s", "polygon", SQUARE),))
    sitting.close()
    assert len(sit().state.annotations) == 1


def test_the_journal_of_a_changed_file_is_offered_and_not_applied(sit):
    sitting = sit("a" * 32)
    sitting.change("follow this branch", pins=((1.0, 2.0),))
    sitting.close()
    other = sit("b" * 32)
    assert other.state == ReviewState()
    (offer,) = other.offers()
    assert offer.state.pins == ((1.0, 2.0),)
    other.accept_offer(offer)
    assert other.state.pins == ((1.0, 2.0),)
    assert other.undo() == "take over the earlier review"
    assert other.state == ReviewState()


def test_a_renamed_slide_finds_its_review(slide, tmp_path):
    first = open_sitting(slide, "a" * 32)
    first.change("follow this branch", pins=((1.0, 2.0),))
    first.close()
    renamed = slide.rename(tmp_path / "case 8.svs")
    again = open_sitting(renamed, "a" * 32)
    assert again.state.pins == ((1.0, 2.0),)
    again.close()


def test_a_copy_of_a_slide_has_a_review_of_its_own(slide, tmp_path):
    first = open_sitting(slide, "a" * 32)
    first.change("follow this branch", pins=((1.0, 2.0),))
    copy = tmp_path / "copy.svs"
    copy.write_bytes(slide.read_bytes())
    second = open_sitting(copy, "a" * 32)
    assert second.state == ReviewState()
    assert not second.held_by
    first.close()


def test_two_windows_on_one_slide_are_noticed_and_the_second_changes_nothing(sit):
    first = sit()
    first.change("follow this branch", pins=((1.0, 2.0),))
    first.journal.flush()
    second = sit()
    assert f"process {os.getpid()}" in second.held_by.sentence()
    assert second.state == first.state
    with pytest.raises(ReviewHeldError, match="another window"):
        second.change("conclude", conclusion=Conclusion("tumor"))
    assert second.state == first.state


def test_two_windows_opened_before_the_first_change_are_noticed_at_the_change(sit):
    first, second = sit(), sit()
    first.change("follow this branch", pins=((1.0, 2.0),))
    first.journal.flush()
    with pytest.raises(ReviewHeldError):
        second.change("conclude", conclusion=Conclusion("tumor"))
    first.close()
    with pytest.raises(ReviewHeldError, match="open it again"):
        second.change("conclude", conclusion=Conclusion("tumor"))
    third = sit()
    assert third.state.pins == ((1.0, 2.0),)


def test_a_review_can_be_taken_over_and_the_first_window_stops_writing(sit):
    first = sit()
    first.change("follow this branch", pins=((1.0, 2.0),))
    first.journal.flush()
    second = sit()
    first.change("correct the pixel size", mpp_override=0.5)
    first.journal.flush()
    second.take_over()
    assert second.state == first.state
    second.change("conclude", conclusion=Conclusion("tumor"))
    assert second.journal.flush()
    told = []
    first.troubled.connect(told.append)
    first.change("follow this branch", pins=())
    first.journal._thread.join(5)
    assert "another window" in told[-1].sentence()
    with pytest.raises(ReviewHeldError):
        first.change("follow this branch", pins=((9.0, 9.0),))
    first.close()
    second.close()
    assert sit().state.conclusion == Conclusion("tumor")
    assert sit().state.pins == ((1.0, 2.0),)


def test_the_lock_of_a_dead_process_binds_nobody(sit, slide):
    first = sit()
    first.change("follow this branch", pins=((1.0, 2.0),))
    first.journal.flush()
    lock = first.journal.lock.path
    first.close()
    dead = json.dumps({"pid": 2**22 + 1, "host": os.uname().nodename, "token": "x", "beat": 9e18})
    lock.write_text(dead)
    assert not sit().held_by


@pytest.mark.skipif(os.name == "nt", reason="folders are made read-only in another way there")
def test_a_read_only_folder_sends_the_journal_to_the_users_data(slide, tmp_path, monkeypatch):
    # Root may write everywhere, so the answer of the system is replaced.
    real = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != slide.parent and real(p, mode))
    sitting = open_sitting(slide, "a" * 32, user_folder=tmp_path / "user")
    sitting.change("follow this branch", pins=((1.0, 2.0),))
    sitting.close()
    assert [p.suffix for p in (tmp_path / "user").rglob("*.jsonl")] == [".jsonl"]
    again = open_sitting(slide, "a" * 32, user_folder=tmp_path / "user")
    assert again.state.pins == ((1.0, 2.0),)
    again.close()
    monkeypatch.undo()
    writable = open_sitting(slide, "a" * 32, user_folder=tmp_path / "user")
    assert writable.state.pins == ((1.0, 2.0),)
    assert writable.journal.path.parent.name == "case 7.svs.hagmil-review"
    writable.close()

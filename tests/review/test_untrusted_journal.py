"""Journals and locks from anybody: what cannot be is not taken over, and nothing breaks later."""

import json
import os
import socket
import time

import pytest

from napari_hagmil.errors import ReviewHeldError
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.review import Annotation, ReviewRegion, open_sitting
from napari_hagmil.review.lock import STALE, Lock
from napari_hagmil.review.record import encode_line

RING = ((0.0, 0.0), (0.0, 90.0), (90.0, 0.0))


@pytest.fixture
def slide(tmp_path):
    (tmp_path / "slide.tif").write_bytes(b"pixels")
    return tmp_path / "slide.tif"


def journal_with(slide, change):
    """A journal of one region, and a second line that says `change`, its checksum right."""
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("find", regions=(ReviewRegion("r", RING),))
    assert sitting.close()
    path = sitting.journal.path
    lines = path.read_bytes().splitlines(keepends=True)
    record = {"kind": "change", "action": "x", "at": "", "change": change}
    path.write_bytes(b"".join([*lines, encode_line(len(lines), record, lines[-1])]))


def region(**members):
    return {"regions": {"items": [{"id": "r", "polygon": [list(p) for p in RING], **members}]}}


def annotation(**members):
    one = {"id": "a", "kind": "polygon", "points": [list(p) for p in RING], **members}
    return {"annotations": {"items": [one], "ids": ["a"]}}


@pytest.mark.parametrize(
    "change",
    [
        region(polygon=[[0, 0], [float("nan"), 1], [1, 0]]),
        region(polygon=[[0, 0], [1e308, 1], [1, 0]]),
        region(polygon=[]),
        region(holes=[[]]),
        region(holes=[[[1, 1]]]),
        region(score="high"),
        region(score=101),
        region(depth=1.5),
        region(depth=10**9),
        region(decision="maybe"),
        region(path_class=None),
        region(comment=["x"]),
        region(id=""),
        region(patches=[[[0, 0, 9, 9], 101, "unseen"]]),
        region(patches=[[[0, 0, 9, float("nan")], 50, "unseen"]]),
        region(patches=[[[9, 0, 0, 9], 50, "unseen"]]),
        region(patches=[[[0, 0, 9, 9], None, "unseen"]]),
        region(patches=[[[0, 0, 9, 9], 50, "maybe"]]),
        region(patches=[[0, 0, 9, 9]]),
        {"signed": {"reviewer": 5, "date": ""}},
        {"signed": "Dr A"},
        region(id={}),
        annotation(kind="circle"),
        annotation(points=[]),
        annotation(points=[[0]]),
        {"regions": {"items": [], "ids": ["r", "r"]}},
        {"regions": {"items": [], "ids": ["other"]}},
        {"regions": []},
        {"classes": [{"name": "", "color": [0, 0, 0]}]},
        {"classes": [{"name": "x", "color": [0, 0, 300]}]},
        {"pins": [[0, 10**400]]},
        {"vetoes": [[[0, 0]]]},
        {"tissue": 5},
        {"mpp_override": 0},
        {"mpp_override": 1e308},
        {"conclusion": {"path_class": 1, "text": ""}},
        [],
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_a_line_that_says_what_cannot_be_is_damage(slide, change):
    journal_with(slide, change)
    sitting = open_sitting(slide, "f" * 32)
    assert [one.polygon for one in sitting.state.regions] == [RING]
    (note,) = sitting.notes
    assert "damaged" in note.sentence()
    wish = ReviewWish(accepted_only=False, formats=("geojson", "csv", "asap"))
    assert len(write_review(slide.with_name("out"), sitting.state, wish, mpp=0.25)) == 3
    sitting.close()


def test_fields_of_later_versions_are_borne(slide):
    journal_with(slide, region(score=50, later=1) | {"later": {}})
    sitting = open_sitting(slide, "f" * 32)
    assert (sitting.state.regions[0].score, sitting.notes) == (50.0, ())
    sitting.close()


def test_an_unfinished_outline_without_a_place_is_dropped(slide):
    sitting = open_sitting(slide, "f" * 32)
    sitting.keep_sketch(Annotation("s", "polygon", ()))
    sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert (again.state.annotations, again.notes) == ((), ())
    again.close()


@pytest.mark.parametrize(
    "said",
    [
        {"beat": {}}, {"beat": None}, {"pid": "1"}, {"pid": -1}, {"host": 5}, {"token": []},
        {"pid": 2**70},
    ],
    ids=str,
)  # fmt: skip
def test_a_lock_that_says_what_cannot_be_binds_nobody(tmp_path, said):
    whole = {"pid": os.getpid(), "host": "elsewhere", "token": "t", "beat": time.time()}
    (tmp_path / "a.lock").write_text(json.dumps(whole))
    assert Lock(tmp_path / "a.lock").holder() is not None
    (tmp_path / "a.lock").write_text(json.dumps(whole | said))
    lock = Lock(tmp_path / "a.lock")
    lock.acquire()
    assert lock.owned()


def lock_text(host, seconds):
    beat = time.time() + seconds
    return json.dumps({"pid": os.getpid(), "host": host, "token": "t", "beat": beat})


@pytest.mark.parametrize("host", [socket.gethostname(), "elsewhere"])
def test_a_living_window_keeps_its_lock_when_the_clock_goes_back_an_hour(tmp_path, host):
    path = tmp_path / "a.lock"
    path.write_text(lock_text(host, 3600))
    with pytest.raises(ReviewHeldError):
        Lock(path).acquire()
    path.write_text(lock_text(host, -STALE - 5))
    Lock(path).acquire()

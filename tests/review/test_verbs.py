"""Every verb that changes a review: undone, redone, journaled, and there on the next day."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_hagmil
from napari_hagmil.attention import RegionPatch
from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import Rings
from napari_hagmil.review import (
    Annotation,
    Conclusion,
    PathClass,
    ReviewRegion,
    ReviewState,
    SignOff,
    edit,
    open_sitting,
    with_class,
)
from napari_hagmil.review.drawing import areas, objects
from napari_hagmil.review.drawing.stroke import Stroke


def box(i, size=40.0):
    y, x = 50.0 * i, 30.0 * i
    return ((y, x), (y, x + size), (y + size, x + size), (y + size, x))


class Seen:
    """As `attention.AttentionRegion`."""

    def __init__(self, i):
        self.rings, self.score = Rings(box(i, 60), (box(i, 10),)), 50.0 + i
        y, x = box(i)[0]
        self.patches = [
            RegionPatch((y, x + 30 * k, y + 60, x + 30 * k + 30), 50.0 + i - k) for k in (0, 1)
        ]


def first(state):
    return state.regions[0].id if state.regions else ""


def across(region, i):
    """A line through the middle, a little lower at its end."""
    y = sum(corner[0] for corner in region.polygon) / len(region.polygon)
    return ((y, -1e4), (y + i, 1e4))


def decide(decision):
    return lambda s, i: edit.with_decision(s, first(s), decision)


def decide_patch(decision):
    return lambda s, i: edit.with_patches(s, first(s), [i % 2], decision)


def annotations(change):
    return lambda s, i: {"annotations": tuple(change(one, i) for one in s.annotations)}


def draw(s, i):
    return objects.with_annotation(s, Annotation(f"n{i}", "polygon", box(i), "Tumor"))


def picked(make):
    """An edit of the last three annotations."""
    return lambda s, i: make(s, [one.id for one in s.annotations[-3:]]).fields


def painted(*, erases):
    def paint(s, i):
        stroke = Stroke(15, s.annotations[-1].rings, erases=erases)
        stroke.move((50.0 * i, 30.0 * i + 20))
        return areas.painted(s, s.annotations[-1].id, stroke.finished(0.5)).fields

    return paint


#: Every verb as the docks name it, and the fields it gives; i varies what it does.
VERBS = {
    "find regions": lambda s, i: edit.found(
        s, [Seen(i), Seen(i + 3)], depth=1, provenance="demo at 20×"
    ),
    "accept region": decide("accepted"),
    "reject region": decide("rejected"),
    "put region back": decide("unseen"),
    "accept patch": decide_patch("accepted"),
    "reject patch": decide_patch("rejected"),
    "decide patch with its region": decide_patch("unseen"),
    "class": lambda s, i: edit.with_region(s, first(s), path_class=f"class {i}"),
    "comment": lambda s, i: edit.with_region(s, first(s), comment=f"words {i}"),
    "merge regions": lambda s, i: edit.merge(s, edit.with_nearest(s, first(s))).fields,
    "split region": lambda s, i: edit.split(s, first(s), across(s.regions[0], i)).fields,
    "redraw region": lambda s, i: edit.redraw(s, first(s), box(i, 70)).fields,
    "remove region": lambda s, i: edit.without_regions(s, [first(s)]),
    "edit regions": lambda s, i: {
        "regions": (*s.regions, ReviewRegion(f"r{i}", box(i), provenance="drawn"))
        if all(one.id != f"r{i}" for one in s.regions)
        else s.regions
    },
    "draw": draw,
    "paint": painted(erases=False),
    "erase": painted(erases=True),
    "unite areas": picked(areas.united),
    "subtract areas": picked(areas.subtracted),
    "intersect areas": picked(areas.shared),
    "fill holes": picked(areas.filled),
    "duplicate annotation": picked(lambda s, ids: objects.duplicated(s, ids, (5.0, 5.0))),
    "move annotation": picked(lambda s, ids: objects.moved(s, ids, (7.0, -3.0))),
    "lock annotation": picked(lambda s, ids: objects.locked(s, ids[-1:])),
    "nest annotation": picked(objects.nested),
    "edit annotations": annotations(lambda one, i: replace(one, points=box(i, 15))),
    "delete annotation": lambda s, i: objects.without_annotations(s, [f"n{i}"]),
    "import annotations": lambda s, i: {
        **draw(s, i),
        "classes": with_class(s.classes, PathClass("Imported", (i, i, i))),
    },
    "restore the unfinished outline": draw,
    "conclude": lambda s, i: {"conclusion": Conclusion("tumor", f"sure {i}")},
    "finish": lambda s, i: {"signed": SignOff(f"Dr {i}", "2026-05-04T12:00:00+00:00")},
    "follow a branch": lambda s, i: {"pins": (*s.pins, (float(i), 2.0))},
    "no longer follow a branch": lambda s, i: {"pins": s.pins[:-1]},
    "set branches to follow": lambda s, i: {"pins": ((float(i), float(i)),)},
    "leave out a place": lambda s, i: {"vetoes": (*s.vetoes, box(i))},
    "no longer leave out a place": lambda s, i: {"vetoes": s.vetoes[:-1]},
    "draw a place to leave out": lambda s, i: {"vetoes": (box(i), box(i + 1))},
    "steer no longer": lambda s, i: {"pins": (), "vetoes": ()},
    "edit tissue": lambda s, i: {"tissue": (box(i, 400),)},
    "import tissue": lambda s, i: {"tissue": (box(i, 300), box(i, 30))},
    "tissue from": lambda s, i: {"tissue": (box(i, 200),)},
    "leave out artefacts": lambda s, i: {"vetoes": (*s.vetoes, box(i), box(i + 2))},
    "find the tissue again": lambda s, i: {"tissue": None},
    "correct the pixel size": lambda s, i: {"mpp_override": 0.25 + i / 8},
    "take over the earlier review": lambda s, i: {
        "regions": (ReviewRegion("old", box(i)),), "annotations": (), "pins": ((1.0, 1.0),),
    },
}  # fmt: skip


#: Around the first outline that is drawn, with a hole beside it.
AROUND = Annotation(
    "around", "polygon", box(0, 200), "Stroma", holes=(((150, 150), (150, 160), (160, 160)),)
)


def done(sitting, verb, i):
    """Do it; False where there is nothing to do it to."""
    try:
        fields = VERBS[verb](sitting.state, i)
    except (AnnotationError, IndexError):
        return False
    before = sitting.state
    return sitting.change(verb, **fields) != before


def test_no_verb_of_the_docks_is_missing_here():
    source = Path(napari_hagmil.__file__).parent
    text = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("widgets", "session", "review")
        for path in (source / folder).rglob("*.py")
    )
    said = re.findall(r'(?:\.change|_edit\w*|_try)\(\s*f?"([^"{]+?) ?["{]', text)
    said += re.findall(r'rings, "([^"]+)" if rings is None else "([^"]+)"', text)[0]
    said += re.findall(r'"(?:unseen|accepted|rejected)": "(\w+ (?:region|patch)[\w ]*)"', text)
    said += re.findall(r'"(?:regions|annotations)": "(edit \w+)"', text)
    said += re.findall(r'set_tissue_rings\((?:self\.)?session, [^"\n]*"([^"{]+?) ?["{]', text)
    internal = {"regions", "annotations"}
    assert set(said) - internal == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_undone_redone_and_there_on_the_next_day(verb, tmp_path):
    slide = tmp_path / "slide.tiff"
    slide.write_bytes(b"pixels")
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("draw", annotations=(AROUND,))
    for other in ("find regions", "draw", "follow a branch", "leave out a place", "edit tissue"):
        done(sitting, other, 1)
    if verb == "decide patch with its region":
        assert done(sitting, "reject patch", 2)
    if verb == "put region back":
        done(sitting, "accept region", 1)
    before = sitting.state
    assert done(sitting, verb, 1 if "delete" in verb else 2), verb
    after = sitting.state
    assert sitting.undo() == verb
    assert sitting.state == before
    assert sitting.redo() == verb
    assert sitting.state == after
    sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.state == after
    assert again.undo() == verb
    assert again.state == before
    again.close()


steps = st.tuples(st.sampled_from([*VERBS, "undo", "redo", "reopen"]), st.integers(0, 5))


@given(moves=st.lists(steps, min_size=5, max_size=30))
@settings(max_examples=25, deadline=None)
def test_whatever_is_done_the_journal_gives_it_back_and_undoing_all_gives_the_beginning(moves):
    with tempfile.TemporaryDirectory() as folder:
        slide = Path(folder) / "slide.tiff"
        slide.write_bytes(b"pixels")
        sitting = open_sitting(slide, "f" * 32)
        for verb, i in moves:
            if verb == "reopen":
                state, names = sitting.state, (sitting.undo_name, sitting.redo_name)
                sitting.close()
                sitting = open_sitting(slide, "f" * 32)
                assert sitting.state == state
                assert (sitting.undo_name, sitting.redo_name) == names
            elif verb in ("undo", "redo"):
                getattr(sitting, verb)()
            else:
                done(sitting, verb, i)
        last = sitting.state
        sitting.close()
        again = open_sitting(slide, "f" * 32)
        assert again.state == last
        while again.undo():
            pass
        assert again.state == ReviewState()
        again.close()

"""Patches of a region: decided with it, or alone."""

import json

import pytest

from napari_hagmil.attention import RegionPatch
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.polygons import Rings
from napari_hagmil.review import ReviewPatch, ReviewRegion, ReviewState, edit, open_sitting
from napari_hagmil.review.patches import decision_of, patch_at
from napari_hagmil.review.record import difference


def box(y, x, height=100.0, width=100.0):
    return ((y, x), (y, x + width), (y + height, x + width), (y + height, x))


PATCHES = tuple(ReviewPatch((0.0, 100.0 * i, 100.0, 100.0 * i + 100), 99.0 - i) for i in range(4))
LESION = ReviewRegion("a", box(0, 0, 100, 400), score=99.0, depth=2, patches=PATCHES)
STATE = ReviewState(regions=(LESION,))


class Seen:
    """As `attention.AttentionRegion`."""

    def __init__(self, x, n):
        self.rings, self.score = Rings(box(0, x, 100, 100 * n)), 80.0
        self.patches = [RegionPatch((0, x + 100 * i, 100, x + 100 * i + 100), 80) for i in range(n)]


def after(fields):
    return ReviewState(**{**{"regions": ()}, **fields})


def decisions(state, index=0):
    region = state.regions[index]
    return [decision_of(region, one) for one in region.patches]


def test_one_decision_decides_all_patches_and_single_ones_can_differ():
    state = after(edit.with_patches(STATE, "a", [1], "rejected"))
    assert decisions(state) == ["unseen", "rejected", "unseen", "unseen"]
    state = after(edit.with_decision(state, "a", "accepted"))
    assert decisions(state) == ["accepted", "rejected", "accepted", "accepted"]
    state = after(edit.with_patches(state, "a", [1, 2], "accepted"))
    assert state.regions[0] == edit.with_decision(STATE, "a", "accepted")["regions"][0]
    state = after(edit.with_patches(state, "a", [3], "rejected"))
    assert after(edit.with_decision(state, "a", "unseen")) == STATE


def test_a_region_of_which_one_patch_was_decided_is_not_replaced_by_the_next_run():
    state = after(edit.with_patches(STATE, "a", [0], "accepted"))
    again = edit.found(state, [Seen(0, 4), Seen(900, 2)], depth=2, provenance="demo at 40×")
    assert [one.patches[0].box[1] for one in again["regions"]] == [0, 900]


def test_a_region_that_grew_is_new_where_most_of_its_patches_are():
    state = after(edit.with_decision(STATE, "a", "accepted"))
    for n, found in ((8, 0), (9, 1)):
        new = edit.found(state, [Seen(0, n)], depth=2, provenance="demo at 40×")
        assert len(new["regions"]) == 1 + found


def test_parts_of_a_split_region_keep_their_patches_and_a_merge_unites_them():
    state = after(edit.with_patches(STATE, "a", [0], "rejected"))
    parts = after(edit.split(state, "a", ((-10.0, 120.0), (110.0, 120.0))).fields)
    assert [[one.score for one in part.patches] for part in parts.regions] == [
        [98.0, 97.0, 96.0],
        [99.0],
    ]
    assert {one.decision for part in parts.regions for one in part.patches} == {"unseen"}
    small = parts.regions[1].id
    decided = after(edit.with_decision(parts, small, "rejected"))
    whole = after(edit.merge(decided, [one.id for one in decided.regions]).fields)
    assert decisions(whole) == ["rejected", "unseen", "unseen", "unseen"]


def test_a_redrawn_region_keeps_the_patches_that_it_still_holds():
    state = after(edit.redraw(STATE, "a", box(0, 0, 100, 210)).fields)
    assert [one.score for one in state.regions[0].patches] == [99.0, 98.0]


@pytest.mark.parametrize(("place", "index"), [((50, 250), 2), ((50, 401), None)])
def test_the_patch_at_a_place(place, index):
    assert patch_at(LESION, place) == index


def test_decisions_on_patches_are_in_the_journal_and_undone(tmp_path):
    slide = tmp_path / "slide.tif"
    slide.write_bytes(b"pixels")
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("find regions", regions=STATE.regions)
    sitting.change("reject patch", **edit.with_patches(sitting.state, "a", [2], "rejected"))
    state = sitting.state
    assert sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.state == state
    assert again.state.regions[0].patches[2] == PATCHES[2]._replace(decision="rejected")
    assert again.undo() == "reject patch"
    assert again.state.regions == STATE.regions
    again.close()


def test_a_journal_of_a_version_without_patches_opens(tmp_path):
    record = json.loads(json.dumps(difference(ReviewState(), STATE)))
    del record["regions"]["items"][0]["patches"]
    slide = tmp_path / "slide.tif"
    slide.write_bytes(b"pixels")
    sitting = open_sitting(slide, "f" * 32)
    sitting.begin()
    sitting.journal.append({"kind": "change", "action": "find regions", "change": record})
    assert sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.notes == ()
    assert again.state.regions == (ReviewRegion("a", LESION.polygon, score=99.0, depth=2),)
    again.close()


def test_exports_hold_the_patches_that_were_accepted_alone_and_say_which_were_rejected(tmp_path):
    accepted = after(edit.with_decision(STATE, "a", "accepted")).regions[0]
    accepted = edit.with_patches(ReviewState(regions=(accepted,)), "a", [3], "rejected")
    other = ReviewRegion("b", box(500, 0, 100, 200), patches=(
        ReviewPatch((500.0, 0.0, 600.0, 100.0), 90.0, "accepted"),
        ReviewPatch((500.0, 100.0, 600.0, 200.0), 80.0),
    ), decision="rejected")  # fmt: skip
    state = ReviewState(regions=(*accepted["regions"], other))
    wish = ReviewWish(formats=("geojson", "csv"))
    geojson, table = write_review(tmp_path / "case", state, wish, mpp=0.25)
    lesion, alone = json.loads(geojson.read_text(encoding="utf-8"))["features"]
    children = lesion["properties"]["childObjects"]
    assert [one["properties"]["metadata"]["decision"] for one in children] == [
        "accepted", "accepted", "accepted", "rejected",
    ]  # fmt: skip
    assert children[3]["properties"]["classification"]["name"] == "Ignore*"
    assert {one["properties"]["objectType"] for one in children} == {"tile"}
    assert len({one["id"] for one in [lesion, alone, *children]}) == 6
    assert alone["geometry"]["coordinates"][0][0] == [0.5, 500.5]
    assert alone["properties"]["metadata"]["provenance"].startswith("a patch of a region rejected")
    rows = table.read_text(encoding="utf-8-sig").splitlines()[1:]
    assert [row.split(",")[5:7] for row in rows] == [
        ["region", "accepted"],
        ["patch", "rejected"],
        ["region", "accepted"],
    ]

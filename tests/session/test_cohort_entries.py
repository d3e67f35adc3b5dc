"""Lines of a cohort's table: their words, their order, filters, and the next to be read."""

from pathlib import Path

import pytest

from napari_hagmil.ledger import STATES
from napari_hagmil.review.progress import ReviewProgress
from napari_hagmil.session.cohort.decisions import DecisionCount
from napari_hagmil.session.cohort.entry import (
    COLUMNS,
    CohortEntry,
    CohortFilter,
    in_order,
    next_undecided,
)
from napari_hagmil.session.cohort.words import cohort_sentence, written_sentence

FINISHED, BEGUN = ReviewProgress(2, 2), ReviewProgress(3, 1)


def entry(name, **known):
    known.setdefault("state", "done")
    return CohortEntry(name, Path(f"/slides/{name}.svs"), **known)


def names(entries):
    return [one.name for one in entries]


def test_uncertainty_is_the_entropy_of_the_classes():
    assert entry("a", probabilities=(0.5, 0.5)).uncertainty == 1
    assert entry("a", probabilities=(0.0, 1.0)).uncertainty == 0
    assert entry("a", probabilities=(0.9, 0.1)).uncertainty == pytest.approx(0.469, abs=5e-4)
    assert entry("a", probabilities=(1 / 3,) * 3).uncertainty == pytest.approx(1)
    assert entry("a").uncertainty is None


def test_every_column_sorts_and_what_is_not_known_comes_last_either_way():
    some = [
        entry("b", patient="p2", called="x", probabilities=(0.6, 0.4), unseen=0.5),
        entry("A", patient="p1", called="y", probabilities=(0.9, 0.1), unseen=0.1),
        entry("c", state=""),
    ]
    assert names(in_order(some, "slide", "")) == ["A", "b", "c"]
    for column in ("patient", "class", "probability", "uncertainty", "unseen"):
        for descending in (False, True):
            assert names(in_order(some, column, "", descending=descending))[-1] == "c"
    assert names(in_order(some, "uncertainty", "", descending=True)) == ["b", "A", "c"]
    for column in COLUMNS:
        in_order(some, column, "Ada")


def test_reviews_are_shown_and_sorted_by_the_reader_who_asks():
    one = entry("a", reviews={"Ada": FINISHED, "": BEGUN})
    assert one.words("review", "Ada") == "finished"
    assert one.words("review", "") == "2 of 3 undecided"
    assert one.words("review", "Grace") == ""
    assert one.words("readers", "") == "all, Ada"


def test_filters_are_taken_together_and_search_ignores_capitals():
    one = entry("Case-7", patient="p3", called="tumor", reviews={"Ada": FINISHED})
    assert CohortFilter(" case-7").passes(one)
    assert CohortFilter("P3", state="done", called="tumor", review="finished", reader="Ada").passes(
        one
    )
    assert not CohortFilter(review="finished").passes(one)
    assert not CohortFilter(state="failed").passes(one)
    assert not CohortFilter(called="").passes(one)
    assert not CohortFilter("case-8").passes(one)


def test_the_next_undecided_slide_goes_round_and_passes_over_what_cannot_be_read():
    some = [
        entry("a"),
        entry("b", reviews={"": FINISHED}),
        entry("c", state="unreadable"),
        entry("d", state="waiting"),
        entry("e", is_moved=True),
        entry("f", state="no_tissue", reviews={"Ada": FINISHED}),
    ]
    assert next_undecided(some, "a", "").name == "f"
    assert next_undecided(some, "f", "").name == "a"
    assert next_undecided(some, "", "").name == "a"
    assert next_undecided(some, "a", "Ada").name == "b"
    assert next_undecided([entry("a")], "a", "") is None
    assert next_undecided([], "", "") is None


def test_a_tip_says_why_a_slide_is_not_done_and_what_to_do():
    tip = entry("a", state="unreadable", reason="it is no slide").tip()
    assert "it is no slide" in tip
    assert "--retry unreadable" in tip
    assert "Find slides" in entry("a", is_moved=True).tip()


@pytest.mark.parametrize("state", [*STATES, "waiting", "running", ""])
def test_every_state_has_its_words(state):
    mark = "" if state in ("done", "waiting", "running", "") else "✗ "
    assert entry("a", state=state).words("state", "") == mark + state.replace("_", " ")


def test_a_cohort_in_one_sentence():
    some = [
        entry("a", reviews={"Ada": FINISHED}),
        entry("b", state="failed"),
        entry("c", is_moved=True),
    ]
    assert cohort_sentence(some, "Ada") == (
        "3 slides: 2 done, 1 failed, 1 not where they were. Reviews of Ada: 1 finished."
    )
    assert cohort_sentence([entry("a", state="")], "") == "1 slide."
    assert written_sentence(DecisionCount(3, 2, 1), "d.csv") == (
        "Written to d.csv: 1 review; 2 slides without a review."
    )

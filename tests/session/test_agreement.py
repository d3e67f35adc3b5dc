"""Readers of the same slides compared: places, kappa, consensus."""

import csv
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from test_cohort_folder import own_data_folder, read, reviewed, run

from napari_hagmil.cli import main
from napari_hagmil.errors import OutputError
from napari_hagmil.review import Annotation, Conclusion, ReviewRegion, ReviewState
from napari_hagmil.review.state import ReviewPatch
from napari_hagmil.session.cohort.agreement import agreement, cohens_kappa, compare_readers
from napari_hagmil.session.cohort.compared import (
    compare_cohort,
    comparison_sentence,
    write_comparison,
)
from napari_hagmil.session.cohort.folder import open_cohort

__all__ = ["own_data_folder", "run"]

DONE = Conclusion("tumor")


def square(y, x, side=10.0):
    return ((y, x), (y, x + side), (y + side, x + side), (y + side, x))


def region(y, x, decision="accepted", **known):
    return ReviewRegion("r", square(y, x), score=90.0, depth=2, decision=decision, **known)


def drawn(y, x, side=10.0, path_class=""):
    return Annotation("a", "polygon", square(y, x, side), path_class)


def test_findings_that_overlap_are_of_one_place_and_those_that_touch_are_not():
    ada = ReviewState(regions=(region(0, 0), region(100, 0)), conclusion=DONE)
    ben = ReviewState(annotations=(drawn(2, 2), drawn(100, 10)), conclusion=DONE)
    slide = compare_readers("s", {"ada": ada, "ben": ben})
    assert sorted(sorted(place.readers) for place in slide.places) == [
        ["ada"],
        ["ada", "ben"],
        ["ben"],
    ]
    (pair,) = agreement([slide])
    assert (pair.both, pair.first_only, pair.second_only) == (1, 1, 1)


def test_a_sliver_in_common_makes_no_common_place_and_a_small_one_inside_does():
    states = {
        "a": ReviewState(annotations=(drawn(0, 0, 100.0),), conclusion=DONE),
        "b": ReviewState(annotations=(drawn(0, 99.5, 100.0), drawn(10, 10)), conclusion=DONE),
    }
    assert len(compare_readers("s", states).places) == 2


def test_rejected_regions_are_not_found_and_patches_accepted_alone_are():
    box = (0.0, 0.0, 10.0, 10.0)
    alone = region(0, 0, "rejected", patches=(ReviewPatch(box, 99.0, "accepted"),))
    states = {
        "a": ReviewState(regions=(alone, region(50, 50, "rejected"))),
        "b": ReviewState(regions=(region(0, 0), region(50, 50))),
    }
    slide = compare_readers("s", states)
    assert sorted(len(place.readers) for place in slide.places) == [1, 2]
    (pair,) = agreement([slide])
    assert sorted(pair.decisions) == [("rejected", "accepted")] * 2


def test_a_review_under_way_is_compared_with_nobodys():
    begun = ReviewState(regions=(region(0, 0, "unseen"),))
    ended = ReviewState(conclusion=DONE)
    assert compare_readers("s", {"a": begun, "b": ended}) is None
    assert set(compare_readers("s", {"a": begun, "b": ended, "c": ended}).states) == {"b", "c"}


def test_the_consensus_is_what_more_than_half_found_and_concluded():
    classes = {"a": "tumor", "b": "tumor", "c": "normal"}
    found = {"a": (0, 50), "b": (2, 50), "c": (4,)}
    states = {
        who: ReviewState(
            annotations=tuple(drawn(y, 0, path_class="Tumor") for y in found[who]),
            conclusion=Conclusion(classes[who]),
        )
        for who in "abc"
    }
    agreed = compare_readers("s", states).consensus()
    assert agreed.conclusion.path_class == "tumor"
    assert [one.path_class for one in agreed.annotations] == ["Tumor", "Tumor"]
    assert "found by a, b, c" in {one.comment for one in agreed.annotations}
    two = compare_readers("s", {who: states[who] for who in "ac"}).consensus()
    assert two.conclusion.path_class == ""  # one of two is not more than half
    assert len(two.annotations) == 1


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("xyz")), min_size=1))
def test_kappa_is_that_of_scikit_learn(pairs):
    first, second = zip(*pairs, strict=True)
    ours = cohens_kappa(pairs)
    if len({*first, *second}) == 1:
        assert math.isnan(ours)
    else:
        assert ours == pytest.approx(cohen_kappa_score(first, second))
        assert cohens_kappa([(b, a) for a, b in pairs]) == pytest.approx(ours)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_cohort_is_compared_from_its_journals_by_its_verb(run, tmp_path, capsys):
    slides, out = tmp_path / "slides", tmp_path / "agreed"
    assert main(["cohort", "agree", str(run.root), "--out", str(out)]) == 3
    assert "No slide has been finished by two readers" in capsys.readouterr().out
    assert not out.exists()
    for who, said, at in (("Ada", "tumor", 0), ("Ben", "normal", 2), ("", "tumor", 500)):
        reviewed(slides / "a.svs", who, annotations=(drawn(at, 0),), conclusion=Conclusion(said))
    reviewed(slides / "b.svs", "Ada", conclusion=Conclusion("normal"))
    reviewed(slides / "b.svs", "Ben", conclusion=Conclusion("normal"))
    assert main(["cohort", "agree", str(run.root), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "Ada and Ben, 2 slides: 1 of 1 places were found by both" in told
    assert "1 of 2 conclusions are the same (κ 0.00)" in told

    by_pair = {(row["reader"], row["other"]): row for row in rows(out / "agreement.csv")}
    assert set(by_pair) == {("everybody", "Ada"), ("everybody", "Ben"), ("Ada", "Ben")}
    assert by_pair["everybody", "Ada"]["found_by_reader_only"] == "1"
    assert {(r["found_by"], r["not_found_by"]) for r in rows(out / "differences.csv")} == {
        ("Ada; Ben", "everybody"),
        ("everybody", "Ada; Ben"),
    }
    agreed = {row["slide"]: row for row in rows(out / "consensus.csv")}
    assert (agreed["a"]["conclusion"], agreed["b"]["conclusion"]) == ("tumor", "normal")
    (feature,) = json.loads((out / "consensus" / "a.geojson").read_text())["features"]
    ys = [y for _, y in feature["geometry"]["coordinates"][0]]
    assert (min(ys), max(ys)) == (0.5, 12.5)

    assert main(["cohort", "agree", str(run.root), "--out", str(out)]) == 1
    assert "exists" in capsys.readouterr().err


def test_nothing_in_common_is_said_in_one_sentence(run):
    entries = list(read(open_cohort(run.root)).values())
    found = compare_cohort(entries)
    assert comparison_sentence(found).startswith("No slide has been finished by two readers")


def test_what_exists_is_not_written_over(run, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists"):
        write_comparison(tmp_path / "there", compare_cohort([]), [])

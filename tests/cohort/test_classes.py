"""Which of two classes is positive: said, recognised, or asked for; never the alphabet's."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_hagmil.cohort import Cohort, SlideRecord, class_order, ordered
from napari_hagmil.errors import CohortError


def cohort(*labels: str) -> Cohort:
    records = tuple(SlideRecord(Path(f"{i}.svs"), y, str(i)) for i, y in enumerate(labels))
    return Cohort(records, tuple(sorted(set(labels))))


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (("cancer", "normal"), ("normal", "cancer")),
        (("Benign", "Atypia"), ("Benign", "Atypia")),
        (("0", "1"), ("0", "1")),
        (("pos", "neg"), ("neg", "pos")),
        (("non_tumor", "metastasis"), ("non_tumor", "metastasis")),
        (("KIRC", "KICH", "normal", "KIRP"), ("normal", "KICH", "KIRC", "KIRP")),
    ],
)
def test_a_well_known_negative_comes_first(labels, order):
    assert ordered(cohort(*labels)) == class_order(labels) == order


@pytest.mark.parametrize("labels", [("LUAD", "LUSC"), ("normal", "benign"), ("a", "b")])
def test_where_no_label_says_which_is_positive_it_is_asked_for(labels):
    with pytest.raises(CohortError, match=r"--classes .*classes = "):
        ordered(cohort(*labels))


def test_the_order_that_is_given_stands_whatever_is_recognised():
    assert ordered(cohort("normal", "cancer"), ("cancer", "normal")) == ("cancer", "normal")
    assert ordered(cohort("LUAD", "LUSC"), ("LUSC", "LUAD")) == ("LUSC", "LUAD")


@pytest.mark.parametrize(
    "given", [("normal",), ("normal", "cancer", "other"), ("Normal", "cancer")]
)
def test_classes_that_are_not_the_tables_are_refused(given):
    with pytest.raises(CohortError, match="just these, the negative first"):
        ordered(cohort("normal", "cancer"), given)

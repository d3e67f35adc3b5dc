"""Which of two classes is positive: said, recognised, or asked for; never the alphabet's."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from napari_hagmil.cli import training
from napari_hagmil.cohort import Cohort, SlideRecord, class_order, is_order_known, ordered
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
def test_where_no_label_says_which_is_positive_that_is_known(labels):
    assert not is_order_known(labels)
    assert is_order_known(("cancer", "normal"))
    assert is_order_known(("KICH", "KIRC", "KIRP"))


@pytest.mark.parametrize(
    ("said", "order"),
    [("LUSC\n", ("LUSC", "LUAD")), ("\n", ("LUAD", "LUSC")), ("", ("LUAD", "LUSC"))],
)
def test_somebody_at_the_terminal_is_asked(monkeypatch, capsys, said, order):
    monkeypatch.setattr(training, "can_ask", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    assert training._asked_order(("LUAD", "LUSC")) == order
    assert "Which class is the negative one, LUAD or LUSC? [LUAD]" in capsys.readouterr().err


def test_where_nobody_can_be_asked_the_choice_is_said_with_the_way_to_change_it(
    monkeypatch, capsys
):
    monkeypatch.setattr(training, "can_ask", lambda: False)
    assert training._asked_order(("LUAD", "LUSC")) == ("LUAD", "LUSC")
    assert "taken to be of LUSC; say otherwise with --classes LUSC,LUAD" in capsys.readouterr().err


def test_the_order_that_is_given_stands_whatever_is_recognised():
    assert ordered(cohort("normal", "cancer"), ("cancer", "normal")) == ("cancer", "normal")
    assert ordered(cohort("LUAD", "LUSC"), ("LUSC", "LUAD")) == ("LUSC", "LUAD")


@pytest.mark.parametrize(
    "given", [("normal",), ("normal", "cancer", "other"), ("Normal", "cancer")]
)
def test_classes_that_are_not_the_tables_are_refused(given):
    with pytest.raises(CohortError, match="just these, the negative first"):
        ordered(cohort("normal", "cancer"), given)

"""Errors carry what is wrong and what to do, for every kind of reader, through every process."""

from __future__ import annotations

import pickle

import pytest

from napari_hagmil import errors
from napari_hagmil.errors import (
    BundleError,
    CohortError,
    HagmilError,
    Problem,
    Remedy,
    ResultError,
    statement_of,
)

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, HagmilError)
]
ASK = Remedy("give mpp=", command_line="give --mpp", window="enter the pixel size")


@pytest.mark.parametrize(("front", "remedy"), [
    ("library", "give mpp="), ("command line", "give --mpp"), ("window", "enter the pixel size"),
])  # fmt: skip
def test_each_reader_is_told_the_remedy_within_reach(front, remedy):
    error = HagmilError("a.tif", "needs a positive pixel size", value=-1, remedy=ASK)
    assert error.sentence(front) == f"a.tif needs a positive pixel size, got -1; {remedy}"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_way_to_another_process(kind):
    error = kind("cohort.csv", ["no column label"]) if kind is CohortError else kind(
        "a.tif", "needs a pixel size", value=0, remedy=ASK
    )  # fmt: skip
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_problem_within_another_brings_no_second_remedy() -> None:
    inner = BundleError("a.hagmil", "needs a budget", value=0, remedy="correct it")
    assert statement_of(inner) == "a.hagmil needs a budget, got 0"
    assert statement_of(ValueError("plain")) == "plain"


def test_what_a_library_says_in_several_lines_is_one() -> None:
    error = ResultError("the analysis", "cannot be read (no footer:\nPAR1\n)", value="a\r\nb")
    assert str(error) == "the analysis cannot be read (no footer: PAR1 ), got a b"
    assert error.sentence("window") == str(error)
    assert Problem("two  spaces stay").sentence() == "two  spaces stay"

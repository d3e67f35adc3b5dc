"""What the window says in words: numbers, the price of a run and what it took."""

import pytest

from napari_hagmil.cascade import Cost, DepthForecast
from napari_hagmil.session import RunCost
from napari_hagmil.session.numbers import counted, duration, millimetres, percent
from napari_hagmil.session.run_report import cost_of_run, price_of_depth, price_of_run
from napari_hagmil.session.slide_report import slide_facts
from napari_hagmil.slide import open_slide


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.004, "< 1 %"), (0.5, "50 %"), (0.994, "99 %"), (0.996, "> 99 %"), (1, "100 %")],
)
def test_a_probability_is_never_rounded_to_a_certainty(share, text):
    assert percent(share) == text


def test_numbers_are_written_as_people_read_them():
    assert [counted(n, "region") for n in (0, 1, 1200)] == [
        "0 regions",
        "1 region",
        "1,200 regions",
    ]
    assert [duration(s) for s in (3, 45, 120, 5400)] == ["3.0 s", "45 s", "2 min", "1.5 h"]
    assert millimetres(2000, 4000, 0.5) == "2.0 × 1.0 mm"


def test_the_price_of_a_run_says_whether_it_is_an_upper_bound():
    first, second = DepthForecast(0, 1200, 8, exact=True), DepthForecast(1, 64, 64, exact=False)
    known = DepthForecast(1, 64, 0, exact=True)
    assert price_of_depth(first) == "looks at 1,200: 8 to encode"
    assert price_of_depth(second) == "looks at up to 64: up to 64 to encode"
    assert price_of_depth(known) == "looks at 64: all known"
    assert price_of_run(RunCost((known,), 0.0)) == "The next run encodes no new patches."
    assert (
        price_of_run(RunCost((first,), 2.0)) == "The next run encodes 8 new patches, about 2.0 s."
    )
    assert price_of_run(RunCost((first, second), None)) == (
        "The next run encodes up to 72 new patches."
    )


@pytest.mark.parametrize(
    ("looked", "tissue", "text"),
    [
        (75, 300, "75 of 300 patches with tissue looked at (25 %), in 2.0 s"),
        (380, 300, "380 patches looked at: all 300 with tissue, and glass beside them, in 2.0 s"),
        (10, 0, ""),
    ],
)
def test_the_cost_of_a_run_is_no_share_above_one(looked, tissue, text):
    assert cost_of_run(Cost(looked, tissue, 64, 48, 0, {"total": 2.0})) == text


def test_the_facts_of_a_slide_say_where_its_pixel_size_comes_from(phantom):
    with open_slide(phantom) as slide:
        assert f"0.25 µm/px (40×), from {slide.mpp_source}" in slide_facts(slide, corrected=False)
    with open_slide(phantom, mpp=0.5) as slide:
        facts = slide_facts(slide, corrected=True)
    assert facts.startswith("4,096 × 4,096 px · 2.0 × 2.0 mm\n0.5 µm/px (20×), set by you\n")

"""Slides without labels: from a table, a folder, a glob."""

import pytest

from napari_hagmil.cohort import gather_slides
from napari_hagmil.errors import CohortError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in (
        "a.svs",
        "x/b.tiff",
        "y/b.tiff",
        "y/z/TCGA-AB-1234-01Z-00-DX1.svs",
        "y/notes.doc",
    ):
        (tmp_path / "slides" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "slides" / place).touch()
    return tmp_path


def names(cohort):
    return [record.name for record in cohort.records]


def test_a_folder_gives_the_slides_at_any_depth_with_names_of_their_own(folder):
    cohort = gather_slides(folder / "slides")
    assert names(cohort) == ["a", "x-b", "y-b", "TCGA-AB-1234-01Z-00-DX1"]
    assert [r.patient for r in cohort.records] == ["a", "x-b", "y-b", "TCGA-AB-1234"]
    assert {r.label for r in cohort.records} == {""}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("slides/*/*.tiff", ["x-b", "y-b"]),
        ("slides/**/*", ["a", "x-b", "y-b", "TCGA-AB-1234-01Z-00-DX1"]),
        ("slides/x/*.tiff", ["b"]),
        ("slides/a.svs", ["a"]),
    ],
)
def test_a_glob_gives_the_slides_that_it_matches(folder, pattern, expected):
    assert names(gather_slides(pattern)) == expected
    assert names(gather_slides(folder / pattern)) == expected


def test_a_table_needs_no_more_than_the_slides(folder):
    (folder / "table.csv").write_text("slide\nslides/a.svs\nslides/x/b.tiff\n")
    cohort = gather_slides("table.csv")
    assert names(cohort) == ["a", "b"]
    assert [r.patient for r in cohort.records] == ["a", "b"]
    text = "slide,name,patient,label\nslides/a.svs,first,p1,\nslides/x/b.tiff,,,tumor\n"
    (folder / "table.csv").write_text(text)
    cohort = gather_slides("table.csv")
    assert [(r.name, r.patient, r.label) for r in cohort.records] == [
        ("first", "p1", ""),
        ("b", "b", "tumor"),
    ]


def test_a_table_of_absent_slides_will_do_where_features_are_there(folder):
    (folder / "table.csv").write_text("slide\nelsewhere/a.svs\n")
    assert names(gather_slides("table.csv", files=False)) == ["a"]
    with pytest.raises(CohortError, match="does not exist"):
        gather_slides("table.csv")


@pytest.mark.parametrize("source", ["slides/*.png", "nowhere", "slides/y/notes.doc*"])
def test_where_there_is_no_slide_it_says_what_to_give(folder, source):
    with pytest.raises(CohortError, match="names no slide: give a table, a folder"):
        gather_slides(source)


def test_names_that_no_path_tells_apart_are_refused(folder):
    (folder / "slides" / "x-b.svs").touch()
    with pytest.raises(CohortError, match=r"x-b; name them in the column 'name'"):
        gather_slides(folder / "slides")

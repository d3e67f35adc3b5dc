"""Reviews of several readers of one slide, kept apart by name."""

from dataclasses import replace

import pytest

from napari_hagmil.review import Conclusion, ReviewRegion, ReviewState, open_sitting
from napari_hagmil.review.progress import progress_of
from napari_hagmil.review.readers import LONGEST, reader_folder, reader_of, tidy_reader
from napari_hagmil.review.shelf import journals_of, shelf_of

FINGERPRINT = "f" * 32
REGION = ReviewRegion("a", ((0.0, 0.0), (0.0, 9.0), (9.0, 9.0)))


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slides" / "case.svs"
    path.parent.mkdir()
    path.touch()
    return path


@pytest.fixture
def concluded(slide, tmp_path):
    """Open the review of a reader, conclude, and close it."""

    def conclude(reader, words, user_folder=None):
        sitting = open_sitting(
            slide, FINGERPRINT, user_folder=user_folder or tmp_path / "user", reader=reader
        )
        sitting.change("conclude", conclusion=Conclusion(words))
        assert sitting.close()

    return conclude


def said(slide, tmp_path, reader):
    sitting = open_sitting(slide, FINGERPRINT, user_folder=tmp_path / "user", reader=reader)
    sitting.close()
    return sitting.state.conclusion.path_class


def test_what_one_reader_concludes_is_not_in_the_review_of_another(slide, tmp_path, concluded):
    concluded("Ada", "tumor")
    concluded("Grace", "normal")
    assert said(slide, tmp_path, "Ada") == "tumor"
    assert said(slide, tmp_path, "Grace") == "normal"
    assert said(slide, tmp_path, "") == ""


@pytest.mark.parametrize(
    "name",
    ["Ada Lovelace", "Müller, Ä.", "a/b\\c:d", "..", "50 %", "[x]*?", "名前", "x" * 200, "Dr."],
)
def test_any_name_makes_a_folder_and_is_read_back_from_it(name, tmp_path):
    folder = reader_folder(tmp_path, name)
    folder.mkdir()
    assert folder.parent == tmp_path
    assert reader_of(folder) == tidy_reader(name)
    assert len(tidy_reader(name)) <= LONGEST


def test_capitals_and_spaces_make_no_other_reader(slide, tmp_path, concluded):
    concluded("Ada Lovelace", "tumor")
    assert said(slide, tmp_path, "  ada   lovelace ") == "tumor"


def test_every_reader_of_a_slide_is_found_with_their_journal(slide, tmp_path, concluded):
    concluded("", "a")
    concluded("Ada", "b")
    found = journals_of(slide, FINGERPRINT, user_folder=tmp_path / "user")
    assert list(found) == ["", "Ada"]
    assert all(path.is_file() for path in found.values())
    assert journals_of(slide, "0" * 32, user_folder=tmp_path / "user") == {}
    assert list(journals_of(slide, user_folder=tmp_path / "user")) == ["", "Ada"]


def test_a_link_that_looks_like_a_readers_folder_is_not_followed(slide, tmp_path, concluded):
    concluded("Ada", "tumor")
    folder = slide.with_name(slide.name + ".hagmil-review")
    (folder / "reader-Ada").rename(tmp_path / "elsewhere")
    (folder / "reader-Ada").symlink_to(tmp_path / "elsewhere")
    assert said(slide, tmp_path, "Ada") == ""
    assert journals_of(slide, FINGERPRINT, user_folder=tmp_path / "user") == {}


def test_a_readers_journal_is_found_again_where_only_the_users_folder_can_be_written(
    slide, tmp_path
):
    user = tmp_path / "user"
    shelf = shelf_of(slide, FINGERPRINT, user_folder=user, beside_slide=False, reader="Ada")
    assert shelf.journal.parent.name == "reader-Ada"
    assert shelf.journal.is_relative_to(user)
    shelf.journal.parent.mkdir(parents=True)
    shelf.journal.touch()
    moved = slide.with_name("renamed.svs")
    slide.rename(moved)
    assert shelf_of(moved, FINGERPRINT, user_folder=user, reader="Ada").found == shelf.journal
    assert shelf_of(moved, FINGERPRINT, user_folder=user, reader="Grace").found is None


def test_a_review_is_finished_by_a_conclusion_or_by_the_last_decision():
    begun = ReviewState(regions=(REGION, replace(REGION, id="b")))
    half = replace(begun, regions=(replace(REGION, decision="rejected"), begun.regions[1]))
    whole = replace(begun, regions=tuple(replace(one, decision="accepted") for one in half.regions))
    concluded = replace(begun, conclusion=Conclusion(text="seen"))
    states = (ReviewState(), begun, half, whole, concluded)
    assert [progress_of(state).stage for state in states] == [
        "not begun",
        "undecided",
        "undecided",
        "finished",
        "finished",
    ]
    assert progress_of(half).decided == 1

"""Files that appear whole or not at all."""

import os
import time
from pathlib import Path

import pytest

from napari_hagmil.errors import OutputError, SlideReadError
from napari_hagmil.files import (
    STALE,
    drafting,
    fits_name,
    move,
    remove_drafts,
    replacing,
    short_name,
    sibling,
)


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path, durable):
    path = tmp_path / "new folder" / "a.txt"
    for text in ("one", "two"):
        with replacing(path, durable=durable) as draft:
            assert draft.parent == path.parent
            draft.write_text(text)
        assert path.read_text() == text
    assert [one.name for one in path.parent.iterdir()] == ["a.txt"]


def test_a_durable_file_is_synced_before_it_is_moved_and_its_folder_after(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.txt", []

    def fsync(descriptor):
        seen.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), path.exists()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not say which file a descriptor is of")
    monkeypatch.setattr("napari_hagmil.files.os.fsync", fsync)
    with replacing(path, durable=True) as draft:
        draft.write_text("one")
    assert seen == [(str(draft), False), (str(tmp_path), True)]


def test_a_folder_takes_the_place_of_a_full_one(tmp_path):
    path = tmp_path / "a"
    for name in ("old", "new"):
        with replacing(path) as draft:
            draft.mkdir()
            (draft / name).write_text(name)
    assert [one.name for one in path.iterdir()] == ["new"]
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_when_the_writing_fails_what_stood_there_stays(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with replacing(path) as draft:
            draft.write_text("ne")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


def test_when_a_folder_cannot_be_moved_in_the_old_one_comes_back(tmp_path):
    path, draft = tmp_path / "a", tmp_path / "b"
    path.mkdir()
    (path / "old").write_text("old")
    draft.mkdir()

    class Stuck(type(draft)):
        def replace(self, target):
            raise OSError(13, "Permission denied")

    with pytest.raises(OSError, match="Permission denied"):
        move(Stuck(draft), path)
    assert (path / "old").read_text() == "old"


def test_a_disk_that_refuses_is_one_sentence_with_its_reason(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught, drafting(tmp_path / "file" / "a.txt"):
        pass
    problem = caught.value.problem
    assert problem.subject == "a.txt"
    assert "folder file" in problem.rule
    assert problem.remedy == "choose another folder"


def test_an_error_raised_on_purpose_is_not_taken_for_the_disks(tmp_path):
    """A slide that cannot be read is an OSError, too."""
    with pytest.raises(SlideReadError, match="a tile"), drafting(tmp_path / "a"):
        raise SlideReadError("a tile", "cannot be decoded")
    with pytest.raises(OSError, match="of a decoder"), drafting(tmp_path / "a"):
        raise OSError("of a decoder")


def test_drafts_of_killed_programs_go_when_they_are_old(tmp_path):
    made = {}
    for name in ("a.txt", "b.txt"):
        with drafting(tmp_path / name) as draft:
            made[name] = draft
    fresh = tmp_path / ".a.txt.0123.tmp"
    fresh.write_text("")
    for draft in made.values():
        draft.mkdir()
        os.utime(draft, (0, time.time() - STALE - 1))
    remove_drafts(tmp_path, "a.txt")
    assert set(tmp_path.iterdir()) == {made["b.txt"], fresh}
    remove_drafts(tmp_path)
    assert set(tmp_path.iterdir()) == {fresh}
    remove_drafts(tmp_path, older_than=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["y" * 255, "診" * 85, "ab" * 100])
def test_drafts_of_long_names_have_names_that_fit_and_are_found_again(tmp_path, name):
    path = tmp_path / name
    draft = sibling(path)
    assert fits_name(draft)
    assert not fits_name(tmp_path / (name * 2))
    with replacing(path) as made:
        made.write_text("whole")
    assert path.read_text() == "whole"
    draft.write_text("left by a killed program")
    other = sibling(tmp_path / ("z" + name[1:]))
    other.write_text("of another file")
    remove_drafts(tmp_path, name, older_than=0)
    assert (draft.exists(), other.exists()) == (False, True)


def test_names_that_are_cut_alike_stay_apart():
    one, other = short_name("a" * 300), short_name("a" * 299 + "b")
    assert one != other
    assert len(one) == len(other) == 255
    assert short_name("short.json", 20) == "short.json"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_rename_whose_answer_was_lost_is_done(tmp_path, monkeypatch, kind):
    """A network drive asks again, and is told that the source is missing."""
    rename = os.replace

    def lost(source, target):
        rename(source, target)
        raise FileNotFoundError(2, "No such file or directory", str(source))

    monkeypatch.setattr(os, "replace", lost)
    with replacing(tmp_path / "a") as draft:
        if kind == "file":
            draft.write_text("new")
        else:
            draft.mkdir()
            (draft / "a.txt").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_rename_that_was_not_done_is_told_and_what_stood_there_stays(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def refused(source, target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", refused)
    with (
        pytest.raises(OutputError, match="Input/output error"),
        replacing(tmp_path / "a") as draft,
    ):
        draft.write_text("new")
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]

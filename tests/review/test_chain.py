"""The chain of a journal: what was edited, removed, moved or lost is found."""

import json
import re
import zlib

import pytest

from napari_hagmil.review import Conclusion
from napari_hagmil.review.chain import check_journal
from napari_hagmil.review.history import read_journal
from napari_hagmil.review.sitting import open_sitting

FINGERPRINT = "f" * 32


@pytest.fixture
def slide(tmp_path):
    (tmp_path / "slide.tiff").write_bytes(b"pixels")
    return tmp_path / "slide.tiff"


def decide(slide, *texts):
    sitting = open_sitting(slide, FINGERPRINT)
    for text in texts:
        sitting.change("conclude", conclusion=Conclusion("tumor", text))
    assert sitting.close()
    return sitting.journal.path


def concluded(slide):
    sitting = open_sitting(slide, FINGERPRINT)
    sitting.close()
    return sitting.state.conclusion.text, sitting.notes


def with_crc(line):
    """The line with the checksum of what it says now: what a careful hand would write."""
    return b'{"crc":"%08x",%s' % (zlib.crc32(line[18:]), line[18:])


def edited(lines):
    assert b'"second"' in lines[3]
    lines[3] = with_crc(lines[3].replace(b'"second"', b'"benign"'))


def removed(lines):
    del lines[3]


def moved(lines):
    lines[2], lines[3] = lines[3], lines[2]


def renumbered(lines):
    """A line removed, and those after it counted anew."""
    del lines[3]
    lines[3] = with_crc(re.sub(rb'"n":\d+', b'"n":3', lines[3], count=1))


def repeated(lines):
    lines.append(with_crc(re.sub(rb'"n":\d+', b'"n":%d' % len(lines), lines[2], count=1)))


CHANGES = {
    edited: "line 4 is damaged, was changed or does not follow",
    removed: "line 4 is damaged, was changed or does not follow",
    moved: "line 3 is damaged, was changed or does not follow",
    renumbered: "line 4 is damaged, was changed or does not follow",
    repeated: "line 6 is damaged, was changed or does not follow",
    list.pop: "lacks lines at its end, or is another than its head says",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_was_done_to_a_journal_is_found(slide, change):
    path = decide(slide, "first", "second", "third")
    assert check_journal(path) == ""
    whole = path.read_bytes()
    lines = whole.splitlines()
    change(lines)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert check_journal(path) == CHANGES[change]
    changed = path.read_bytes()
    _, (note,) = concluded(slide)
    assert "is damaged" in note.sentence()
    (copy,) = path.parent.glob("*.damaged-*")
    assert copy.read_bytes() == changed


def test_a_journal_only_grows(slide):
    path = decide(slide, "first", "second")
    before = path.read_bytes()
    sitting = open_sitting(slide, FINGERPRINT)
    sitting.undo()
    sitting.change("conclude", conclusion=Conclusion("normal", "third"))
    sitting.close()
    after = path.read_bytes()
    assert after.startswith(before)
    assert b"second" in after
    assert concluded(slide)[0] == "third"
    assert check_journal(path) == ""


def test_a_journal_that_grew_too_long_is_kept_beside_the_shorter_one(slide, monkeypatch):
    from napari_hagmil.review import history, sitting

    monkeypatch.setattr(sitting, "MAX_LINES", 10)
    monkeypatch.setattr(history, "MAX_UNDO", 3)
    path = decide(slide, *map(str, range(12)))
    kept = list(path.parent.glob("*.until-*"))
    assert len(kept) == 1
    assert check_journal(kept[0]) == check_journal(path) == ""
    assert concluded(slide) == ("11", ())
    said = b"".join(file.read_bytes() for file in (*kept, path))
    assert all(b'"text":"%d"' % number in said for number in range(12))


def test_a_journal_of_an_earlier_version_opens_and_is_chained_from_then_on(slide):
    path = decide(slide, "first", "second")
    lines = []
    for line in path.read_bytes().splitlines():
        record = json.loads(line)
        del record["crc"], record["chain"]
        rest = json.dumps(record, separators=(",", ":"))[1:].encode()
        lines.append(b'{"crc":"%08x",%s\n' % (zlib.crc32(rest), rest))
    path.write_bytes(b"".join(lines))
    path.with_suffix(".head").unlink()
    assert "has no chain" in check_journal(path)
    assert concluded(slide) == ("second", ())
    assert check_journal(path) == ""


def test_a_head_that_says_nothing_legible_is_left_alone(slide):
    path = decide(slide, "first")
    for text in (b"", b"9", b"\xff\xfe x", b"9 9 9", b"-1 x", b"1" * 500):
        path.with_suffix(".head").write_bytes(text)
        assert not read_journal(path).damaged

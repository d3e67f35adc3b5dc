"""The journal: nothing is lost, whatever dies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from napari_hagmil.errors import Problem
from napari_hagmil.review import Annotation, Conclusion, ReviewState, journal, open_sitting
from napari_hagmil.review import sitting as sittings
from napari_hagmil.review.record import decode_lines, encode_line
from napari_hagmil.review.sitting import MAX_LINES

#: Imports once, then forks a writer for every line it is told: the writer changes a review as
#: fast as it can, and says what it has done and when.
NURSERY = """
import os, sys, time
from pathlib import Path
from napari_hagmil.review import Conclusion, open_sitting

def write(slide):
    sitting = open_sitting(slide, "f" * 32)
    n = int(sitting.state.conclusion.text or 0)
    print("begin", n, time.time(), flush=True)
    while True:
        n += 1
        sitting.change("conclude", conclusion=Conclusion("tumor", str(n)))
        if n % 7 == 0:
            sitting.undo(), sitting.redo()
        print(n, time.time(), flush=True)
        time.sleep(0.001)

for line in sys.stdin:
    child = os.fork()
    if not child:
        write(Path(line.strip()))
    print("child", child, flush=True)
    os.waitpid(child, 0)
    # On a line of its own, whatever was torn before it.
    print("\\ndead", flush=True)
"""


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "slide.tiff"
    path.write_bytes(b"pixels")
    return path


def kill_a_writer(nursery: Any, slide: Path, seconds: float) -> tuple[int, int]:
    """How many changes were surely a second old when it was killed, and how many were made."""
    print(slide, file=nursery.stdin, flush=True)
    said: list[list[str]] = []
    while not {one[0] for one in said if one} >= {"child", "begin"}:
        said.append(nursery.stdout.readline().split())
    facts = {one[0]: int(one[1]) for one in said if one and one[0] in ("child", "begin")}
    time.sleep(seconds)
    killed = time.time()
    os.kill(facts["child"], signal.SIGKILL)
    while said[-1] != ["dead"]:
        said.append(nursery.stdout.readline().split())
    # A line that was torn by the kill says nothing.
    made = [(int(one[0]), float(one[1])) for one in said if len(one) == 2 and one[0].isdigit()]
    old = [n for n, at in made if at < killed - 1]
    return max([facts["begin"], *old]), max([facts["begin"], *(n for n, _ in made)])


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no SIGKILL")
def test_fifty_kills_at_random_moments_lose_at_most_the_last_second(slide):
    rng = random.Random(5)
    # Most come in the first tenths of a second, where the journal is opened and rewritten;
    # every tenth after more than a second, so that there is something that must not be lost.
    moments = [rng.uniform(1.0, 1.4) if i % 10 == 9 else rng.expovariate(12) for i in range(50)]
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=PIPE, stdout=PIPE, text=True
    ) as nursery:
        grown = [survey(*kill_a_writer(nursery, slide, s), slide) for s in moments]
        nursery.stdin.close()
    assert grown == sorted(grown)
    assert grown[-1] > 100


def survey(kept: int, made: int, slide: Path) -> int:
    """Open the review after a kill, check that it is whole, and say how far it has come."""
    sitting = open_sitting(slide, "f" * 32)
    n = int(sitting.state.conclusion.text or 0)
    assert not sitting.held_by
    assert not sitting.notes
    # One more may be on disk than the writer came to say, and one less: an undo was not redone.
    assert kept - 1 <= n <= made + 1
    if n:
        assert sitting.undo() == "conclude"
        assert sitting.state.conclusion.text in (str(n - 1), "")
        assert sitting.redo() == "conclude"
    assert sitting.close()
    return n


def journal_of(slide: Path, n_changes: int = 5) -> Path:
    sitting = open_sitting(slide, "f" * 32)
    for i in range(n_changes):
        sitting.change("pin", pins=(*sitting.state.pins, (float(i), 0.0)))
    assert sitting.close()
    return sitting.journal.path


def pins_of(slide: Path) -> tuple[int, tuple[Problem, ...]]:
    sitting = open_sitting(slide, "f" * 32)
    sitting.close()
    return len(sitting.state.pins), sitting.notes


def test_every_byte_at_which_the_last_line_can_be_torn_leaves_the_lines_before(slide):
    path = journal_of(slide)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        # The head is written after the line, so that it does not know a torn one.
        path.with_suffix(".head").unlink(missing_ok=True)
        assert pins_of(slide) == (4, ())
    path.write_bytes(whole)
    assert pins_of(slide) == (5, ())


def test_a_damaged_line_in_the_middle_is_reported_and_the_whole_file_kept(slide):
    path = journal_of(slide)
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    n_pins, (note,) = pins_of(slide)
    assert 0 < n_pins < 5
    (copy,) = path.parent.glob("*.damaged-*")
    assert copy.name in note.sentence()
    assert copy.read_bytes() == whole


def test_a_line_is_json_and_any_changed_bit_is_noticed():
    line = encode_line(0, {"kind": "undo", "text": "größer"})
    assert json.loads(line)["text"] == "größer"
    assert decode_lines(line)[0] == [{"n": 0, "kind": "undo", "text": "größer"}]
    for i in range(len(line) - 1):
        changed = bytearray(line)
        changed[i] ^= 4
        assert decode_lines(bytes(changed))[0] == []
    assert decode_lines(line + line)[1] == line


def test_a_change_is_on_disk_within_a_second(slide):
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("conclude", conclusion=Conclusion("tumor"))
    started = time.monotonic()
    assert sitting.journal.flush(1.0)
    assert time.monotonic() - started < 1
    assert b'"tumor"' in sitting.journal.path.read_bytes()
    sitting.close()


def test_a_long_journal_is_made_short_and_loses_nothing(slide):
    sitting = open_sitting(slide, "f" * 32)
    for i in range(MAX_LINES + 20):
        sitting.change("conclude", conclusion=Conclusion("tumor", str(i)))
    sitting.close()
    assert sitting.journal.path.read_bytes().count(b"\n") < MAX_LINES / 2
    again = open_sitting(slide, "f" * 32)
    assert again.state.conclusion.text == str(MAX_LINES + 19)
    assert again.undo() == "conclude"
    again.close()


def test_a_journal_that_cannot_be_shorter_is_not_begun_again_with_every_change(slide, monkeypatch):
    monkeypatch.setattr(sittings, "MAX_BYTES", 2_000)
    corners = tuple((float(y), 0.0) for y in range(500))
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("import annotations", annotations=(Annotation("a", "polygon", corners),))
    for i in range(8):
        sitting.change("pin", pins=((float(i), 0.0),))
        assert sitting.journal.flush()
    sitting.close()
    assert len(list(sitting.journal.path.parent.glob("*.until-*"))) == 1
    again = open_sitting(slide, "f" * 32)
    assert (len(again.state.annotations), again.state.pins) == (1, ((7.0, 0.0),))
    again.close()


def test_lines_are_made_on_the_journals_own_thread_and_in_pieces(slide, monkeypatch):
    makers = []

    def made(*given):
        makers.append(threading.current_thread().name)
        return encode_line(*given)

    monkeypatch.setattr(journal, "encode_line", made)
    corners = tuple((float(y), 0.5) for y in range(50))
    many = tuple(Annotation(f"{i}", "polygon", corners) for i in range(300))
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("import annotations", annotations=many)
    assert sitting.journal.flush()
    assert set(makers) == {"review-journal"}
    sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.state.annotations == many
    again.close()


def test_what_waits_to_be_written_is_kept_when_the_review_is_closed_at_once(slide):
    sitting = open_sitting(slide, "f" * 32)
    corners = tuple((float(y), 0.5) for y in range(500))
    many = tuple(Annotation(f"{i}", "polygon", corners) for i in range(2_000))
    sitting.change("import annotations", annotations=many)
    sitting.undo()
    assert sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.state.annotations == ()
    assert again.redo() == "import annotations"
    assert again.state.annotations == many
    again.close()


def test_while_the_disk_fails_changes_wait_in_memory_and_are_written_when_it_is_back(
    slide, monkeypatch
):
    told = []
    sitting = open_sitting(slide, "f" * 32)
    sitting.troubled.connect(told.append)
    sitting.change("conclude", conclusion=Conclusion("tumor"))
    assert sitting.journal.flush()
    real = os.fsync

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sitting.change("conclude", conclusion=Conclusion("normal"))
    assert not sitting.journal.flush(0.5)
    assert "No space left" in told[-1].sentence()
    assert sitting.state.conclusion.path_class == "normal"
    monkeypatch.setattr(os, "fsync", real)
    assert sitting.journal.flush(5)
    assert (told[-1], sitting.trouble) == (None, None)
    sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.state == ReviewState(conclusion=Conclusion("normal"))
    again.close()


def test_a_folder_that_is_taken_away_is_made_again_with_all_that_was_in_it(slide):
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("conclude", conclusion=Conclusion("tumor"))
    assert sitting.journal.flush()
    folder = sitting.journal.path.parent
    for one in folder.iterdir():
        one.unlink()
    folder.rmdir()
    sitting.change("pin", pins=((1.0, 2.0),))
    assert sitting.journal.flush(5)
    sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.state == ReviewState(conclusion=Conclusion("tumor"), pins=((1.0, 2.0),))
    again.close()


class Reluctant:
    """A raw file that takes three bytes at a time, as a file on a network may."""

    def __init__(self, file):
        self.file, self.fileno, self.close = file, file.fileno, file.close

    def write(self, data):
        return self.file.write(data[:3])


def test_a_short_write_goes_on_where_it_ended(slide):
    sitting = open_sitting(slide, "f" * 32)
    sitting.change("conclude", conclusion=Conclusion("tumor"))
    assert sitting.journal.flush()
    sitting.change("conclude", conclusion=Conclusion("normal"))
    assert sitting.journal.flush()
    assert sitting.journal._file is not None
    sitting.journal._file = Reluctant(sitting.journal._file)
    sitting.change("conclude", conclusion=Conclusion("tumor", "all of this line arrives"))
    assert sitting.journal.flush()
    last = sitting.journal.path.read_bytes().splitlines(keepends=True)[-1]
    assert last.endswith(b"\n")
    assert b"all of this line arrives" in last
    sitting.close()
    again = open_sitting(slide, "f" * 32)
    assert again.state.conclusion == Conclusion("tumor", "all of this line arrives")
    again.close()

"""The hash chain of a journal, and the head file that records its last link.

The chain has no key: whoever can write the files can write another chain. It detects lines that
were edited, removed, moved or lost; a link noted elsewhere vouches for all lines before it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from napari_hagmil.files import replacing
from napari_hagmil.review.record import decode_lines, is_chained, last_link
from napari_hagmil.untrusted import read_regular

#: Suffix of the file with the number of lines and the last link.
HEAD = ".head"

#: Between name and date of a journal that was set aside.
UNTIL = ".until-"

_MAX_HEAD = 200


def write_head(journal: Path, n_lines: int, link: str) -> None:
    """Record how many lines a journal has, and the link of the last."""
    with replacing(journal.with_suffix(HEAD)) as draft:
        draft.write_text(f"{n_lines} {link}\n", encoding="ascii")


def forget_head(journal: Path) -> None:
    """Remove the head of a journal that is about to be replaced by a shorter one."""
    journal.with_suffix(HEAD).unlink(missing_ok=True)


def lacks_lines(journal: Path, data: bytes) -> bool:
    """Whether lines are missing from the end of a journal, or it is a different journal.

    A journal may have more lines than its head says, where a process was killed between the two;
    one of an earlier version has no links to compare.
    """
    try:
        count, link = read_regular(journal.with_suffix(HEAD), _MAX_HEAD).decode("ascii").split()
        n_lines = int(count)
    except (OSError, ValueError):
        return False
    if not is_chained(data) or n_lines < 1:
        return False
    lines = data.split(b"\n")[:-1]
    return len(lines) < n_lines or last_link(lines[n_lines - 1] + b"\n") != link


def set_aside(journal: Path, data: bytes) -> None:
    """Keep the lines of a journal under another name, before a shorter one takes its place."""
    name = f"{journal.stem}{UNTIL}{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
    with replacing(journal.with_name(name), durable=True) as draft:
        draft.write_bytes(data)


def is_journal(path: Path) -> bool:
    """Whether a file is a journal by its name, in use or set aside."""
    return path.suffix == ".jsonl" or UNTIL in path.name


def check_journal(path: Path) -> str:
    """Say what is wrong with a journal, as a clause; "" when it is intact.

    Raises
    ------
    OSError, ValueError
        When it cannot be read.
    """
    data = read_regular(path, _MAX_JOURNAL)
    records, rest = decode_lines(data)
    if rest:
        what = "is damaged, was changed or does not follow" if b"\n" in rest else "is cut off"
        return f"line {len(records) + 1} {what}"
    if records and not is_chained(data):
        return "has no chain: an earlier version wrote it, or its chain was removed"
    if path.suffix == ".jsonl" and lacks_lines(path, data):
        return "lacks lines at its end, or is another than its head says"
    return ""


_MAX_JOURNAL = 2**30

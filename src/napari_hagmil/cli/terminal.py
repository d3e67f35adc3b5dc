"""Output on the terminal: lines, JSON, errors and progress, free of control characters.

File names and labels come from others, and a terminal obeys escape sequences in them.
"""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

from napari_hagmil.untrusted import json_text

if TYPE_CHECKING:
    from tqdm import tqdm

#: Controls, invisible format characters (text direction among them), bytes that are no text, and
#: line breaks of Unicode's own.
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: object) -> str:
    r"""One line of `text`, with control characters written out as ``\x1b`` or ``\u202e``."""
    return "".join(
        _code(character) if unicodedata.category(character) in _UNSAFE else character
        for character in str(text)
    )


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def bear_any_encoding() -> None:
    r"""Let stdout and stderr escape characters that their encoding lacks (× as ``\xd7``)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(line: object, *, above: tqdm[Any] | None = None) -> None:
    """Print a line on stdout, above a progress bar if there is one."""
    if above is None:
        print(printable(line), flush=True)
    else:
        above.write(printable(line), file=sys.stdout)
        sys.stdout.flush()


def say_again(line: object, before: str) -> str:
    """Print a line in place of the one before, or below it where the output is no terminal.

    Returns
    -------
    str
        What is shown now, to be handed over with the next line; the same line is not said twice.
    """
    text = printable(line)
    if text == before:
        return before
    if before and sys.stdout.isatty():
        rows = -(-len(before) // get_terminal_size().columns)
        print(f"\x1b[{rows}A\x1b[J", end="")
    print(text, flush=True)
    return text


def answer(document: object, *, indent: int | None = None) -> None:
    """Print the answer of ``--json``: readable text, control characters as JSON escapes them."""
    text = json_text(document, indent=indent)
    print("".join(map(_in_json, text)), flush=True)


def _in_json(character: str) -> str:
    # A line break stands between the lines of an indented document, never inside a string.
    if character == "\n" or unicodedata.category(character) not in _UNSAFE:
        return character
    return json.dumps(character)[1:-1]


def complain(line: object) -> None:
    """Print one line on stderr, after the program's name."""
    print(f"napari-hagmil: {printable(line)}", file=sys.stderr)


def can_ask() -> bool:
    """Whether a user can be asked: stdin and stderr are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, default: str) -> str:
    """Ask on stderr, since stdout may go to a file; an empty answer is the default."""
    print(f"{printable(question)} [{printable(default)}] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() or default


def progress(unit: str, total: int | None = None) -> tqdm[Any]:
    """A progress bar on stderr, shown on a terminal only and gone when it is done."""
    from tqdm import tqdm

    return tqdm(total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False)


def percent() -> tqdm[Any]:
    """A progress bar that `move_to` moves."""
    return progress("%", 100)


def move_to(bar: tqdm[Any], share: float) -> None:
    """Set a bar of `percent` to a share, 0 to 1."""
    bar.update(100 * share - bar.n)

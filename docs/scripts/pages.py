"""Put a table that a script computes into its page of docs/results, in the place of the old one."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from napari_hagmil.files import replacing


def put_table(page: Path, table: str) -> None:
    """Replace the first table of a page whose header is the same; a new page is the table alone.

    Parameters
    ----------
    page : Path
    table : str
        In Markdown.
    """
    lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    new = table.strip().splitlines()
    start = next((i for i, line in enumerate(lines) if line == new[0]), len(lines))
    rest = lines[start + sum(1 for _ in takewhile(is_row, lines[start:])) :]
    with replacing(page) as draft:
        draft.write_text("\n".join([*lines[:start], *new, *rest]) + "\n", encoding="utf-8")


def is_row(line: str) -> bool:
    """Whether a line belongs to a table."""
    return line.startswith("|")

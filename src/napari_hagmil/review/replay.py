"""PreparedSlide a journal back, as far as it is whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from napari_hagmil.review.history import History
from napari_hagmil.review.lines import decode_lines
from napari_hagmil.review.record import annotation_from
from napari_hagmil.review.state import Annotation, ReviewState


def read_journal(path: Path) -> tuple[History, Annotation | None, bool]:
    """What a journal leads to.

    Returns
    -------
    history : History
        As far as the journal can be read.
    sketch : Annotation or None
        An outline that was never finished.
    damaged : bool
        Whether more than a torn last line could not be read.
    """
    history, sketch = History(ReviewState()), None
    try:
        data = path.read_bytes()
    except OSError:
        return history, None, True
    records, rest = decode_lines(data)
    for record in records:
        try:
            history.take(record)
        except (ValueError, KeyError, TypeError):
            return history, None, True
        if record["kind"] == "sketch":
            drawn = record["annotation"]
            sketch = annotation_from(drawn) if drawn else None
        elif record["kind"] == "change":
            sketch = None
    return history, sketch, b"\n" in rest


def set_aside(path: Path) -> str:
    """Keep a copy of a damaged journal before it is written over."""
    copy = path.with_name(f"{path.stem}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    try:
        copy.write_bytes(path.read_bytes())
    except OSError:
        return f"the journal {path.name} is damaged; what could be read of it was restored"
    return (
        f"the journal {path.name} is damaged; what could be read of it was restored, and the "
        f"whole file kept as {copy.name}"
    )

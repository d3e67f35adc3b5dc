"""One sitting: the state, its undo stack, and the journal that never loses a change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_hagmil.errors import JournalError, ReviewHeldError
from napari_hagmil.review.history import History, Step
from napari_hagmil.review.journal import Journal
from napari_hagmil.review.journal_files import Shelf
from napari_hagmil.review.lock import held_by
from napari_hagmil.review.record import Record, annotation_record
from napari_hagmil.review.replay import read_journal
from napari_hagmil.review.state import Annotation, ReviewState

SCHEMA = "napari-hagmil/review/1"

#: A journal longer than this is made as short as its undo stack allows.
MAX_LINES, MAX_BYTES = 2_000, 16 * 2**20


@dataclass(frozen=True, slots=True)
class Offer:
    """The review of an earlier content of the same file.

    Attributes
    ----------
    path : Path
        Its journal.
    state : ReviewState
        How it ended.
    written : datetime
        When it was last written.
    """

    path: Path
    state: ReviewState
    written: datetime


class Sitting:
    """Holds the state of one review and is the only way to change it.

    Without a journal it lives in memory only. Signals come on the thread that calls, but
    `troubled` comes on the journal's.

    Parameters
    ----------
    history : History, optional
        What was restored.
    journal : Journal, optional
        Where every change goes.
    slide : dict
        What the journal's first line says of the slide.

    Attributes
    ----------
    sketch : Annotation or None
        The outline in the making, already in the journal, not yet in the state.
    trouble : str
        A sentence, while changes cannot be saved or made; else empty.
    notes : tuple of str
        What was met when the journal was read.
    """

    changed = Signal(object, str)
    troubled = Signal(str)

    def __init__(
        self,
        history: History | None = None,
        journal: Journal | None = None,
        *,
        slide: Record | None = None,
    ) -> None:
        self.history = history or History(ReviewState())
        self.journal = journal
        self.sketch: Annotation | None = None
        self.trouble = ""
        self.notes: tuple[str, ...] = ()
        self.shelf: Shelf | None = None
        self._slide: Record = slide or {}
        self._key = ""
        if journal is not None:
            journal.on_problem = self._tell

    @property
    def state(self) -> ReviewState:
        """What holds now."""
        return self.history.state

    @property
    def undo_name(self) -> str:
        """What `undo` would take back; empty when there is nothing."""
        return self.history.undo_name

    @property
    def redo_name(self) -> str:
        """What `redo` would bring again; empty when there is nothing."""
        return self.history.redo_name

    def change(self, action: str, *, coalesce: str = "", **fields: Any) -> ReviewState:
        """Give fields of the state new values, as one step that can be undone.

        Parameters
        ----------
        action : str
            What was done, as undo names it: "accept region".
        coalesce : str
            Changes in a row with the same key become one step: letters of a comment, the
            way of a slider.
        **fields
            Fields of `ReviewState`. When all are as before nothing happens.

        Raises
        ------
        ReviewHeldError
            When another window has the review in hand.
        JournalError
            When no journal can be made.
        """
        new = replace(self.state, **fields)
        if new == self.state:
            return new
        again = bool(coalesce) and coalesce == self._key and not self.history.redo_name
        step = Step(action, new, _now())
        self._write(self.history.step_record(step, replaces=again))
        self.history.push(step, replaces=again)
        self._key = coalesce
        self._tidy()
        self.changed.emit(new, action)
        return new

    def undo(self) -> str:
        """Take the last change back; its name, empty when there was none."""
        return self._move("undo", self.undo_name)

    def redo(self) -> str:
        """Bring back what was undone last; its name, empty when there was none."""
        return self._move("redo", self.redo_name)

    def keep_sketch(self, annotation: Annotation | None) -> None:
        """Put an outline in the making into the journal; None when it was dropped.

        `change` with the finished annotation forgets the sketch.
        """
        if annotation != self.sketch:
            record = None if annotation is None else annotation_record(annotation)
            self._write({"kind": "sketch", "at": _now(), "annotation": record})
            self.sketch = annotation

    @property
    def held_by(self) -> str:
        """Who else has this review in hand, as a sentence; empty when nobody has."""
        if self.journal is None or (self.journal.started and not self.journal.lost):
            return ""
        other = self.journal.lock.holder()
        return held_by(other) if other else ""

    def offers(self) -> list[Offer]:
        """Reviews of this file from before its content changed, latest first."""
        found = []
        for path in self.shelf.earlier if self.shelf else ():
            history, _, _ = read_journal(path)
            if history.state != ReviewState():
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                found.append(Offer(path, history.state, written))
        return found

    def accept_offer(self, offer: Offer) -> None:
        """Go on with the review of the earlier content, as one step that can be undone."""
        names = ReviewState.__dataclass_fields__
        fields = {name: getattr(offer.state, name) for name in names}
        self.change("take over the earlier review", **fields)

    def close(self) -> bool:
        """Write what waits and let go; False when something could not be saved."""
        return self.journal.close() if self.journal else True

    def _move(self, kind: str, name: str) -> str:
        if name:
            self._write({"kind": kind, "at": _now()})
            self.history.undo() if kind == "undo" else self.history.redo()
            self._key = ""
            self.changed.emit(self.state, f"{kind} {name}")
        return name

    def _write(self, record: Record) -> None:
        if self.journal is None:
            return
        if self.journal.lost:
            raise ReviewHeldError(held_by(self.journal.lock.holder()))
        if not self.journal.started:
            self.begin()
        self.journal.append(record)

    def begin(self, *, by_force: bool = False) -> None:
        """Take the journal in hand; the first change does it too.

        Raises
        ------
        ReviewHeldError
            When another window holds it, or has written it since this one opened.
        JournalError
            When it cannot be made.
        """
        if self.journal is None:
            return
        fresh = self.shelf is not None and self.shelf.found is None
        if fresh and self.journal.path.exists() and not by_force:
            raise ReviewHeldError(
                "this slide has been reviewed in another window since it was opened here; "
                "open it again to go on from there"
            )
        try:
            self._start(by_force=by_force)
        except OSError as error:
            raise JournalError(
                f"the review cannot be saved: {self.journal.path.parent} must be writable "
                f"({error.strerror or error}); make room there, or copy the slide elsewhere"
            ) from error
        self._tell("")

    def take_over(self) -> None:
        """Go on here with a review that another window has in hand; that one stops writing.

        Raises
        ------
        JournalError
            When it cannot be written.
        """
        if self.journal is None:
            return
        self.journal.close()
        path = self.journal.path
        self.journal = Journal(path, on_problem=self._tell)
        if path.exists():
            self.history, self.sketch, _ = read_journal(path)
        self.begin(by_force=True)
        self.changed.emit(self.state, "take over")

    def _start(self, *, by_force: bool) -> None:
        """Start the journal, elsewhere if it must be."""
        assert self.journal is not None
        try:
            self.journal.start(self._records(), by_force=by_force)
        except OSError:
            if self.shelf is None or self.journal.path == self.shelf.fallback:
                raise
            self.journal = Journal(self.shelf.fallback, on_problem=self._tell)
            self.journal.start(self._records(), by_force=by_force)

    def _records(self) -> list[Record]:
        return [{"kind": "slide", "schema": SCHEMA, **self._slide}, *self.history.records()]

    def _tidy(self) -> None:
        self.sketch = None
        journal = self.journal
        if journal and (journal.n_lines > MAX_LINES or journal.n_bytes > MAX_BYTES):
            journal.replace(self._records())

    def _tell(self, sentence: str) -> None:
        self.trouble = sentence
        self.troubled.emit(sentence)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

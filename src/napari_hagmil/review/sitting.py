"""One review, open in one window: its state, its undo stack and its journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_hagmil.errors import JournalError, Problem, ReviewHeldError, system_reason
from napari_hagmil.review.classes import QUPATH_CLASSES, PathClass
from napari_hagmil.review.history import History, Replay, Step, read_journal
from napari_hagmil.review.journal import Journal
from napari_hagmil.review.lock import held_error
from napari_hagmil.review.record import Record, annotation_record
from napari_hagmil.review.shelf import Shelf, keep_damaged, shelf_of
from napari_hagmil.review.state import Annotation, ReviewState

SCHEMA = "napari-hagmil/review/1"

#: A journal longer than this is rewritten, as short as its undo stack allows.
MAX_LINES, MAX_BYTES = 2_000, 16 * 2**20


@dataclass(frozen=True, slots=True)
class Offer:
    """The review of an earlier content of the same file, offered to be continued.

    Attributes
    ----------
    path : Path
        Its journal.
    state : ReviewState
        Its last state.
    written : datetime
        When it was last written.
    """

    path: Path
    state: ReviewState
    written: datetime


class Sitting:
    """Holds the state of one review, and is the only way to change it.

    Without a journal it lives in memory only. `changed` is emitted on the calling thread,
    `troubled` on the journal's.

    Parameters
    ----------
    history : History, optional
        As it was restored from the journal.
    journal : Journal, optional
        Where every change goes.
    slide : dict
        Name and fingerprint, for the first line of the journal.
    whole : bytes
        The journal's content where it can be appended to.

    Attributes
    ----------
    sketch : Annotation or None
        A drawing that is not finished: in the journal already, but not in the state.
    trouble : Problem or None
        What keeps changes from being made or saved.
    notes : tuple of Problem
        What was found when the journal was read.
    shelf : Shelf or None
        The journal files of the slide.
    """

    changed = Signal(object, str)
    troubled = Signal(object)

    def __init__(
        self,
        history: History | None = None,
        journal: Journal | None = None,
        *,
        slide: Record | None = None,
        whole: bytes = b"",
    ) -> None:
        self.history = history or History(ReviewState())
        self.journal = journal
        self.sketch: Annotation | None = None
        self.trouble: Problem | None = None
        self.notes: tuple[Problem, ...] = ()
        self.shelf: Shelf | None = None
        self._slide: Record = slide or {}
        self._whole = whole
        self._key = ""
        if journal is not None:
            journal.on_problem = self._report

    @property
    def state(self) -> ReviewState:
        """The current state."""
        return self.history.state

    @property
    def undo_name(self) -> str:
        """What `undo` takes back; empty when there is nothing."""
        return self.history.undo_name

    @property
    def redo_name(self) -> str:
        """What `redo` brings back; empty when there is nothing."""
        return self.history.redo_name

    def change(self, action: str, *, coalesce: str = "", **fields: Any) -> ReviewState:
        """Give fields of the state new values, as one step that can be undone.

        Parameters
        ----------
        action : str
            What was done, as undo names it: "accept region".
        coalesce : str
            Consecutive changes with the same key become one step: the letters of a comment,
            the positions of a slider.
        **fields
            Fields of `ReviewState`. Nothing happens when all are as before.

        Raises
        ------
        ReviewHeldError
            When another window holds the review.
        JournalError
            When no journal can be written.
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
        """Take the last change back, and return its name; empty when there was none."""
        return self._move("undo", self.undo_name)

    def redo(self) -> str:
        """Bring back what was undone last, and return its name; empty when there was none."""
        return self._move("redo", self.redo_name)

    def keep_sketch(self, annotation: Annotation | None) -> None:
        """Put an unfinished drawing into the journal; None when it was dropped.

        `change` with the finished annotation forgets the sketch.
        """
        if annotation != self.sketch:
            record = None if annotation is None else annotation_record(annotation)
            self._write({"kind": "sketch", "at": _now(), "annotation": record})
            self.sketch = annotation

    @property
    def held_by(self) -> Problem | None:
        """Which other window holds this review; None when there is none."""
        if self.journal is None or (self.journal.started and not self.journal.lost):
            return None
        other = self.journal.lock.holder()
        return held_error(other).problem if other else None

    @property
    def lost(self) -> bool:
        """Whether another window has taken the review over since it was opened here."""
        return self.journal is not None and self.journal.lost

    def offers(self) -> list[Offer]:
        """Reviews of this file from before its content changed, latest first."""
        found = []
        for path in self.shelf.earlier if self.shelf else ():
            state = read_journal(path).history.state
            if state != ReviewState():
                written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                found.append(Offer(path, state, written))
        return found

    def accept_offer(self, offer: Offer) -> None:
        """Take over the state of an earlier review, as one step that can be undone."""
        names = ReviewState.__dataclass_fields__
        fields = {name: getattr(offer.state, name) for name in names}
        self.change("take over the earlier review", **fields)

    def close(self) -> bool:
        """Save what waits and release the journal; False when something could not be saved."""
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
            raise held_error(self.journal.lock.holder())
        if not self.journal.started:
            self.begin()
        self.journal.append(record)

    def begin(self, *, by_force: bool = False) -> None:
        """Start writing the journal; the first change does so, too.

        Raises
        ------
        ReviewHeldError
            When another window holds it, or has written it since it was opened here.
        JournalError
            When it cannot be written.
        """
        if self.journal is None:
            return
        fresh = self.shelf is not None and self.shelf.found is None
        if fresh and self.journal.path.exists() and not by_force:
            raise ReviewHeldError(
                "this slide",
                "has been reviewed in another window since it was opened here",
                remedy="open it again to go on from there",
            )
        try:
            self._start(by_force=by_force)
        except OSError as error:
            raise JournalError(
                "the review",
                f"cannot be saved: {self.journal.path.parent} must be writable "
                f"({system_reason(error)})",
                remedy="make room there, or copy the slide elsewhere",
            ) from error
        self._report(None)

    def take_over(self) -> None:
        """Go on here with a review that another window holds; that one stops writing.

        Raises
        ------
        JournalError
            When it cannot be written.
        """
        if self.journal is None:
            return
        self.journal.close()
        path = self.journal.path
        self.journal = Journal(path, on_problem=self._report)
        if path.exists():
            replay = read_journal(path)
            self.history, self.sketch = replay.history, replay.sketch
            self._whole = replay.whole
        self.begin(by_force=True)
        self.changed.emit(self.state, "take over")

    def _start(self, *, by_force: bool) -> None:
        """Start the journal, in the user's data folder where it cannot be beside the slide."""
        assert self.journal is not None
        try:
            self.journal.start(self._records(), whole=self._whole, by_force=by_force)
        except OSError:
            if self.shelf is None or self.journal.path == self.shelf.fallback:
                raise
            self.journal = Journal(self.shelf.fallback, on_problem=self._report)
            self.journal.start(self._records(), by_force=by_force)

    def _records(self) -> Iterator[Record]:
        return chain([{"kind": "slide", "schema": SCHEMA, **self._slide}], self.history.records())

    def _tidy(self) -> None:
        self.sketch = None
        journal = self.journal
        # One that cannot be shorter would be written again, and set aside, with every change.
        if journal and (
            journal.n_lines > MAX_LINES or journal.n_bytes > max(MAX_BYTES, 2 * journal.n_begun)
        ):
            journal.shorten(self._records())

    def _report(self, problem: Problem | None) -> None:
        self.trouble = problem
        self.troubled.emit(problem)


def open_sitting(
    slide: Path,
    fingerprint: str,
    *,
    user_folder: Path | None = None,
    beside_slide: bool = True,
    classes: tuple[PathClass, ...] = QUPATH_CLASSES,
    reader: str = "",
) -> Sitting:
    """Open the review of a slide as it was left, including undo; or begin one.

    Parameters
    ----------
    slide : Path
        The slide's file or folder.
    fingerprint : str
        Of its content.
    user_folder : Path, optional
        Where the journal goes when the slide's folder cannot be written.
    beside_slide : bool
        Whether it goes beside the slide, where that folder is writable.
    classes : tuple of PathClass
        The classes offered in a new review.
    reader : str
        Whose review; empty: the one that everybody shares.
    """
    try:
        shelf = shelf_of(
            slide, fingerprint, user_folder=user_folder, beside_slide=beside_slide, reader=reader
        )
    except OSError as error:
        sitting = Sitting(History(ReviewState(classes=classes)))
        sitting.trouble = Problem(
            "the review", f"cannot be saved ({error})", remedy="export it before you close"
        )
        return sitting
    replay, notes = Replay(History(ReviewState(classes=classes))), []
    if shelf.found is not None:
        replay = read_journal(shelf.found)
        if replay.damaged:
            notes.append(keep_damaged(shelf.found))
    sitting = Sitting(
        replay.history,
        Journal(shelf.journal),
        slide={"name": slide.name, "fingerprint": fingerprint},
        whole=replay.whole,
    )
    sitting.shelf, sitting.notes = shelf, tuple(notes)
    if shelf.found is not None and not sitting.held_by:
        _resume(sitting, replay.sketch)
    return sitting


def _resume(sitting: Sitting, sketch: Annotation | None) -> None:
    """Start writing, and keep as an annotation what was never finished."""
    try:
        sitting.begin()
        if sketch is not None and sketch.complete:
            drawn = (*sitting.state.annotations, sketch)
            sitting.change("restore the unfinished outline", annotations=drawn)
    except (ReviewHeldError, JournalError) as error:
        sitting.trouble = error.problem


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

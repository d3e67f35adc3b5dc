"""Where the reader of the open slide looks: kept with consent, and compared with the cascade."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from psygnal import Signal

from napari_hagmil.errors import Problem, ReviewHeldError, system_reason
from napari_hagmil.quadtree import Nodes
from napari_hagmil.review.shelf import Shelf
from napari_hagmil.session.session import Session
from napari_hagmil.slide import Slide
from napari_hagmil.viewing import (
    SeenCompared,
    UnseenPlace,
    View,
    ViewRecorder,
    compare_seen,
    find_fixations,
)
from napari_hagmil.viewing.fixations import write_fixations
from napari_hagmil.viewing.recorder import forget_path, places_of, tables_of
from napari_hagmil.viewing.table import decode_views, read_table, write_table


class Viewing:
    """Keeps the viewport's path over the slide that a session has open, while its reader consents.

    Parameters
    ----------
    session : Session
        Its slide is looked at.
    consents : callable
        Whether the reader consents now; asked when a slide opens, and by `refresh`.

    Attributes
    ----------
    trouble : Problem or None
        Why nothing is kept, or not all, although the reader consents.

    Signals
    -------
    begun
        What is in view is kept from now on.
    """

    begun = Signal()

    def __init__(self, session: Session, consents: Callable[[], bool] = lambda: False) -> None:
        self.session, self.consents = session, consents
        self.trouble: Problem | None = None
        self._recorder: ViewRecorder | None = None
        self._at = -1
        session.slide_changed.connect(self._open)
        self.refresh()

    @property
    def recording(self) -> bool:
        """Whether what is in view is kept."""
        return self._recorder is not None

    def refresh(self) -> None:
        """Begin to keep the path, or end, as the reader consents now."""
        if not self.consents():
            self.close()
        elif self._recorder is None and self._begin():
            self.begun.emit()

    def take(self, view: View) -> None:
        """Note what is in view from now on; nothing without consent."""
        if self._recorder is not None:
            self._recorder.take(view)

    def views(self) -> list[View]:
        """All that is kept of this slide and reader, of earlier sittings too."""
        if self._recorder is not None:
            return self._recorder.views()
        return decode_views(self._kept())[0]

    def compare(self, views: Sequence[View]) -> tuple[SeenCompared, ...]:
        """What was in view and the cascade, depth by depth; empty until the tissue is known."""
        session, tissue = self.session, self._tissue()
        looked_at = {stage.depth: stage.nodes for stage in session.stages}
        return tuple(
            compare_seen(views, grid, session.mpp, nodes, looked_at.get(depth, nodes[:0]))
            for depth, (grid, nodes) in enumerate(zip(session.grids, tissue, strict=False))
        )

    def step(self, by: int, places: tuple[UnseenPlace, ...]) -> UnseenPlace | None:
        """The next of the places, or with −1 the one before; after the last comes the first."""
        if not places:
            return None
        onward = [one for one in places if (one.code - self._at) * by > 0]
        first, last = places[0], places[-1]
        chosen = (onward[0] if by > 0 else onward[-1]) if onward else (first if by > 0 else last)
        self._at = chosen.code
        return chosen

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write the path and its fixations as tables; their paths.

        Raises
        ------
        OutputError
            When they cannot be written.
        """
        views, name = self.views(), self.session.slide.name if self.session.slide else "slide"
        path, fixations = folder / f"{name}.viewing.csv", folder / f"{name}.fixations.csv"
        write_table(path, views)
        write_fixations(fixations, find_fixations(views))
        return path, fixations

    def forget(self) -> None:
        """Delete all that is kept of this slide and reader; what comes now is kept again."""
        self.close()
        shelf = self._shelf()
        if shelf is not None:
            forget_path(shelf)
        self.refresh()

    def close(self) -> None:
        """Write what waits, and keep nothing more."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.close()

    def _open(self, slide: Slide | None) -> None:
        self.close()
        self.trouble, self._at = None, -1
        self.refresh()

    def _shelf(self) -> Shelf | None:
        sitting = self.session.sitting
        return sitting.shelf if sitting is not None else None

    def _kept(self) -> bytes:
        shelf = self._shelf()
        try:
            tables = tables_of(shelf) if shelf is not None else []
            return read_table(tables[0]) if tables else b""
        except (OSError, ValueError):
            return b""

    def _begin(self) -> bool:
        """Begin beside the journal; where that cannot be written, in the user's data folder."""
        shelf = self._shelf()
        if shelf is None:
            return False
        carried, self.trouble = self._kept(), None
        for table in places_of(shelf):
            recorder = ViewRecorder(table, on_problem=self._report)
            try:
                recorder.start(carried)
            except ReviewHeldError:
                self.trouble = Problem(
                    "where you look",
                    "is not kept here: another window keeps it for this slide",
                    remedy="close that window",
                )
                return False
            except (OSError, ValueError) as error:
                reason = system_reason(error) if isinstance(error, OSError) else str(error)
                self.trouble = Problem("where you look", f"cannot be kept ({reason})")
                continue
            self._recorder, self.trouble = recorder, recorder.note
            return True
        return False

    def _report(self, problem: Problem) -> None:
        self.trouble = problem  # on the recorder's thread

    def _tissue(self) -> tuple[Nodes, ...]:
        """The nodes with tissue of each depth; of a run that was read back, once it is known."""
        session = self.session
        if session.shown.tissue:
            return session.shown.tissue
        prepared, grids = session.prepared, session.grids
        if prepared is None or prepared.quadtree.grids[: len(grids)] != grids:
            return ()
        return prepared.quadtree.nodes

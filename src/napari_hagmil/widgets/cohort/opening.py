"""Opening slides of a cohort in the window's own docks, the next one ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from napari.components import ViewerModel
from qtpy.QtCore import QObject, Signal

from napari_hagmil.files import is_there
from napari_hagmil.session import Session
from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.slide import Slide
from napari_hagmil.widgets.focus import focus_canvas
from napari_hagmil.widgets.work import Background

if TYPE_CHECKING:
    from napari_hagmil.widgets.cascade.dock import CascadeDock


class SlideOpening(QObject):  # type: ignore[misc]
    """Opens slides through the HAG-MIL dock, with the review beside it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The window.
    session : Session
        What is open in it.

    Attributes
    ----------
    at : str
        Name of the slide of the cohort that is open; empty while none is.

    Signals
    -------
    arrived : str
        The path of the slide that is open now; empty when none is.
    refused : str
        Why a slide or its result could not be opened, as a sentence.
    """

    arrived = Signal(str)
    refused = Signal(str)

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        super().__init__()
        self.viewer, self.session, self.at = viewer, session, ""
        self._ahead = Background()
        self._dock: CascadeDock | None = None
        self._last: tuple[CohortEntry, float | None] | None = None
        self._before: list[tuple[CohortEntry, float | None]] = []
        session.slide_changed.connect(self._arrive)

    def open(self, entry: CohortEntry, mpp: float | None) -> str:
        """Open a slide with its stored result and its review; why not, as a sentence, or nothing.

        Parameters
        ----------
        entry : CohortEntry
        mpp : float or None
            µm per level-0 px that the run gave slides without one.
        """
        if not is_there(entry.path):
            return (
                f"{entry.path.name} is no longer in {entry.path.parent}: put it back, "
                "or press Find slides…"
            )
        if not self._show(entry, mpp):
            return ""
        if self._last is not None and self._last[0].name != entry.name:
            self._before.append(self._last)
        self._last = (entry, mpp)
        return self._why_no_result(entry)

    def open_before(self) -> None:
        """Open the slide that was open before this one."""
        if self._before and self._show(*self._before[-1]):
            self._last = self._before.pop()

    def open_again(self) -> bool:
        """Open the slide that is open once more; False when the user would rather not."""
        if self._last is not None and self._last[0].name == self.at:
            return self._show(*self._last)
        slide = self.session.slide
        return slide is None or self._cascade_dock().open_to_read(
            self.session.ahead.behind(slide.path)
        )

    def open_ahead(self, entry: CohortEntry, mpp: float | None) -> None:
        """Open a slide in the background, to be there at once when it is asked for."""

        def work() -> Iterator[None]:
            self.session.ahead.open(entry.path, mpp)
            yield None

        # Why it cannot be opened is told when it is asked for.
        self._ahead.when_free(
            lambda: self._ahead.start(
                work,
                on_item=lambda _: None,
                on_done=lambda: None,
                on_cancelled=lambda: None,
                on_error=lambda error: None,
            )
        )

    def close(self) -> None:
        """Follow the session no more."""
        self.session.slide_changed.disconnect(self._arrive, missing_ok=True)
        self._ahead.wait()
        self.session.ahead.drop()

    def _show(self, entry: CohortEntry, mpp: float | None) -> bool:
        dock = self._cascade_dock()
        result = entry.result if entry.has_result else None
        if not dock.open_to_read(entry.path, mpp=mpp, result=result):
            return False
        focus_canvas(dock)
        return True

    def _cascade_dock(self) -> CascadeDock:
        """The window's HAG-MIL dock, with the review beside it."""
        _, dock = self.viewer.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL")
        if dock is not self._dock:
            self._dock = dock
            dock.refused.connect(self.refused)
            dock.open_review()
        found: CascadeDock = dock
        return found

    def _arrive(self, slide: Slide | None) -> None:
        self.arrived.emit(str(self.session.ahead.behind(slide.path)) if slide is not None else "")

    @staticmethod
    def _why_no_result(entry: CohortEntry) -> str:
        """What to know about a slide that is shown without a result of the run."""
        if not entry.state or entry.has_result or entry.result is None:
            return ""
        return f"{entry.name} has no result to show: {entry.reason or entry.state}"

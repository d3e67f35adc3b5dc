"""Small pictures of the slides that a table shows, read in the background."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QIcon

from napari_hagmil.session.cohort.entry import CohortEntry
from napari_hagmil.session.cohort.picture import slide_picture
from napari_hagmil.widgets.review.thumbnails import pixmap
from napari_hagmil.widgets.work import Background

#: Width and height that a picture may have, px.
WIDTH, HEIGHT = 64, 40

#: How many are kept (at most 10 KiB each), and how many may wait.
KEPT, WAITING = 512, 48


class SlideThumbnails(QObject):  # type: ignore[misc]
    """Reads the pictures of slides one after the other, those asked for last first.

    Signals
    -------
    ready : str
        The name of a slide whose picture is there.
    """

    ready = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._work = Background()
        self._known: OrderedDict[str, tuple[CohortEntry, QIcon]] = OrderedDict()
        self._wanted: OrderedDict[str, CohortEntry] = OrderedDict()

    def of(self, entry: CohortEntry) -> QIcon | None:
        """A slide's picture, null where there is none; None, and it is read, if not known.

        One that was read when less was known of the slide is shown until it is read again.
        """
        before, icon = self._known.get(entry.name, (None, None))
        if before is not None:
            self._known.move_to_end(entry.name)
            if _pictured(before) == _pictured(entry):
                return icon
        self._wanted[entry.name] = entry
        self._wanted.move_to_end(entry.name)
        while len(self._wanted) > WAITING:
            self._wanted.popitem(last=False)
        self._go_on()
        return icon

    def forget_all(self) -> None:
        """Read no picture that was asked for, and forget those that were read."""
        self._wanted.clear()
        self._known.clear()

    def close(self) -> None:
        """Stop after the picture that is being read."""
        self._wanted.clear()
        self._work.wait()

    def _go_on(self) -> None:
        if self._wanted and not self._work.busy:
            self._work.start(
                self._read,
                on_item=self._take,
                on_done=self._go_on,
                on_cancelled=lambda: None,
                on_error=lambda error: None,
            )

    def _read(self) -> Iterator[tuple[CohortEntry, NDArray[np.uint8] | None]]:
        # The window's thread may take away the last one at any time.
        with suppress(KeyError):
            while True:
                _, entry = self._wanted.popitem()
                yield entry, slide_picture(entry, WIDTH)

    def _take(self, item: tuple[CohortEntry, NDArray[np.uint8] | None]) -> None:
        entry, pixels = item
        self._known[entry.name] = entry, QIcon() if pixels is None else _icon(pixels)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        self.ready.emit(entry.name)


def _pictured(entry: CohortEntry) -> tuple[object, ...]:
    """What a slide's picture depends on."""
    return entry.path, entry.result, entry.probabilities, entry.is_moved


def _icon(pixels: NDArray[np.uint8]) -> QIcon:
    picture = pixmap(pixels).scaled(
        WIDTH,
        HEIGHT,
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )
    icon = QIcon(picture)
    # Qt tints the icon of a selected row unless it has one for that mode.
    icon.addPixmap(picture, QIcon.Mode.Selected)
    return icon

"""Opening slides, and the next one before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from napari_hagmil.slide import Slide, open_slide
from napari_hagmil.slide.color_profile import Colors

#: A slide's path, µm per pixel where that is given, and the file's time and size.
_Key = tuple[Path, float | None, int, int]


class OpenedAhead:
    """Opens slides for a window; at most one waits, open, to be taken.

    `open` and `take` are made for workers' threads.

    Attributes
    ----------
    colors : "file" or "srgb"
        What slides are shown in from now on.
    stand_in : callable
        Path → path: what is opened in the place of a slide. By default itself.
    """

    def __init__(self) -> None:
        self.stand_in: Callable[[Path], Path] = Path
        self._behind: dict[Path, Path] = {}
        self._lock = Lock()
        self._key: _Key | None = None
        self._slide: Slide | None = None
        self.colors: Colors = "file"

    def open(self, path: Path, mpp: float | None = None) -> None:
        """Open a slide for later; the one that waited until now is closed.

        Raises
        ------
        SlideFormatError
            When it is no slide that can be read.
        """
        key = _key(path, mpp)
        if key == self._key:
            return
        with self._lock:
            self._let_go()
            self._key = key
            try:
                self._slide = self._opened(path, mpp)
            except BaseException:
                self._key = None
                raise

    def take(self, path: Path, mpp: float | None = None) -> Slide:
        """Open a slide, at once where it waits; `open` of it that is under way is waited for."""
        # Another slide's opening, which may be slow, is not.
        if self._key == _key(path, mpp):
            with self._lock:
                slide, self._slide, self._key = self._slide, None, None
            if slide is not None and slide.colors == self.colors:
                return slide
        return self._opened(path, mpp)

    def behind(self, path: Path) -> Path:
        """The slide that was asked for, where `path` stands in for it."""
        return self._behind.get(path, path)

    def drop(self) -> None:
        """Close the slide that waits."""
        with self._lock:
            self._let_go()

    def _opened(self, path: Path, mpp: float | None) -> Slide:
        slide = open_slide(self.stand_in(path), mpp=mpp)
        slide.colors = self.colors
        if slide.path not in self._behind:
            self._behind[slide.path] = path
        # Reads the coarsest level, which napari would otherwise read on the GUI thread.
        slide.view_levels()
        return slide

    def _let_go(self) -> None:
        if self._slide is not None:
            self._slide.close()
        self._slide = self._key = None


def _key(path: Path, mpp: float | None) -> _Key | None:
    """None where the file cannot be looked at."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return path, mpp, stat.st_mtime_ns, stat.st_size

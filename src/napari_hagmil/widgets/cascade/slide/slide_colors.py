"""The slide as its numbers are, or in sRGB by its colour profile, as the user prefers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtpy.QtWidgets import QCheckBox

from napari_hagmil.slide import Slide
from napari_hagmil.slide.color_profile import Colors
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.preferences import on_change, preference, set_preference
from napari_hagmil.widgets.style import explain
from napari_hagmil.widgets.work import Background

_TIP = (
    "Show the slide in sRGB by its colour profile. For the eye alone: the model sees the numbers "
    "of the file, unless its bundle says otherwise"
)


class SlideColors:
    """Keeps the slide's layer in the colours that are preferred.

    Parameters
    ----------
    context : CascadeContext
        Whose slide is shown.
    box : QCheckBox
        Chooses them; off where the slide has no profile.
    """

    def __init__(self, context: CascadeContext, box: QCheckBox) -> None:
        self.context, self.box = context, box
        self._work = Background()
        box.setChecked(preference("display", "srgb", False))
        context.session.ahead.colors = self._wanted
        box.toggled.connect(self._chosen)
        self._stop = on_change("display", self._preferred)
        self.show_slide(context.session.slide)

    @property
    def _wanted(self) -> Colors:
        return "srgb" if self.box.isChecked() else "file"

    def show_slide(self, slide: Slide | None) -> None:
        """Say whether a slide that is open now has a profile."""
        profile = slide.color_profile if slide else None
        self.box.setEnabled(profile is not None)
        missing = "The slide has no colour profile that can be used" if slide else "Open a slide"
        explain(self.box, f"{_TIP}. {profile.name}" if profile else missing)
        # One that another window, or the reader of napari's own menu, has opened.
        if slide is not None and slide.colors != self._wanted:
            self._apply()

    def abandon(self) -> None:
        """Hear no more of levels that are being made."""
        self._work.forget()

    def close_work(self) -> None:
        """Stop following the preference."""
        self._stop()
        self._work.wait()

    def _preferred(self) -> None:
        """Follow the page of preferences."""
        self.box.setChecked(preference("display", "srgb", False))

    def _chosen(self, on: bool) -> None:
        set_preference("display", "srgb", on)
        self._apply()

    def _apply(self) -> None:
        session = self.context.session
        session.ahead.colors = colors = self._wanted
        if session.slide is not None:
            self._work.when_free(lambda: self._make(session.slide, colors))

    def _make(self, slide: Slide | None, colors: Colors) -> None:
        """Make the levels in a worker: the coarsest is in memory, and converted whole."""
        if slide is None or slide.colors == colors:
            return
        slide.colors = colors

        def work() -> Iterator[Any]:
            from napari_hagmil.slide.lazy import lazy_levels  # brings dask

            yield lazy_levels(slide.view_levels())

        self._work.start(
            work,
            on_item=lambda levels: self._show(slide, levels),
            on_done=lambda: None,
            on_cancelled=lambda: None,
            on_error=lambda error: None,
        )

    def _show(self, slide: Slide, levels: Any) -> None:
        if slide is self.context.session.slide:
            self.context.slide_layers.show_levels(levels)
            self.context.session.colors_changed.emit(slide.colors)

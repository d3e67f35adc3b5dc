"""Where you looked, where it looked: the reader's path beside the cascade's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari.layers import Layer
from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QPushButton,
)

from napari_hagmil.errors import HagmilError
from napari_hagmil.plugin.seen_layer import seen_layer
from napari_hagmil.session import error_sentence
from napari_hagmil.session.numbers import counted, duration
from napari_hagmil.viewing import SeenCompared, View, unseen_places
from napari_hagmil.viewing.view import seconds_in_view
from napari_hagmil.widgets.asking import Question, ask
from napari_hagmil.widgets.cascade.camera import (
    centre_on,
    magnification_shown,
    set_magnification,
    view_rectangle,
)
from napari_hagmil.widgets.cascade.context import CascadeContext
from napari_hagmil.widgets.cascade.why.seen_panel import SeenPanel, depth_label
from napari_hagmil.widgets.preferences import keeps_viewing, on_change, set_preference
from napari_hagmil.widgets.style import (
    QUIET_COLOR,
    Section,
    explain,
    show_text,
    text_label,
)

#: Milliseconds between two updates while a path is kept and the section is seen.
_AGAIN = 3000

_CONSENT = Question(
    "Keep where you look?",
    "May HAG-MIL keep which part of each slide is on your screen, at which magnification and when?",
    "It is kept as a table beside the review on this disk, for every slide from now on, until you "
    "turn it off here. It is sent nowhere. Whoever can read that folder can read how you worked. "
    "You can delete it here, slide by slide.",
    "Keep it",
    "Do not keep it",
)

_DELETE = Question(
    "Delete?",
    "Delete where you looked on this slide?",
    "The table and its seal are deleted; the review stays.",
    "Delete",
    "Leave it",
)

_OFF = "Off: nothing about your view is kept."
_NO_TISSUE = "Once a model is ready or the cascade has run, what both saw is compared here."


class LookedSection(Section):
    """Keeps where the reader looks, and compares it with where the cascade looked.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__("Where you looked")
        self.context, self.viewing = context, context.follower.viewing
        self.found: tuple[SeenCompared, ...] = ()
        self._stale = False
        self._map: Layer | None = None
        self._lay_out()
        self._connect()
        self._timer = QTimer(self)
        self._timer.setInterval(_AGAIN)
        self._timer.timeout.connect(self._show_while_seen)
        self._timer.start()
        self.show_state()

    def show_state(self) -> None:
        """Show what is kept now, and how it compares."""
        self.keep.blockSignals(True)
        self.keep.setChecked(keeps_viewing())
        self.keep.blockSignals(False)
        views = self.viewing.views() if self.context.session.slide is not None else []
        self.note.setText(self._note(views))
        self.found = self.viewing.compare(views) if views else ()
        self._stale = False
        self._show_depths()
        self._show_figures()
        self._draw_map()
        for widget in (self.replay, self.save, self.delete):
            widget.setEnabled(bool(views))

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Compare what was not compared while nobody saw it."""
        super().showEvent(event)
        if self._stale:
            self.show_state()

    def step(self, by: int) -> None:
        """Go to the next place, or the one before, that neither has seen at high power."""
        self.show_state()
        if not self.found:
            show_text(self.said, self.note.text() if not keeps_viewing() else _NO_TISSUE)
            return
        viewer, mpp = self.context.viewer, self.context.session.mpp
        last = self.found[-1]
        seen, times = view_rectangle(viewer, mpp), magnification_shown(viewer) / last.magnification
        places = unseen_places(last, min(seen.height, seen.width) * times)
        place = self.viewing.step(by, places)
        at = depth_label(last, mpp)
        if place is None:
            show_text(self.said, f"Nothing is left: one of you has seen all the tissue at {at}.")
            return
        set_magnification(viewer, last.magnification)
        centre_on(viewer, (place.y, place.x), mpp)
        left = sum(one.patches for one in places)
        n = places.index(place) + 1
        patches = counted(left, "patch")
        show_text(self.said, f"{n} of {len(places)} views; {patches} unseen by both at {at}.")

    def play(self) -> None:
        """Show the path again, or stop doing so."""
        if not self.context.follower.replay():
            show_text(self.said, "There is nothing to replay: no path of this slide is kept.")
        self._show_replaying()

    def close_work(self) -> None:
        """Stop following; the layer goes with the section that explains it."""
        self._timer.stop()
        self._unwatch()
        self.context.follower.stop()
        self.found = ()
        self._draw_map()

    def _lay_out(self) -> None:
        self.keep = QCheckBox("Keep where I look")
        explain(self.keep, "A table beside the review: what was in view, how large, and when")
        self.note = text_label(_OFF, color=QUIET_COLOR)
        self.depth = QComboBox()
        explain(self.depth, "The magnification that the pictures and the map are of")
        self.on_map = QCheckBox("On the map")
        explain(self.on_map, "Colour the tissue of this magnification by who has seen it")
        row = QHBoxLayout()
        row.addWidget(self.depth, 1)
        row.addWidget(self.on_map)
        self.panel = SeenPanel()
        self.said = text_label(color=QUIET_COLOR)
        self.unseen = QPushButton("Next that neither has seen")
        explain(self.unseen, "Go through the tissue unseen at high power (Alt-U, Alt-Shift-U)")
        self.add(self.keep, self.note, self.panel)
        self.body.addLayout(row)
        self.add(self.unseen, self.said)
        self.body.addLayout(self._buttons())

    def _buttons(self) -> QHBoxLayout:
        self.replay, self.save, self.delete = (
            QPushButton(name) for name in ("Replay", "Save…", "Delete…")
        )
        explain(self.replay, "Show the path again, four times as fast (Alt-R)")
        explain(self.save, "Write the path and its fixations as tables into a folder")
        explain(self.delete, "Delete what is kept of this slide")
        row = QHBoxLayout()
        for button in (self.replay, self.save, self.delete):
            row.addWidget(button)
        return row

    def _connect(self) -> None:
        context = self.context
        self.keep.toggled.connect(self._take_consent)
        self.depth.activated.connect(lambda _: self._chosen())
        self.on_map.toggled.connect(lambda _: self._draw_map())
        self.unseen.clicked.connect(lambda: self.step(1))
        self.replay.clicked.connect(self.play)
        self.save.clicked.connect(self._save)
        self.delete.clicked.connect(self._delete)
        connect = context.links.connect
        connect(context.session.finished, lambda _: self._changed())
        connect(context.session.slide_changed, self._forget)
        connect(context.follower.replay_ended, self._show_replaying)
        self._unwatch = on_change("privacy", self._consent_changed)

    def _take_consent(self, on: bool) -> None:
        """Ask before anything is kept; turning it off asks nothing."""
        if on and not ask(self, _CONSENT):
            self.show_state()
            return
        set_preference("privacy", "viewing", on)
        self._consent_changed()

    def _consent_changed(self) -> None:
        self.viewing.refresh()
        self.show_state()

    def _forget(self, _slide: object) -> None:
        show_text(self.said, "")
        self.found = ()
        self._draw_map()
        self._changed()

    def _changed(self) -> None:
        """Show what is new where it is seen; a path of hours takes a second to compare."""
        self._stale = True
        if self.isVisible() or self.on_map.isChecked():
            self.show_state()

    def _show_while_seen(self) -> None:
        if self.viewing.recording and self.isVisible() and not self.context.follower.replaying:
            self.show_state()

    def _note(self, views: Sequence[View]) -> str:
        if self.viewing.trouble is not None:
            sentence = self.viewing.trouble.sentence("window")
            return f"{sentence[:1].upper()}{sentence[1:]}."
        seconds = float(seconds_in_view(views).sum())
        kept = f"{counted(len(views), 'view')}, {duration(seconds)}" if views else ""
        if self.viewing.recording:
            return f"Kept beside the review, on this disk only: {kept or 'nothing yet'}."
        if keeps_viewing():
            return "On: what you look at is kept from the next slide on."
        return f"{_OFF} Kept earlier of this slide: {kept}." if kept else _OFF

    def _show_depths(self) -> None:
        mpp = self.context.session.mpp
        labels = [depth_label(one, mpp) for one in self.found]
        if [self.depth.itemText(i) for i in range(self.depth.count())] != labels:
            self.depth.clear()
            self.depth.addItems(labels)
            self.depth.setCurrentIndex(len(labels) - 1)
        for widget in (self.depth, self.on_map, self.unseen):
            widget.setEnabled(bool(labels))

    def _show_figures(self) -> None:
        self.panel.show_table(self.found, self.context.session.mpp)
        found, slide = self._now(), self.context.session.slide
        self.panel.show_pictures(found, slide)

    def _now(self) -> SeenCompared | None:
        at = self.depth.currentIndex()
        return self.found[at] if 0 <= at < len(self.found) else None

    def _chosen(self) -> None:
        self._show_figures()
        self._draw_map()

    def _draw_map(self) -> None:
        """Draw who has seen what, or take it away; while a path grows, in the same layer."""
        layers, found = self.context.viewer.layers, self._now()
        wanted = found is not None and self.on_map.isChecked()
        made = seen_layer(found, self.context.session.mpp) if found is not None and wanted else None
        if self._map is not None and self._map in layers:
            if made is not None and made[1]["name"] == self._map.name:
                self._map.data = made[0]
                return
            layers.remove(self._map)
        self._map = None
        if made is not None:
            active = layers.selection.active
            self._map = self.context.viewer.add_image(made[0], **made[1])
            layers.selection.active = active

    def _show_replaying(self) -> None:
        self.replay.setText("Stop" if self.context.follower.replaying else "Replay")

    def _save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Where to write the two tables")
        if not folder:
            return
        try:
            path, fixations = self.viewing.save(Path(folder))
        except HagmilError as error:
            show_text(self.said, error_sentence(error))
        else:
            show_text(self.said, f"Written: {path.name} and {fixations.name}.")

    def _delete(self) -> None:
        if ask(self, _DELETE):
            self.viewing.forget()
            self.show_state()

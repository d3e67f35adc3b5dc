"""The Why tab: what every depth says about a place, and what the prediction owes to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Layer
from superqt.utils import qdebounced

from napari_hagmil.cascade import Branch, NodeFacts
from napari_hagmil.geometry import magnification_label
from napari_hagmil.plugin.layers import KEY
from napari_hagmil.session import error_sentence
from napari_hagmil.session.pictures import Pictures
from napari_hagmil.session.run_report import stage_labels
from napari_hagmil.widgets.cascade.camera import um_per_screen_px
from napari_hagmil.widgets.cascade.context import CascadeContext, CascadePage
from napari_hagmil.widgets.cascade.why.alike import AlikeSection
from napari_hagmil.widgets.cascade.why.looked import LookedSection
from napari_hagmil.widgets.cascade.why.overlays_panel import OverlaysPanel
from napari_hagmil.widgets.cascade.why.pointer_panel import PointerPanel
from napari_hagmil.widgets.cascade.why.tree_strip import Leaf
from napari_hagmil.widgets.cascade.why.without_panel import WithoutPanel
from napari_hagmil.widgets.work import Background

#: Milliseconds that the pointer must rest before pictures are read.
_REST = 120

Place = tuple[float, float]


class WhyTab(CascadePage):
    """Explains the place under the pointer, or one that is held.

    Parameters
    ----------
    context : CascadeContext
        What the tabs share.

    Attributes
    ----------
    place : tuple of float or None
        (y, x), level-0 px; the place that is explained.
    held : bool
        Whether it stays when the pointer moves on.
    """

    def __init__(self, context: CascadeContext) -> None:
        super().__init__(context)
        self.overlays, self.pointer = OverlaysPanel(), PointerPanel()
        self.without, self.alike = WithoutPanel(), AlikeSection(context)
        self.looked = LookedSection(context)
        self.add(self.pointer, self.alike, self.looked, self.without, self.overlays)
        self.place: Place | None = None
        self.pointed: Place | None = None
        self.held = False
        self._facts: list[NodeFacts] = []
        self._pictures, self._reader = Pictures(), Background()
        self._mark: Layer | None = None
        self._read_soon = qdebounced(self._read_pictures, timeout=_REST)
        self.overlays.show_state(context.stages.shown)
        self.overlays.toggled.connect(lambda kind, on: context.stages.set_shown(kind, shown=on))
        context.stages.on_shown = self.overlays.show_state
        self.without.asked.connect(self.ask_without)
        self.alike.button.clicked.connect(self.find_alike)
        connect = context.links.connect
        connect(self.session.slide_changed, self._forget)
        connect(self.session.stage_found, lambda _: self._read_soon())
        connect(self.session.finished, lambda _: self._show())
        self.without.show_depths(())

    def point_at(self, place: Place | None) -> None:
        """Explain a level-0 pixel (y, x), unless another is held; None: off the slide."""
        self.pointed = place
        if not self.held:
            self.place = place
            self._show()

    def toggle_hold(self) -> None:
        """Hold the place under the pointer, or release the held one."""
        if self.held:
            self.held = False
            self.place = self.pointed
        elif self.place is not None:
            self.held = True
        self._draw_mark()
        self.pointer.say_where(held=self.held)
        self._show()

    def ask_without(self, depth: int = 0) -> None:
        """Ask what the prediction is without the branch of the place that starts at a depth."""
        questions, facts = self.session.questions(), self._facts
        if questions is None or depth >= len(facts) or not facts[depth].n_nodes:
            self.without.say("No branch starts here: this place was not looked at.")
            return
        if self.context.work.busy:
            self.without.say("Wait for the run to end, then ask again.")
            return
        branch = Branch(depth, facts[depth].node)

        def work() -> Iterator[Any]:
            yield questions.without_branch(branch)

        def show(found: Any) -> None:
            pairs = [(s.probabilities, p) for s, p in zip(questions.stages, found, strict=True)]
            self.without.show_answer(
                stage_labels(self.session), questions.model.config.classes, pairs
            )

        self.without.say("Asking the model…")
        self.context.work.start(
            work, on_item=show, on_done=_nothing, on_cancelled=_nothing, on_error=self._say_error
        )

    def find_alike(self) -> None:
        """Find the places of the slide that look like this one."""
        self.alike.find(self.place)

    def show_session(self) -> None:
        """Show the depths that there are to ask about."""
        self._show()
        self.looked.show_state()

    def close_work(self) -> None:
        """Wait for the pictures that are being read, and take the cross-hair away."""
        self.held = False
        self._draw_mark()
        self._read_soon.cancel()
        self._reader.wait()
        self.alike.close_work()
        self.looked.close_work()

    def _show(self) -> None:
        self._facts = self.session.node_facts(*self.place) if self.place is not None else []
        self.pointer.show_facts(self._facts)
        self.pointer.strip.show_leaves(self._leaves())
        self.without.show_depths(stage_labels(self.session))
        self._read_soon()

    def _leaves(self) -> tuple[Leaf, ...]:
        slide, grids = self.session.slide, self.session.grids
        if slide is None:
            return ()
        leaves = []
        for i, facts in enumerate(self._facts):
            below = self._facts[i + 1].node if i + 1 < len(self._facts) else None
            child = (below[0] % 2, below[1] % 2) if below is not None else None
            picture = self._pictures.known(slide, grids[facts.depth], facts.node)
            label = magnification_label(facts.mpp)
            leaves.append(Leaf(facts.depth, label, facts.status, picture, child))
        return tuple(leaves)

    def _read_pictures(self) -> None:
        """Read the pictures that the strip lacks, in the background; the newest place is next."""
        slide, grids, facts = self.session.slide, self.session.grids, list(self._facts)
        lacking = any(leaf.picture is None for leaf in self._leaves())
        if slide is None or not lacking or not self.isVisible():
            return
        if self._reader.busy:
            self._read_soon()
            return

        def work() -> Iterator[None]:
            for one in facts:
                self._pictures.read(slide, grids[one.depth], one.node)
                yield None

        self._reader.start(
            work,
            on_item=lambda _: self.pointer.strip.show_leaves(self._leaves()),
            on_done=_nothing,
            on_cancelled=_nothing,
            on_error=self._say_error,
        )

    def _draw_mark(self) -> None:
        """Draw a cross-hair on the held place."""
        layers = self.viewer.layers
        if self._mark is not None and self._mark in layers:
            layers.remove(self._mark)
        self._mark = None
        if self.held and self.place is not None:
            active = layers.selection.active
            self._mark = self.viewer.add_points(
                np.array([self.place]) * self.session.mpp,
                name="Held place",
                symbol="cross",
                size=18 * um_per_screen_px(self.viewer),
                face_color="#ffffff",
                border_color="#000000",
                units=("um", "um"),
                metadata={KEY: {"held": True}},
            )
            # A click must go on panning the slide, not add a point.
            layers.selection.active = active

    def _forget(self, slide: Any) -> None:
        self.held, self.place, self._facts = False, None, []
        self._draw_mark()
        self.pointer.say_where(held=False)
        self._show()

    def _say_error(self, error: BaseException) -> None:
        self.without.say(error_sentence(error))


def _nothing() -> None:
    """For work whose end needs no answer."""

"""What napari's command palette and menus start; each opens the dock that it needs.

napari hands over the viewer by its type.
"""

from __future__ import annotations

from collections.abc import Callable

from napari import Viewer  # napari looks the annotation up here: it must be there at run time

from napari_hagmil.widgets.desk import COHORT, HAGMIL, REVIEW, desk_of
from napari_hagmil.widgets.focus import focus_canvas
from napari_hagmil.widgets.review.keys import REVIEW_KEYS


def open_slide(viewer: Viewer) -> None:
    """Ask for a slide, and open it."""
    dock = desk_of(viewer).dock(HAGMIL)
    dock.go_to("slide")
    dock.slide_panel.open_button.click()


def open_cohort(viewer: Viewer) -> None:
    """Ask for the folder of a batch, or of slides, and show it as a table."""
    dock = desk_of(viewer).dock(COHORT)
    dock.go_to()
    dock.bar.open_button.click()


def run_cascade(viewer: Viewer) -> None:
    """Run the cascade on the open slide; without one the dock says what to do."""
    dock = desk_of(viewer).dock(HAGMIL)
    dock.go_to("cascade")
    dock.run()


def review_regions(viewer: Viewer) -> None:
    """Go through the regions, one after the other."""
    desk_of(viewer).dock(REVIEW).go_to("queue")


def export_review(viewer: Viewer) -> None:
    """Choose what of the review is written, and where to."""
    desk_of(viewer).dock(REVIEW).go_to("export")


def finish_slide(viewer: Viewer) -> None:
    """Write the conclusion, sign, and write report, table and outlines."""
    desk_of(viewer).dock(REVIEW).go_to("conclusion")


def show_keys(viewer: Viewer) -> None:
    """Show or hide the table of keys."""
    desk = desk_of(viewer)
    desk.dock(HAGMIL)
    desk.show_keys()


def _draws(name: str) -> Callable[[Viewer], None]:
    """What a key of the Draw tab does."""

    def do(viewer: Viewer) -> None:
        desk = desk_of(viewer)
        desk.dock(REVIEW).go_to("draw")
        desk.do(REVIEW_KEYS[name])
        focus_canvas(desk.dock(REVIEW))

    return do


select = _draws("select")
brush = _draws("brush")
eraser = _draws("eraser")
wand = _draws("wand")
polygon = _draws("polygon")
freehand = _draws("freehand")
rectangle = _draws("rectangle")
ellipse = _draws("ellipse")
polyline = _draws("polyline")
point = _draws("point")
ruler = _draws("ruler")
unite = _draws("unite")
subtract = _draws("subtract")
intersect = _draws("intersect")
fill_holes = _draws("fill_holes")
nest = _draws("nest")
duplicate = _draws("duplicate")
lock = _draws("lock")

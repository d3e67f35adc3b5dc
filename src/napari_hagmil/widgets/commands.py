"""What napari's command palette and menus start; each opens the dock that it needs.

napari hands over the viewer by its type.
"""

from __future__ import annotations

from napari import Viewer  # napari looks the annotation up here: it must be there at run time

from napari_hagmil.widgets.desk import COHORT, HAGMIL, REVIEW, desk_of


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

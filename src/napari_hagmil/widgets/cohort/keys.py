"""Keys of the cohort; none may be in another dock's table too."""

from __future__ import annotations

from collections.abc import Mapping

from napari_hagmil.widgets.keys import KeyAction

COHORT_KEYS: Mapping[str, KeyAction] = {
    "next_slide": KeyAction("PageDown", "Open the next undecided slide", "Cohort"),
    "slide_before": KeyAction("PageUp", "Open the slide before", "Cohort"),
    "table": KeyAction("F10", "Go to the cohort's table", "Docks"),
}

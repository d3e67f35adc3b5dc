"""The slide that the window shows: what lies over it is placed in its frame."""

from __future__ import annotations

from pathlib import Path

import napari

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.slide.canvas import Origin, canvas_origin


def slide_shown() -> tuple[float | None, Origin]:
    """µm per level-0 pixel, and place on the canvas, of the topmost slide; (None, (0, 0)) of none.

    Readers and writers of napari are handed neither the viewer nor its layers.
    """
    viewer = napari.current_viewer()
    facts = [one.metadata.get(KEY, {}) for one in (viewer.layers if viewer else ())]
    slides = [one for one in facts if "path" in one]
    if not slides:
        return None, (0, 0)
    return slides[-1]["mpp"], canvas_origin(Path(slides[-1]["path"]))

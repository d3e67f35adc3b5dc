"""Where the scan lies on the canvas from which OpenSlide, and with it ASAP and CLAM, count.

MIRAX, BIF and Leica's slides stand on a canvas as large as the glass, empty around the scan. Here,
as in QuPath, level-0 pixel (0, 0) is the scan's; coordinates of programs that count from the
canvas are moved by `SlideFacts.origin`.
"""

from __future__ import annotations

from pathlib import Path

from napari_hagmil.errors import HagmilError
from napari_hagmil.slide.open import open_slide

Origin = tuple[int, int]
"""Canvas pixel (y, x) on which level-0 pixel (0, 0) lies."""


def canvas_origin(path: Path) -> Origin:
    """Where a slide's scan begins on its canvas; (0, 0) where the slide is not there to be asked.

    Parameters
    ----------
    path : Path
        The slide; opened without reading a pixel.
    """
    if not path.exists():
        return 0, 0
    try:
        with open_slide(path) as slide:
            return slide.origin
    except HagmilError:
        return 0, 0

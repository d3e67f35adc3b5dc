"""What reader and cascade have seen: a table of all depths, and two small maps of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_hagmil.attention import attention_map
from napari_hagmil.geometry import magnification_label
from napari_hagmil.plugin.overview import overview_picture, tinted
from napari_hagmil.session.numbers import percent
from napari_hagmil.slide import Slide
from napari_hagmil.viewing import SeenCompared
from napari_hagmil.widgets.style import plain_label, quiet_label, rich_label

#: Side of a map, px: two fit a dock of 320.
_SIDE = 140

#: Above the maps, and in which colormap of napari each shows what was seen.
_TITLES, _TINTS = ("You", "The cascade"), ("magenta", "cyan")


class SeenPanel(QWidget):  # type: ignore[misc]
    """A row per depth with its shares and κ; below it both maps, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.figures = rich_label()
        self.figures.setWordWrap(True)
        self.pictures = plain_label(), plain_label()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.figures, 0, 0, 1, 2)
        for column, (title, picture) in enumerate(zip(_TITLES, self.pictures, strict=True)):
            grid.addWidget(quiet_label(title), 1, column)
            grid.addWidget(picture, 2, column)
            picture.setAccessibleName(f"{title}: what was seen, as a small map of the slide")
        self.hide()

    def show_table(self, found: Sequence[SeenCompared], mpp: float) -> None:
        """Show the shares of every depth; nothing hides the panel."""
        self.setVisible(bool(found))
        self.figures.setText(_table(found, mpp))

    def show_pictures(self, found: SeenCompared | None, slide: Slide | None) -> None:
        """Show what was seen in colour, and the tissue that was not in shade."""
        if found is None or slide is None:
            return
        overview = np.asarray(slide.view_levels()[-1])
        plain = overview_picture(overview, _SIDE, rgb=slide.is_rgb)
        seen_by = (found.by_reader, found.by_cascade)
        for label, seen, tint in zip(self.pictures, seen_by, _TINTS, strict=True):
            shown = plain
            parts = ((found.nodes[~seen], 0.0, "gray"), (found.nodes[seen], 100.0, tint))
            for nodes, value, colormap in parts:
                if len(nodes):
                    amap = attention_map(found.grid, nodes, np.full(len(nodes), value))
                    shown = tinted(shown, slide.shape, amap, colormap)
            label.setPixmap(_pixmap(shown))


def depth_label(found: SeenCompared, mpp: float) -> str:
    """The magnification of a depth, as everywhere."""
    return magnification_label(found.grid.downsample * mpp)


def _table(found: Sequence[SeenCompared], mpp: float) -> str:
    if not found:
        return ""
    head = _row(f"<i>{one}</i>" for one in ("", "both", "you", "it", "neither", "κ"))
    rows = [head]
    for one in found:
        kappa = "–" if math.isnan(one.kappa) else f"{one.kappa:.2f}"
        rows.append(_row([f"<b>{depth_label(one, mpp)}</b>", *map(percent, one.shares), kappa]))
    last = found[-1]
    agreed = f"{percent(last.agreement)} of the tissue at {depth_label(last, mpp)}"
    table = f'<table cellspacing="0">{"".join(rows)}</table>'
    return f"{table}You and it agree, seen or not seen, on {agreed}.".replace("> 99", "&gt; 99")


def _row(cells: Any) -> str:
    padded = (cell.replace(" ", "&nbsp;") + "&nbsp;&nbsp;" for cell in cells)
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in padded)}</tr>"


def _pixmap(picture: NDArray[np.uint8]) -> QPixmap:
    height, width = picture.shape[:2]
    pixels = np.ascontiguousarray(picture)
    return QPixmap.fromImage(
        QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    )

"""Outlines by the thousand as one picture of what is in view, as fine as the screen."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from napari_hagmil.plugin.review_layers import OutlineFrame, annotation_colors
from napari_hagmil.polygons import Outline
from napari_hagmil.review import Annotation, PathClass
from napari_hagmil.review.drawing.corners import rings_of
from napari_hagmil.review.state import LINES

Picture = NDArray[np.uint8]

#: OpenCV takes corners in steps of 1/16 px.
_SHIFT = 4

#: Outlines in view whose lines are smoothed at most.
_MOST_SMOOTH = 1000

#: An outline with more corners than this per pixel of its size is drawn with fewer.
_CORNERS_PER_PX = 1.0


class OutlinePicture:
    """Draws outlines that are in a window; those that have not changed are not read again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Annotation, list[NDArray[np.float32]]]] = {}
        self._rings: list[NDArray[np.float32]] = []
        self._colors = np.zeros((0, 3), np.uint8)
        self._open = np.zeros(0, bool)
        self._ids: list[str] = []
        self._boxes = np.zeros((0, 4), np.float32)

    def show(self, annotations: Sequence[Annotation], classes: tuple[PathClass, ...]) -> None:
        """Draw these from now on, in the colours of their classes."""
        known = self._known
        self._known = {
            one.id: known[one.id]
            if one.id in known and known[one.id][0] is one
            else (one, [_corners(ring) for ring in rings_of(one)])
            for one in annotations
        }
        rows = [(one, ring) for one, rings in self._known.values() for ring in rings]
        drawn = [one for one, _ in rows]
        self._rings, self._ids = [ring for _, ring in rows], [one.id for one in drawn]
        self._open = np.array([one.kind in LINES for one in drawn], bool)
        self._colors = np.round(255 * annotation_colors(drawn, classes)[:, :3]).astype(np.uint8)
        self._boxes = _boxes(self._rings)

    def clip(
        self, box: tuple[float, float, float, float]
    ) -> tuple[float, float, float, float] | None:
        """What of a box (y0, x0, y1, x1) lies where there are outlines; None where there are none.

        A layer that reached beyond the slide would make the whole slide look smaller than it is.
        """
        if not len(self._boxes):
            return None
        low = np.maximum(box[:2], self._boxes[:, :2].min(axis=0))
        high = np.minimum(box[2:], self._boxes[:, 2:].max(axis=0))
        if (low > high).any():
            return None
        (y0, x0), (y1, x1) = low.tolist(), high.tolist()
        return y0, x0, y1, x1

    def draw(self, window: OutlineFrame, width: float, bold: Collection[str] = ()) -> Picture:
        """The outlines in a window.

        Parameters
        ----------
        window : OutlineFrame
            What is drawn.
        width : float
            Of the lines, px of the picture.
        bold : collection of str
            Ids of annotations that are drawn twice as wide.

        Returns
        -------
        (rows, columns, 4) uint8 array
            RGBA, transparent where there is no outline.
        """
        picture = np.zeros((window.rows, window.columns, 4), np.uint8)
        seen = self._in(window)
        # Smooth lines take several times as long, and nobody sees them where there are thousands.
        smooth = len(seen) <= _MOST_SMOOTH
        for rows in self._groups(seen, bold):
            first = rows[0]
            red, green, blue = self._colors[first].tolist()
            thick = 2 * width if self._ids[first] in bold else width
            cv2.polylines(
                picture,
                [self._placed(row, window) for row in rows],
                not self._open[first],
                (red, green, blue, 255),
                max(1, round(thick)),
                cv2.LINE_AA if smooth else cv2.LINE_8,
                _SHIFT,
            )
        return _unmixed(picture)

    def _in(self, window: OutlineFrame) -> NDArray[np.intp]:
        """Rows of the rings whose boxes meet the window."""
        height, width = window.rows * window.downsample, window.columns * window.downsample
        y0, x0, y1, x1 = self._boxes.T
        meets = (y1 >= window.y) & (y0 <= window.y + height)
        return np.flatnonzero(meets & (x1 >= window.x) & (x0 <= window.x + width))

    def _groups(self, rows: NDArray[np.intp], bold: Collection[str]) -> list[list[int]]:
        """Rows that are drawn alike; the bold ones last, and so on top."""
        groups: dict[tuple[bool, int, bool], list[int]] = {}
        packed = self._colors.astype(np.int64) @ (1 << 16, 1 << 8, 1)
        for row, color, is_open in zip(
            rows.tolist(), packed[rows].tolist(), self._open[rows].tolist(), strict=True
        ):
            groups.setdefault((self._ids[row] in bold, color, is_open), []).append(row)
        return [groups[key] for key in sorted(groups)]

    def _placed(self, row: int, window: OutlineFrame) -> NDArray[np.int32]:
        """Corners (x, y) in the picture, in OpenCV's steps: pixel centres are at integers."""
        ring, (y0, x0, y1, x1) = self._rings[row], self._boxes[row]
        size = max(y1 - y0, x1 - x0) / window.downsample
        step = int(len(ring) / max(4.0, 4 * _CORNERS_PER_PX * size)) or 1
        places = (ring[::step] - (window.y, window.x)) / window.downsample - 0.5
        return np.round(places[:, ::-1] * (1 << _SHIFT)).astype(np.int32)


def _corners(ring: Outline) -> NDArray[np.float32]:
    return np.asarray(ring, np.float32)


def _boxes(rings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """y0, x0, y1, x1 of each ring."""
    if not rings:
        return np.zeros((0, 4), np.float32)
    whole = np.concatenate(rings)
    starts = np.cumsum([0, *map(len, rings[:-1])])
    low, high = np.minimum.reduceat(whole, starts), np.maximum.reduceat(whole, starts)
    return np.concatenate([low, high], axis=1)


def _unmixed(picture: Picture) -> Picture:
    """Colours as they are: OpenCV has mixed those of edges with the transparent black below."""
    faint = (picture[..., 3] > 0) & (picture[..., 3] < 255)
    mixed = picture[faint].astype(np.float32)
    picture[faint, :3] = np.minimum(mixed[:, :3] * 255 / mixed[:, 3:], 255).astype(np.uint8)
    return picture

"""Layout fields seen through a window of level 0."""

from dataclasses import dataclass

import cv2
import numpy as np

from napari_hagmil.phantom.layout import PhantomPlan
from napari_hagmil.phantom.noise import ByteArray


@dataclass(frozen=True)
class Window:
    """A rectangle of level 0 in pixels; may reach over the slide's edge."""

    y: int
    x: int
    height: int
    width: int

    def grown(self, by: int) -> "Window":
        """Return the window with a rim of `by` px."""
        return Window(self.y - by, self.x - by, self.height + 2 * by, self.width + 2 * by)


def cells(plan: PhantomPlan, field: ByteArray, window: Window, pad: int) -> ByteArray:
    """Cells of a layout field under a window, plus `pad`; the slide's edge is repeated."""
    cell = plan.frame.cell_px
    rows = np.arange(window.y // cell - pad, -(-(window.y + window.height) // cell) + pad)
    columns = np.arange(window.x // cell - pad, -(-(window.x + window.width) // cell) + pad)
    rows, columns = rows.clip(0, field.shape[0] - 1), columns.clip(0, field.shape[1] - 1)
    return field[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if (
        rows.size == rows[-1] - rows[0] + 1 and columns.size == columns[-1] - columns[0] + 1
    ) else field[np.ix_(rows, columns)]  # fmt: skip


def enlarge(
    plan: PhantomPlan, field: ByteArray, window: Window, *, cubic: bool = False
) -> ByteArray:
    """Bring a layout field to level 0, over a window."""
    cell = plan.frame.cell_px
    crop = cells(plan, field, window, pad=2)
    size = (crop.shape[1] * cell, crop.shape[0] * cell)
    method = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    large = cv2.resize(crop, size, interpolation=method)
    y, x = (o - (o // cell - 2) * cell for o in (window.y, window.x))
    return np.asarray(large[y : y + window.height, x : x + window.width], dtype=np.uint8)


def blend(below: ByteArray, above: ByteArray, cover: ByteArray) -> ByteArray:
    """`above` over `below` by a cover of 0..255."""
    kept = cv2.multiply(below, cv2.bitwise_not(cover), scale=1 / 255)
    return np.asarray(cv2.add(kept, cv2.multiply(above, cover, scale=1 / 255)), dtype=np.uint8)

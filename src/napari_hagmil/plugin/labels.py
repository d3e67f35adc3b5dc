"""Which labels have room on the screen: none lies on another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Of labels, as napari takes it; about what a letter of it takes on the screen, px.
LABEL_SIZE = 14
_LETTER, _LINE = 11.0, 24.0


def with_room(places: ArrayLike, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each label can be shown; of those that would overlap, the first is.

    Parameters
    ----------
    places : (n, 2)
        Upper left corners (y, x) of the labels, px of the screen.
    texts : sequence of str
        An empty one takes no room, and is not shown.
    """
    corners = np.asarray(places, dtype=np.float64).reshape(-1, 2)
    sizes = np.array([(_LINE, _LETTER * len(text)) for text in texts]).reshape(-1, 2)
    shown = np.zeros(len(texts), dtype=bool)
    for i, text in enumerate(texts):
        if text:
            low, high = corners[shown], corners[shown] + sizes[shown]
            apart = (high <= corners[i]) | (low >= corners[i] + sizes[i])
            shown[i] = apart.any(axis=1).all()
    return shown

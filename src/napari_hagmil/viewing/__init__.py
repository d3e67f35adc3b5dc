"""Where a reader looked: the viewport's path, kept with consent, and what it and a cascade saw."""

from __future__ import annotations

from napari_hagmil.viewing.fixations import Fixation, find_fixations
from napari_hagmil.viewing.recorder import ViewRecorder
from napari_hagmil.viewing.seen import SeenCompared, UnseenPlace, compare_seen, unseen_places
from napari_hagmil.viewing.view import View

__all__ = [
    "Fixation",
    "SeenCompared",
    "UnseenPlace",
    "View",
    "ViewRecorder",
    "compare_seen",
    "find_fixations",
    "unseen_places",
]

"""The session of one window: open slide, choices, runs, results and review; no Qt."""

from napari_hagmil.session.choices import Choice, bundle_choice, device_choices, encoder_choices
from napari_hagmil.session.review import Review, ReviewPreferences
from napari_hagmil.session.runs.cost import RunCost
from napari_hagmil.session.sentences import error_sentence
from napari_hagmil.session.session import Session
from napari_hagmil.session.window import session_of

__all__ = [
    "Choice",
    "Review",
    "ReviewPreferences",
    "RunCost",
    "Session",
    "bundle_choice",
    "device_choices",
    "encoder_choices",
    "error_sentence",
    "session_of",
]

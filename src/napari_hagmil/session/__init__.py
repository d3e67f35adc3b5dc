"""What is open, chosen, running and found in one sitting; no Qt."""

from napari_hagmil.session.choices import Choice, bundle_choice, device_choices, encoder_choices
from napari_hagmil.session.cost import RunCost
from napari_hagmil.session.session import Session
from napari_hagmil.session.words import sentence

__all__ = [
    "Choice",
    "RunCost",
    "Session",
    "bundle_choice",
    "device_choices",
    "encoder_choices",
    "sentence",
]

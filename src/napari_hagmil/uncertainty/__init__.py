"""How far a model's answer can be relied on: its probability, a set of classes, the unfamiliar.

Plain numpy: what validation slides and training features say is fitted here, and stands in bundles.
"""

from napari_hagmil.uncertainty.confidence import (
    DEFAULT_ERROR_RATE,
    Confidence,
    fit_confidence,
)
from napari_hagmil.uncertainty.familiarity import Familiarity, FamiliarityFit, with_limit
from napari_hagmil.uncertainty.stated import Uncertainty
from napari_hagmil.uncertainty.temperature import fit_temperature, tempered

__all__ = [
    "DEFAULT_ERROR_RATE",
    "Confidence",
    "Familiarity",
    "FamiliarityFit",
    "Uncertainty",
    "fit_confidence",
    "fit_temperature",
    "tempered",
    "with_limit",
]

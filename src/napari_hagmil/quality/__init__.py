"""What spoils a slide: folds, blur, ink, bubbles and pigment, computed from its pixels."""

from napari_hagmil.quality.artefacts import COLORS, KINDS, Kind, SlideQuality
from napari_hagmil.quality.measure import measure_quality, quality_steps

__all__ = ["COLORS", "KINDS", "Kind", "SlideQuality", "measure_quality", "quality_steps"]

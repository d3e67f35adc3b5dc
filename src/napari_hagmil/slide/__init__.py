"""Slides: open them, know them, read places of them. Never imports torch."""

from napari_hagmil.slide.check import check_slide
from napari_hagmil.slide.open import open_slide, open_spec, slide_info
from napari_hagmil.slide.protocol import LevelGrid, PixelSize, SlideFacts, SlideReader, SlideSpec
from napari_hagmil.slide.pyramid import Level, Slide
from napari_hagmil.slide.region import (
    read_patches,
    read_region,
    read_scaled,
    require_brightfield,
)

__all__ = [
    "Level",
    "LevelGrid",
    "PixelSize",
    "Slide",
    "SlideFacts",
    "SlideReader",
    "SlideSpec",
    "check_slide",
    "open_slide",
    "open_spec",
    "read_patches",
    "read_region",
    "read_scaled",
    "require_brightfield",
    "slide_info",
]

"""Slides: open them, describe them, read regions of them. Never imports torch."""

from napari_hagmil.slide.check import check_slide
from napari_hagmil.slide.interface import LevelGrid, PixelSize, SlideFacts, SlideReader, SlideSpec
from napari_hagmil.slide.open import open_slide, open_spec, slide_info
from napari_hagmil.slide.pyramids.make import make_pyramid
from napari_hagmil.slide.pyramids.tiff_writer import TiffStyle
from napari_hagmil.slide.region import (
    read_patches,
    read_region,
    read_scaled,
    require_brightfield,
)
from napari_hagmil.slide.slide import Level, Slide

__all__ = [
    "Level",
    "LevelGrid",
    "PixelSize",
    "Slide",
    "SlideFacts",
    "SlideReader",
    "SlideSpec",
    "TiffStyle",
    "check_slide",
    "make_pyramid",
    "open_slide",
    "open_spec",
    "read_patches",
    "read_region",
    "read_scaled",
    "require_brightfield",
    "slide_info",
]

"""Slides: open them, know them, read places of them. Never imports torch."""

from napari_hagmil.slide.check import check_slide
from napari_hagmil.slide.make_pyramid import make_pyramid
from napari_hagmil.slide.open import open_slide, open_spec, slide_info
from napari_hagmil.slide.protocol import LevelGrid, PixelSize, SlideFacts, SlideReader, SlideSpec
from napari_hagmil.slide.pyramid import Level, Slide
from napari_hagmil.slide.pyramid_cache import cached_pyramids, clear_cache
from napari_hagmil.slide.region import (
    read_patches,
    read_region,
    read_scaled,
    require_brightfield,
)
from napari_hagmil.slide.tiff_writer import TiffStyle

__all__ = [
    "Level",
    "LevelGrid",
    "PixelSize",
    "Slide",
    "SlideFacts",
    "SlideReader",
    "SlideSpec",
    "TiffStyle",
    "cached_pyramids",
    "check_slide",
    "clear_cache",
    "make_pyramid",
    "open_slide",
    "open_spec",
    "read_patches",
    "read_region",
    "read_scaled",
    "require_brightfield",
    "slide_info",
]

"""Epithelium and stroma of a slide, by SHELL: a map at 10×, its shares, and a mask of tissue."""

from napari_hagmil.epithelium.find import epithelium_steps, find_epithelium
from napari_hagmil.epithelium.map import CLASS_COLORS, CLASSES, EpitheliumMap

__all__ = ["CLASSES", "CLASS_COLORS", "EpitheliumMap", "epithelium_steps", "find_epithelium"]

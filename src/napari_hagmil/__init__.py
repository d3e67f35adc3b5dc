"""Read a whole-slide image coarse to fine with a hierarchical attention cascade.

Nothing heavy happens here: import the submodule you need
(``napari_hagmil.slide``, ``napari_hagmil.pipeline`` …).
"""

__version__ = "0.1.0"

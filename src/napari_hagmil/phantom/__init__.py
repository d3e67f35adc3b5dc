"""Synthetic H&E slides with planted tumour and its truth.

`plan_phantom` lays a slide out (milliseconds), `render_region` renders any part of level 0, and
`write_phantom` writes the whole pyramid with the truth beside it.
"""

from napari_hagmil.phantom.config import PhantomConfig, PhantomError
from napari_hagmil.phantom.layout import PhantomPlan, plan_phantom
from napari_hagmil.phantom.render import render_region
from napari_hagmil.phantom.truth import Lesion, PhantomTruth
from napari_hagmil.phantom.write import write_phantom

__all__ = [
    "Lesion",
    "PhantomConfig",
    "PhantomError",
    "PhantomPlan",
    "PhantomTruth",
    "plan_phantom",
    "render_region",
    "write_phantom",
]

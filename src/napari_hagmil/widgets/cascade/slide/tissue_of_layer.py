"""The selected layer, of this plugin or another, as the tissue."""

from __future__ import annotations

from napari.layers import Labels, Layer, Shapes

from napari_hagmil.errors import AnnotationError
from napari_hagmil.plugin.layer_shapes import areas_in
from napari_hagmil.polygons import merged
from napari_hagmil.session import Session
from napari_hagmil.session.steering import set_tissue_rings


def take_tissue(session: Session, layer: Layer | None) -> None:
    """Use the areas of a layer as the tissue: every object of Labels, every closed shape.

    Raises
    ------
    AnnotationError
        When no such layer is selected, or it holds no area.
    """
    if not isinstance(layer, Labels | Shapes):
        raise AnnotationError(
            "the tissue",
            "is taken from a Labels or Shapes layer",
            value="none selected" if layer is None else layer.name,
            remedy="select one in the list of layers",
        )
    areas = areas_in([layer], session.mpp)
    if not areas:
        raise AnnotationError(layer.name, "holds no area", remedy="draw one")
    set_tissue_rings(session, merged(areas), f"tissue from {layer.name}")

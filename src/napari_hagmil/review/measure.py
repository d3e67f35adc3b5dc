"""Lengths and areas of regions and annotations, and their labels."""

from __future__ import annotations

from napari_hagmil.polygons import area_of, length_of
from napari_hagmil.review.state import LINES, Annotation, ReviewRegion


def region_area_um2(region: ReviewRegion, mpp: float) -> float:
    """Area without the holes, µm²; `mpp` is µm per level-0 px."""
    return area_of(region.rings) * mpp**2


def annotation_measure(annotation: Annotation, mpp: float) -> float:
    """µm of a line, µm² of an area without its holes, 0 for a point."""
    if annotation.kind in LINES:
        return length_of(annotation.points) * mpp
    return area_of(annotation.rings) * mpp**2 if annotation.is_area else 0.0


def measure_label(annotation: Annotation, mpp: float | None) -> str:
    """The label of an annotation: ``"412 µm"``, ``"0.083 mm²"``; empty for a point.

    In pixels, ``"412 px"``, where the pixel size is unknown.
    """
    value = annotation_measure(annotation, mpp or 1.0)
    if annotation.kind == "point":
        return ""
    is_line = annotation.kind in LINES
    if mpp is None:
        return f"{value:,.0f} px" if is_line else f"{value:,.0f} px²"
    return length_label(value) if is_line else area_label(value)


def length_label(um: float) -> str:
    """A length: ``"8.4 µm"``, ``"412 µm"``, ``"2.31 mm"``."""
    if um >= 1000:
        return f"{um / 1000:.2f} mm"
    return f"{um:.1f} µm" if um < 100 else f"{um:.0f} µm"


def area_label(um2: float) -> str:
    """An area: ``"412 µm²"``, ``"0.083 mm²"``, ``"12.4 mm²"``."""
    mm2 = um2 / 1e6
    if mm2 < 0.001:
        return f"{um2:.0f} µm²"
    return f"{mm2:.3f} mm²" if mm2 < 1 else f"{mm2:.2f} mm²"

"""Which annotation lies at a place, among thousands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Point, STRtree
from shapely.geometry.base import BaseGeometry

from napari_hagmil.polygons import Place, shape_of
from napari_hagmil.review.state import Annotation


class AnnotationIndex:
    """Finds annotations by place; what has not changed is not looked at again.

    Attributes
    ----------
    annotations : tuple of Annotation
        Those that are found.
    """

    def __init__(self) -> None:
        self.annotations: tuple[Annotation, ...] = ()
        self._known: dict[str, tuple[Annotation, BaseGeometry]] = {}
        self._tree: STRtree | None = None

    def show(self, annotations: tuple[Annotation, ...]) -> None:
        """Find these from now on."""
        if annotations is not self.annotations:
            self.annotations, self._tree = annotations, None

    def at(self, place: Place, slack: float) -> str:
        """Id of the annotation at a place: a point or line before an area, a small before a large.

        Parameters
        ----------
        place : tuple of float
            (y, x), level-0 px.
        slack : float
            How far from a point, a line or an outline still counts, level-0 px.

        Returns
        -------
        str
            Empty where there is none.
        """
        tree, here = self._built(), Point(place)
        near = tree.query(here, predicate="dwithin", distance=slack).tolist()
        return self.annotations[min(near, key=self._rank)].id if near else ""

    def within(self, low: Place, high: Place) -> list[str]:
        """Ids of what lies wholly in a rectangle, given by two corners (y, x), level-0 px."""
        found = self._built().query(shapely.box(*low, *high), predicate="contains")
        return [self.annotations[i].id for i in sorted(found.tolist())]

    def near(self, place: Place, radius: float) -> set[str]:
        """Ids of what comes nearer to a place than a radius, level-0 px."""
        found = self._built().query(Point(place), predicate="dwithin", distance=radius)
        return {self.annotations[row].id for row in found.tolist()}

    def area(self, annotation: Annotation) -> float:
        """Of one of the annotations, level-0 px²."""
        return float(self._known[annotation.id][1].area)

    def _rank(self, row: int) -> tuple[float, int]:
        """Smallest first; of two alike, the one that was drawn last."""
        return self.area(self.annotations[row]), -row

    def _built(self) -> STRtree:
        if self._tree is None:
            fresh = [
                one
                for one in self.annotations
                if one.id not in self._known or self._known[one.id][0] is not one
            ]
            made = dict(zip((one.id for one in fresh), _geometries(fresh), strict=True))
            self._known = {
                one.id: (one, made[one.id]) if one.id in made else self._known[one.id]
                for one in self.annotations
            }
            self._tree = STRtree([self._known[one.id][1] for one in self.annotations])
        return self._tree


def _geometries(annotations: Sequence[Annotation]) -> list[BaseGeometry]:
    """The geometry of each: valid areas without holes all at once, the others one by one."""
    made: list[BaseGeometry | None] = [None] * len(annotations)
    plain = [
        i for i, one in enumerate(annotations) if one.is_area and not one.holes and one.complete
    ]
    if plain:
        rings = [annotations[i].points for i in plain]
        corners = np.concatenate([np.asarray(ring, np.float64) for ring in rings])
        of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
        polygons: NDArray[np.object_] = shapely.polygons(shapely.linearrings(corners, indices=of))
        for i, polygon, valid in zip(plain, polygons, shapely.is_valid(polygons), strict=True):
            made[i] = polygon if valid else None
    return [
        _geometry(one) if shape is None else shape
        for one, shape in zip(annotations, made, strict=True)
    ]


def _geometry(annotation: Annotation) -> BaseGeometry:
    if annotation.is_area:
        return shape_of(annotation.rings)
    points = annotation.points
    return Point(points[0]) if len(points) == 1 else LineString(points)

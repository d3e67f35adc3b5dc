"""A stroke of the brush or the eraser: an area that grows or shrinks as the hand goes."""

from __future__ import annotations

from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from napari_hagmil.polygons import Place, Rings, pieces_of, shape_of

#: Sides of a quarter of the brush's circle: its edge is nowhere off by more than 0.5%.
_QUARTER = 8

#: Places after which the way is simplified, so that a long stroke does not become slow, and by how
#: much, as a share of the brush's radius.
_TIDY_EVERY, _TIDY = 24, 0.02


class Stroke:
    """Unites what the brush passes over with an area, or takes it away.

    Parameters
    ----------
    radius : float
        Of the brush, level-0 px.
    base : Rings, optional
        The area that it goes on with.
    erases : bool
        Whether it takes away.
    """

    def __init__(self, radius: float, base: Rings | None = None, *, erases: bool = False) -> None:
        self.radius, self.erases = radius, erases
        self.shape: BaseGeometry = Polygon() if base is None else shape_of(base)
        self._last: Place | None = None
        self._since = 0

    def move(self, place: Place) -> None:
        """Lead the brush on to a place, straight from the one before."""
        way = Point(place) if self._last in (None, place) else LineString([self._last, place])
        swept = way.buffer(self.radius, quad_segs=_QUARTER)
        self.shape = self.shape.difference(swept) if self.erases else self.shape.union(swept)
        self._last, self._since = place, self._since + 1
        if self._since == _TIDY_EVERY:
            self._since = 0
            self.shape = self.shape.simplify(_TIDY * self.radius)

    def rings(self) -> list[Rings]:
        """The pieces of the area as it is now, largest first."""
        return pieces_of(self.shape)

    def finished(self, tolerance: float) -> BaseGeometry:
        """The area with no more corners than `tolerance` level-0 px of accuracy need."""
        return self.shape.simplify(tolerance)

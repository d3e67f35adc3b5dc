"""Steering: what the reader of the slide adds, branches to follow and places to leave out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.errors import AnnotationError
from napari_hagmil.polygons import Outline, Place, Rings, are_on_a_slide, contains, outline
from napari_hagmil.quadtree import Nodes, PatchGrid
from napari_hagmil.untrusted import read_json

SCHEMA = "napari-hagmil/steering/1"


@dataclass(frozen=True)
class Steering:
    """Branches to follow and places to leave out; level-0 px, (y, x), pixel centres at integers.

    Attributes
    ----------
    follow : tuple of Place
        The node of every depth that holds such a point is followed, whatever its attention.
    leave_out : tuple of Outline
        Nodes whose centre lies in such an outline, or on it, are not looked at.
    """

    follow: tuple[Place, ...] = ()
    leave_out: tuple[Outline, ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of the steering; "" where there is none."""
        if not (self.follow or self.leave_out):
            return ""
        text = json.dumps([self.follow, self.leave_out], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def pinned(self, grid: PatchGrid, nodes: Nodes) -> NDArray[np.bool_]:
        """Which nodes hold a point to follow, (n,)."""
        pinned = np.zeros(len(nodes), dtype=bool)
        for y, x in self.follow:
            pinned |= grid.holding(nodes, (y, x))
        return pinned

    def vetoed(self, grid: PatchGrid, nodes: Nodes) -> NDArray[np.bool_]:
        """Which nodes have their centre in a place to leave out, (n,)."""
        return contains([Rings(ring) for ring in self.leave_out], grid.centres(nodes))


def load_steering(path: Path) -> Steering:
    """Read a steering file.

    ``{"schema": "napari-hagmil/steering/1", "follow": [[y, x], …], "leave_out":
    [[[y, x], …], …]}``, level-0 px; both lists may be missing.

    Raises
    ------
    AnnotationError
        When the file cannot be read or says something else.
    """
    try:
        data = read_json(path)
        if data["schema"] != SCHEMA:
            raise ValueError(f"schema {data['schema']!r}")
        follow = np.asarray(data.get("follow", []), dtype=np.float64).reshape(-1, 2)
        polygons = [np.asarray(p, dtype=np.float64) for p in data.get("leave_out", [])]
        if any(p.ndim != 2 or p.shape[0] < 3 or p.shape[1] != 2 for p in polygons):
            raise ValueError("a leave_out polygon without three (y, x) points")
        if not all(map(are_on_a_slide, (follow, *polygons))):
            raise ValueError("a place that is on no slide")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(
            path.name,
            "is not a steering file",
            value=error,
            remedy=f'give an object with schema "{SCHEMA}", "follow": [[y, x], …] and '
            '"leave_out": [[[y, x], …], …]',
        ) from error
    return Steering(outline(follow), tuple(map(outline, polygons)))

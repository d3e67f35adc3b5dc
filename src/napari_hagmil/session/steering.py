"""Steering, drawn tissue and corrected pixel size: each goes through the review, to be undone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from napari_hagmil.attention.tissue_outlines import outlines_of
from napari_hagmil.cascade.trace import node_at
from napari_hagmil.export.geojson_reader import read_area
from napari_hagmil.polygons import Outline, Place, Rings, contains, outline
from napari_hagmil.review import ReviewState
from napari_hagmil.session.session import Session
from napari_hagmil.tissue import TissueMask


def follow(session: Session, place: Place) -> str:
    """Follow the branch of a place, or stop following it when it was pinned.

    Returns
    -------
    str
        What was done; empty before the first run.
    """
    sitting = session.sitting
    if sitting is None or not session.grids:
        return ""
    branch = node_at(session.grids[-1], place)
    kept = tuple(pin for pin in sitting.state.pins if node_at(session.grids[-1], pin) != branch)
    if len(kept) < len(sitting.state.pins):
        sitting.change("no longer follow a branch", pins=kept)
        return "No longer followed."
    sitting.change("follow a branch", pins=(*kept, place))
    return "Followed whatever its attention, from the next run on."


def leave_out(session: Session, place: Place) -> str:
    """Leave out the coarsest node of a place, or take it back in; returns as `follow` does."""
    sitting = session.sitting
    if sitting is None or session.slide is None or not session.grids:
        return ""
    vetoes = sitting.state.vetoes
    kept = tuple(ring for ring in vetoes if not contains([Rings(ring)], [place])[0])
    if len(kept) < len(vetoes):
        sitting.change("no longer leave out a place", vetoes=kept)
        return "No longer left out."
    grid = session.grids[0]
    node = np.array([node_at(grid, place)], dtype=np.int64)
    y0, x0, y1, x1 = grid.edges_on(node, session.slide.shape)[0] - 0.5
    corners = outline([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])
    sitting.change("leave out a place", vetoes=(*vetoes, corners))
    return "Left out from the next run on."


def draw_left_out(session: Session, rings: Sequence[ArrayLike]) -> None:
    """Replace the places to leave out by drawn rings."""
    sitting = session.sitting
    if sitting is not None:
        drawn = tuple(outline(ring) for ring in rings)
        sitting.change("draw a place to leave out", vetoes=drawn)


def leave_out_places(session: Session, places: Sequence[Outline]) -> str:
    """Add places to those that are left out, as one step; returns as `follow` does."""
    sitting = session.sitting
    if sitting is None:
        return ""
    known = sitting.state.vetoes
    new = tuple(place for place in places if place not in known)
    if not new:
        return "Nothing to leave out that is not left out already."
    sitting.change("leave out artefacts", vetoes=(*known, *new))
    return f"{len(new)} place{'s' if len(new) > 1 else ''} left out from the next run on."


def set_pins(session: Session, places: ArrayLike) -> None:
    """Replace the branches to follow by those of these places."""
    sitting = session.sitting
    if sitting is not None:
        sitting.change("set branches to follow", pins=outline(np.array(places)))


def set_tissue(session: Session, mask: TissueMask | None) -> None:
    """Use an edited mask as the tissue; None returns to the detected tissue."""
    if session.slide is None:
        return
    rings = None if mask is None else outlines_of(mask, session.slide.shape)
    set_tissue_rings(session, rings, "find the tissue again" if rings is None else "edit tissue")


def set_tissue_rings(session: Session, rings: tuple[Outline, ...] | None, action: str) -> None:
    """Use rings as the tissue, filled by the even-odd rule; `action` names the step for undo."""
    sitting = session.sitting
    if sitting is not None:
        sitting.change(action, tissue=rings)


def correct_mpp(session: Session, mpp: float | None) -> None:
    """Use the user's µm per pixel; None returns to the file's own."""
    sitting = session.sitting
    if sitting is not None:
        sitting.change("correct the pixel size", mpp_override=mpp)


def clear_steering(session: Session) -> None:
    """Remove all pins and all places to leave out."""
    sitting = session.sitting
    if sitting is not None:
        sitting.change("steer no longer", pins=(), vetoes=())


def steered(state: ReviewState) -> str:
    """Describe the steering in a sentence."""
    n_pins, n_out = len(state.pins), len(state.vetoes)
    if not (n_pins or n_out):
        return "Nothing is steered: the model alone decides."
    parts = []
    if n_pins:
        parts.append(f"{n_pins} branch{'es' if n_pins > 1 else ''} to follow")
    if n_out:
        parts.append(f"{n_out} place{'s' if n_out > 1 else ''} to leave out")
    return " and ".join(parts) + "."


def import_tissue(session: Session, path: str | Path) -> None:
    """Use the polygons of a GeoJSON file, or of the XML of ASAP and alike, as the tissue."""
    origin = session.slide.origin if session.slide else (0, 0)
    set_tissue_rings(session, read_area(path, origin), "import tissue")

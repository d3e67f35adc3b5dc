"""Annotations of a file on their way into a review: read, and cut where the slide ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_hagmil.errors import AnnotationError
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.polygons import Rings, pieces_on
from napari_hagmil.review import Annotation, PathClass, new_id
from napari_hagmil.slide import Slide
from napari_hagmil.tissue import TissueMask


@dataclass(frozen=True, slots=True)
class FoundAnnotations:
    """What a file holds for a slide.

    Attributes
    ----------
    name : str
        Of the file.
    annotations : tuple of Annotation
        On the slide, level-0 px.
    classes : tuple of PathClass
        Those that they name.
    notes : tuple of str
        A sentence for each kind of thing that was left out or cut.
    """

    name: str
    annotations: tuple[Annotation, ...]
    classes: tuple[PathClass, ...]
    notes: tuple[str, ...] = ()


def read_import(
    path: Path,
    slide: Slide,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    tissue: TissueMask | None = None,
) -> FoundAnnotations:
    """Read the annotations of a file that lie on a slide; made for a worker's thread.

    What lies beside the slide is left out, and areas that reach over its edge are cut there. What
    lies on bare glass is kept: the tissue may be missed, or a control beside it meant. All three
    are counted in a note.

    Parameters
    ----------
    path : Path
        GeoJSON, or XML of ASAP, ImageScope or HALO.
    slide : Slide
        The open slide.
    on_progress : callable, optional
        Called with the number of geometries that are read, and of all; what it raises ends this.
    tissue : TissueMask, optional
        Of the slide; without it, nobody can tell what lies on bare glass.

    Raises
    ------
    AnnotationError
        When the file is neither, or all that it holds lies beside the slide.
    """
    notes: list[str] = []
    drawn, classes = read_annotations(
        path, origin=slide.origin, on_note=notes.append, on_progress=on_progress
    )
    kept, n_cut, n_beside = _on_slide(drawn, slide.shape)
    if drawn and not kept:
        raise AnnotationError(
            path.name,
            "must hold annotations of this slide, and all lie beside it",
            value=f"{len(drawn):,}",
            remedy=f"export them in pixels of level 0 of {slide.name}",
        )
    if n_beside:
        notes.append(f"{n_beside:,} beside the slide left out.")
    if n_cut:
        notes.append(f"{n_cut:,} cut where the slide ends.")
    if tissue is not None and (n_off := sum(_on_glass(one, tissue) for one in kept)):
        notes.append(f"{n_off:,} kept where no tissue was found.")
    return FoundAnnotations(path.name, tuple(kept), tuple(classes), tuple(notes))


def _on_slide(drawn: list[Annotation], shape: tuple[int, int]) -> tuple[list[Annotation], int, int]:
    """Those on a slide, and how many were cut and left out."""
    kept: list[Annotation] = []
    n_cut = n_beside = 0
    for one in drawn:
        (y0, x0), (y1, x1) = (f(np.asarray(one.points), axis=0) for f in (np.min, np.max))
        bottom, right = shape[0] - 0.5, shape[1] - 0.5
        if min(y0, x0) >= -0.5 and y1 <= bottom and x1 <= right:
            kept.append(one)
        elif not one.is_area or not (pieces := _pieces(one, shape)):
            n_beside += 1
        else:
            n_cut += 1
            kept += pieces
    return kept, n_cut, n_beside


def _pieces(area: Annotation, shape: tuple[int, int]) -> list[Annotation]:
    """What of an area lies on a slide; the first piece keeps its id."""
    bottom, right = shape[0] - 0.5, shape[1] - 0.5
    whole = Rings(((-0.5, -0.5), (-0.5, right), (bottom, right), (bottom, -0.5)))
    try:
        pieces = pieces_on(area.rings, [whole])
    except AnnotationError:  # it encloses nothing, here or anywhere
        return []
    return [
        replace(
            area,
            id=new_id() if number else area.id,
            kind="polygon",
            points=one.outer,
            holes=one.holes,
        )
        for number, one in enumerate(pieces)
    ]


def _on_glass(drawn: Annotation, tissue: TissueMask) -> bool:
    """Whether the box around it holds no tissue: an outline that frames a piece is none."""
    places = (np.asarray(drawn.points) + 0.5) / tissue.downsample
    (y0, x0), (y1, x1) = (f(places, axis=0).astype(int) for f in (np.min, np.max))
    return not tissue.values[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1].any()

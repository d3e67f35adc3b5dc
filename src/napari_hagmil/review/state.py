"""The state of a review as one value: regions, decisions, annotations, steering, conclusion.

Places are (y, x) in level-0 px, pixel centres at integers. Outlines are tuples, so that
states can be compared and never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple
from uuid import uuid4

from napari_hagmil.polygons import Outline, Place, Rings
from napari_hagmil.review.classes import QUPATH_CLASSES, PathClass

Decision = Literal["unseen", "accepted", "rejected"]
AnnotationKind = Literal[
    "polygon", "freehand", "rectangle", "ellipse", "polyline", "point", "ruler"
]

#: Fewest corners of each kind.
FEWEST = {
    "polygon": 3, "freehand": 3, "rectangle": 4, "ellipse": 3, "polyline": 2, "point": 1, "ruler": 2
}  # fmt: skip

#: Kinds that enclose something, and kinds that have a length.
AREAS = frozenset({"polygon", "freehand", "rectangle", "ellipse"})
LINES = frozenset({"polyline", "ruler"})


def new_id() -> str:
    """A random id of a region or annotation."""
    return uuid4().hex[:12]


class ReviewPatch(NamedTuple):
    """A patch of a region under review.

    Attributes
    ----------
    box : tuple of float
        y0, x0, y1, x1 in level-0 px.
    score : float
        Percentile of its attention, 0 to 100.
    decision : str
        "accepted" or "rejected" where it differs from its region; "unseen": as the region.
    """

    box: tuple[float, float, float, float]
    score: float
    decision: Decision = "unseen"


@dataclass(frozen=True, slots=True)
class ReviewRegion:
    """An attention region under review.

    Attributes
    ----------
    id : str
        Stays the same when the region is edited.
    polygon : Outline
        Its outer ring.
    holes : tuple of Outline
        Areas inside that do not belong to it.
    score : float or None
        Percentile of its highest patch, 0 to 100; None when it was drawn by hand.
    depth : int or None
        Depth of the cascade that found it, 0 = coarsest; None when it was drawn by hand.
    provenance : str
        Where it comes from: "demo at 40×", "merged", "split", "redrawn".
    decision : str
        "unseen", "accepted" or "rejected".
    path_class : str
        Name of its class; empty while it has none.
    comment : str
        The user's text.
    patches : tuple of ReviewPatch
        The patches that stand out in it, highest score first. None when it was drawn by hand, and
        in reviews of versions that drew a region around every few patches.
    """

    id: str
    polygon: Outline
    holes: tuple[Outline, ...] = ()
    score: float | None = None
    depth: int | None = None
    provenance: str = ""
    decision: Decision = "unseen"
    path_class: str = ""
    comment: str = ""
    patches: tuple[ReviewPatch, ...] = ()

    @property
    def rings(self) -> Rings:
        """Its outlines."""
        return Rings(self.polygon, self.holes)

    @property
    def touched(self) -> bool:
        """Whether the user has decided, classified or commented on it; then no run replaces it."""
        decided = (self.decision, *(one.decision for one in self.patches))
        return any(one != "unseen" for one in decided) or bool(self.path_class or self.comment)


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something the user drew.

    Attributes
    ----------
    id : str
        Stays the same when it is edited.
    kind : str
        "polygon", "freehand", "rectangle" (four corners), "ellipse" (corners on it), "polyline"
        (two or more, open), "point" (one) or "ruler" (two).
    points : Outline
        Its corners; of an area, those of its outer ring.
    path_class : str
        Name of its class; empty while it has none.
    comment : str
        The user's text.
    holes : tuple of Outline
        Areas inside that do not belong to it.
    parent : str
        Id of the annotation that it is a part of; empty for none. `drawing.nesting` passes over
        one that is not there.
    locked : bool
        Whether its outline, its parent and its being there are kept as they are.
    """

    id: str
    kind: AnnotationKind
    points: Outline
    path_class: str = ""
    comment: str = ""
    holes: tuple[Outline, ...] = ()
    parent: str = ""
    locked: bool = False

    @property
    def is_area(self) -> bool:
        """Whether it encloses something."""
        return self.kind in AREAS

    @property
    def rings(self) -> Rings:
        """The outlines of an area."""
        return Rings(self.points, self.holes)

    @property
    def complete(self) -> bool:
        """Whether it has as many corners as its kind needs."""
        return len(self.points) >= FEWEST[self.kind]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The user's conclusion on the slide as a whole.

    Attributes
    ----------
    path_class : str
        For instance one of the model's classes; empty while there is no conclusion.
    text : str
        The user's text.
    """

    path_class: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class SignOff:
    """Who finished a review, and when.

    Attributes
    ----------
    reviewer : str
        As the reviewer writes the name.
    date : str
        ISO 8601 with its time zone.
    """

    reviewer: str
    date: str


@dataclass(frozen=True, slots=True)
class ReviewState:
    """Everything that the user has decided, drawn and corrected on one slide.

    Attributes
    ----------
    regions : tuple of ReviewRegion
        Best first, as found.
    annotations : tuple of Annotation
        In the order they were drawn.
    classes : tuple of PathClass
        Names and colours on offer.
    pins : tuple of Place
        Branches to follow whatever their attention: `cascade.Steering.follow`.
    vetoes : tuple of Outline
        Places to leave out: `cascade.Steering.leave_out`.
    tissue : tuple of Outline or None
        Rings filled together by the even-odd rule, so that a ring in a ring is a hole; None:
        the tissue that is found automatically.
    mpp_override : float or None
        µm per level-0 px as the user corrected it; None: as the file says.
    conclusion : Conclusion
        On the slide as a whole.
    signed : SignOff or None
        None while it is not finished.
    """

    regions: tuple[ReviewRegion, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    classes: tuple[PathClass, ...] = QUPATH_CLASSES
    pins: tuple[Place, ...] = ()
    vetoes: tuple[Outline, ...] = ()
    tissue: tuple[Outline, ...] | None = None
    mpp_override: float | None = None
    conclusion: Conclusion = Conclusion()
    signed: SignOff | None = None

"""What a report shows beside the result: regions with decisions, pictures, who signed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.cascade.result import SlideResult
from napari_hagmil.export.pictures.overview import Mark, Picture, overview_picture, stage_picture
from napari_hagmil.export.signature import Signature
from napari_hagmil.geometry import magnification_label
from napari_hagmil.polygons import Place
from napari_hagmil.review import Conclusion, ReviewRegion
from napari_hagmil.review.measure import area_label, region_area_um2
from napari_hagmil.review.patches import centres_of, decision_of

#: More regions than anyone reads on paper are counted, not shown.
MOST_REGIONS = 40

_DECISIONS = {"accepted": "✓ accepted", "rejected": "✗ rejected", "unseen": "○ no decision"}


@dataclass(frozen=True, slots=True, eq=False)
class ReportRegion:
    """A region as the report shows it.

    Attributes
    ----------
    mark : Mark
        Its outlines, and what was decided on it.
    place : Place
        Where its highest attention is, or its middle.
    area_um2 : float or None
        None where the pixel size is unknown.
    score : float or None
        None when it was drawn by hand.
    patches : str
        How many there are, and how many of them were decided differently; "" without any.
    decision : str
        In words; "" where nobody was asked.
    words : str
        Class and comment.
    """

    mark: Mark
    place: Place
    area_um2: float | None
    score: float | None = None
    patches: str = ""
    decision: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class SignedReview:
    """What a person adds to a report.

    Attributes
    ----------
    signature : Signature
        Who, when, of which slide.
    conclusion : Conclusion
        On the slide as a whole.
    n_annotations : int
        Own annotations.
    """

    signature: Signature
    conclusion: Conclusion
    n_annotations: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ReportContent:
    """What a report shows beside the result.

    Attributes
    ----------
    regions : sequence of ReportRegion
        Best first; those beyond the first 40 are counted, not shown.
    pictures : sequence of (h, w, 3) uint8
        RGB of the regions that are shown, in their order.
    overview : (h, w, 3) uint8 or None
        From `overview_picture`, with the regions' numbers.
    depths : sequence of (h, w, 3) uint8
        From `stage_picture`, coarse to fine.
    review : SignedReview or None
        None where nobody has reviewed the slide.
    in_srgb : bool
        Whether the pictures were turned to sRGB by the slide's ICC profile.
    """

    regions: Sequence[ReportRegion] = ()
    pictures: Sequence[Picture] = ()
    overview: Picture | None = None
    depths: Sequence[Picture] = ()
    review: SignedReview | None = None
    in_srgb: bool = False


def found_region(region: AttentionRegion) -> ReportRegion:
    """A region as an analysis found it."""
    return ReportRegion(
        Mark(region.rings),
        region.peak,
        region.area_um2,
        region.score,
        _patches(len(region.patches), 0),
    )


def reviewed_region(region: ReviewRegion, mpp: float | None) -> ReportRegion:
    """A region as a person left it; `mpp` is None where the pixel size is unknown."""
    corners = np.asarray(region.polygon)
    y, x = (corners.min(axis=0) + corners.max(axis=0)) / 2
    if region.patches:
        y, x = centres_of(region.patches[:1])[0]
    own = sum(decision_of(region, one) != region.decision for one in region.patches)
    return ReportRegion(
        Mark(region.rings, region.decision),
        (float(y), float(x)),
        None if mpp is None else region_area_um2(region, mpp),
        region.score,
        _patches(len(region.patches), own),
        _DECISIONS[region.decision],
        " · ".join(word for word in (region.path_class, region.comment) if word),
    )


def with_overviews(
    content: ReportContent, result: SlideResult, thumbnail: Picture, downsample: float
) -> ReportContent:
    """The same with its overviews drawn over a picture of the whole slide.

    `downsample` is level-0 pixels per pixel of the picture.
    """
    marks = [one.mark for one in content.regions[:MOST_REGIONS]]
    return ReportContent(
        content.regions,
        content.pictures,
        overview_picture(thumbnail, downsample, result, marks),
        [stage_picture(thumbnail, downsample, result, stage) for stage in result.stages],
        content.review,
    )


def depth_label(result: SlideResult, depth: int) -> str:
    """The magnification of a depth: ``"10×"``."""
    return magnification_label(result.slide.mpp * result.grids[depth].downsample)


def area_text(region: ReportRegion) -> str:
    """The area of a region; empty where it is not known."""
    return "" if region.area_um2 is None else area_label(region.area_um2)


def _patches(n: int, own: int) -> str:
    if not n:
        return ""
    said = f"{n:,} patch{'' if n == 1 else 'es'}"
    return f"{said}, {own} decided alone" if own else said

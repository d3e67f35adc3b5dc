"""Finishing a slide: report, table and outlines in one go, all of them or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_hagmil.cascade import Cost, ModelFacts, Settings, SlideResult
from napari_hagmil.export.report import (
    MOST_REGIONS,
    ReportContent,
    SignedReview,
    report_page,
    reviewed_region,
    with_overviews,
)
from napari_hagmil.export.report.facts import write_report
from napari_hagmil.export.review import ReviewWish, review_files, write_review
from napari_hagmil.export.signature import Signature
from napari_hagmil.files import drafting, move_together
from napari_hagmil.geometry import Region, square_around
from napari_hagmil.plugin.overview import Picture, overview_picture
from napari_hagmil.prepare import slide_summary
from napari_hagmil.review import ReviewRegion, ReviewState
from napari_hagmil.review.queue import tally
from napari_hagmil.session.numbers import counted
from napari_hagmil.session.session import Session
from napari_hagmil.slide import Slide, read_scaled
from napari_hagmil.slide.shown import white_of

Print = Callable[[str, Path], None]
"""Writes a page, given as HTML, into a PDF."""

#: Long side of the overview, side of a region's picture, px, and what is around the region.
_OVERVIEW, _PICTURE, _AROUND = 1600, 256, 1.2

_WISH = ReviewWish(accepted_only=False, formats=("csv", "geojson"))


def sign_off_files(path: Path) -> list[Path]:
    """The files that `write_sign_off` writes: report, report on paper, table, outlines."""
    table, outlines = review_files(path, _WISH.formats)
    return [table.with_suffix(".html"), table.with_suffix(".pdf"), table, outlines]


def still_open(state: ReviewState) -> str:
    """What a reviewer may have forgotten, as a sentence; empty where nothing is missing."""
    missing = [] if state.conclusion.path_class else ["there is no conclusion on the slide"]
    if undecided := tally(state.regions)["unseen"]:
        verb = "has" if undecided == 1 else "have"
        missing.append(f"{counted(undecided, 'region')} {verb} no decision")
    said = " and ".join(missing)
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def write_sign_off(
    session: Session, path: Path, signature: Signature, print_pdf: Print
) -> list[Path]:
    """Write every file of the open slide's review.

    Regions and annotations are written with their decisions, whatever these are; without a region,
    and without an analysis, conclusion and slide are.

    Parameters
    ----------
    session : Session
        With an open slide.
    path : Path
        With the ending of a file, or without.
    signature : Signature
        Who signs.
    print_pdf : callable
        Writes HTML into a PDF.

    Returns
    -------
    list of Path
        See `sign_off_files`; files of these names are replaced.

    Raises
    ------
    OutputError
        When one of them cannot be written; then none is.
    """
    slide, sitting = session.slide, session.sitting
    assert slide is not None
    assert sitting is not None
    targets = sign_off_files(path)
    result = session.result or _not_run(slide)
    content = _content(slide, sitting.state, signature, result)
    with drafting(targets[0]) as folder:
        folder.mkdir()
        drafts = [folder / one.name for one in targets]
        write_report(result, drafts[0], content)
        print_pdf(report_page(result, content, layout="print"), drafts[1])
        write_review(drafts[2], sitting.state, _WISH, mpp=slide.mpp, signature=signature)
        move_together(list(zip(drafts, targets, strict=True)))
    return targets


def _content(
    slide: Slide, state: ReviewState, signature: Signature, result: SlideResult
) -> ReportContent:
    height, width = slide.shape
    downsample = max(1.0, max(height, width) / _OVERVIEW)
    shape = max(1, round(height / downsample)), max(1, round(width / downsample))
    content = ReportContent(
        regions=[reviewed_region(one, slide.mpp) for one in state.regions],
        pictures=[_picture(slide, one) for one in state.regions[:MOST_REGIONS]],
        review=SignedReview(signature, state.conclusion, len(state.annotations)),
        in_srgb=slide.colors == "srgb" and slide.color_profile is not None,
    )
    whole = _pixels(slide, Region(0, 0, height, width), shape)
    return with_overviews(content, result, whole, downsample)


def _picture(slide: Slide, region: ReviewRegion) -> Picture:
    (y0, x0), (y1, x1) = (f(np.asarray(region.polygon), axis=0) for f in (np.min, np.max))
    reach = _AROUND * max(y1 - y0, x1 - x0, float(_PICTURE))
    return _pixels(slide, square_around((y0, x0, y1, x1), reach, slide.shape), (_PICTURE,) * 2)


def _pixels(slide: Slide, place: Region, shape: tuple[int, int]) -> Picture:
    """A part of the slide as RGB in 8 bits; what cannot be read is hatched."""
    pixels = slide.shown(read_scaled(slide, place, shape, mark_unreadable=True))
    white = None
    if slide.is_rgb and slide.dtype != np.uint8:
        white = white_of(np.asarray(slide.view_levels()[-1]))
    return overview_picture(pixels, max(shape), rgb=slide.is_rgb, white=white)


def _not_run(slide: Slide) -> SlideResult:
    """What stands in a report for an analysis that was never made."""
    return SlideResult(
        state="cancelled",
        slide=slide_summary(slide),
        model=ModelFacts("", "", "", ()),
        settings=Settings((), ""),
        grids=(),
        cascade=None,
        cost=Cost(0, 0, 0, 0, 0, {}),
    )

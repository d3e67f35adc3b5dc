"""What a report says, and the page that says it."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from napari_hagmil.cascade.result import SlideResult, Stage
from napari_hagmil.export.report.content import (
    MOST_REGIONS,
    ReportContent,
    ReportRegion,
    SignedReview,
    area_text,
    depth_label,
)
from napari_hagmil.export.result_json import versions
from napari_hagmil.files import replacing
from napari_hagmil.geometry import magnification_label
from napari_hagmil.untrusted import well_formed

Layout = Literal["page", "print"]

#: Of the pictures in a page: nobody sees the difference, and a page can be mailed.
_JPEG_QUALITY = 88

#: Longer side of the overview on paper, px of 1/96 inch: its legend can be read.
_PRINTED = 480


def write_report(
    result: SlideResult, path: str | Path, content: ReportContent | None = None
) -> None:
    """Write a self-contained HTML page, whatever the result's state.

    Parameters
    ----------
    result : SlideResult
        The analysis that the page describes.
    path : path
        Replaced whole.
    content : ReportContent, optional
        Regions, pictures, and who reviewed them.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    page = report_page(result, content)
    with replacing(Path(path)) as draft:
        draft.write_text(page, encoding="utf-8")


def report_page(
    result: SlideResult, content: ReportContent | None = None, *, layout: Layout = "page"
) -> str:
    """The report as HTML: "page" for browsers, "print" for Qt's smaller idea of HTML."""
    content = content or ReportContent()
    # A slide's name is text from outside: everything is escaped, nothing marked safe.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = resources.files(__package__).joinpath(f"{layout}.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        _facts(result),
        colors=_colors(result, content),
        overview=None if content.overview is None else _inline(content.overview),
        overview_width=_printed_width(content.overview),
        overviews=[
            {"magnification": depth_label(result, stage.depth), "picture": _inline(picture)}
            for stage, picture in zip(result.stages, content.depths, strict=False)
        ],
        regions=_region_cards(content, result.slide.mpp),
        n_regions=len(content.regions),
        review=None if content.review is None else _review(content.review),
        tally=_tally(content),
    )
    return well_formed(page)


def _facts(result: SlideResult) -> dict[str, Any]:
    """Everything of the page that the result itself says."""
    slide = result.slide
    known = slide.mpp > 0
    width, height = (side * slide.mpp / 1000 for side in (slide.width, slide.height))
    return {
        "state": result.state,
        "unread": str(result.unread),
        "unfit": result.unfit,
        "slide": slide,
        "mpp": f"{slide.mpp:.4g} µm ({slide.mpp_source})" if known else "unknown",
        "size_mm": f"{width:.1f} × {height:.1f} mm" if known else "unknown",
        "was_run": bool(result.model.sha256),
        "uncertainty": _uncertainty(result),
        "never_viewed": _never_viewed(result),
        "model": result.model,
        "settings": result.settings,
        "budget": _budget(result),
        "prediction": _prediction(result),
        "depths": [_depth(result, stage) for stage in result.stages],
        "costs": _cost_bars(result),
        "cost_sentence": _cost_sentence(result),
        "megabytes": f"{result.cost.bytes_read / 1e6:,.0f}",
        "seconds": {name: f"{s:.1f}" for name, s in result.cost.seconds.items()},
        "notes": result.notes,
        "versions": versions(),
    }


def _prediction(result: SlideResult) -> dict[str, str] | None:
    called = result.prediction
    if called is None:
        return None
    probability = float(called.probabilities.max())
    return {"class": called.predicted_class, "probability": percent(probability)}


def _budget(result: SlideResult) -> str:
    if result.settings.exhaustive:
        return "every patch (exhaustive)"
    return ", ".join(str(k) for k in result.settings.budget) or "–"


def _colors(result: SlideResult, content: ReportContent) -> str:
    """What the file says of its colours, and which of them the model and these pictures show."""
    named = result.slide.color_profile
    if not named:
        return "the file's, which has no ICC profile"
    said = [f"ICC profile {named}"]
    if result.model.sha256:
        seen = "in sRGB" if result.settings.colors == "srgb" else "as the file has them"
        said.append(f"the model saw colours {seen}")
    said.append(f"pictures are {'in sRGB' if content.in_srgb else 'as the file has them'}")
    return "; ".join(said)


def _depth(result: SlideResult, stage: Stage) -> dict[str, Any]:
    mpp = result.slide.mpp * result.grids[stage.depth].downsample
    return {
        "magnification": magnification_label(mpp),
        "mpp": f"{mpp:.3g}",
        "nodes": f"{len(stage.nodes):,}",
        "followed": f"{int(stage.followed.sum()):,}" if stage.followed.any() else "–",
        "unread": f"{len(stage.unread):,}",
        "bars": [
            _bar(name, float(p), percent(float(p)))
            for name, p in zip(result.model.classes, stage.probabilities, strict=True)
        ],
    }


def _cost_bars(result: SlideResult) -> list[dict[str, str]]:
    encoded, exhaustive = result.cost.patches_encoded, result.cost.patches_exhaustive
    if not exhaustive:
        return []
    if not encoded:  # the features were stored
        return [_bar("All tissue patches", 1.0, f"{exhaustive:,}")]
    return [
        _bar("Patches encoded", encoded / max(encoded, exhaustive), f"{encoded:,}"),
        _bar("All tissue patches", exhaustive / max(encoded, exhaustive), f"{exhaustive:,}"),
    ]


def _cost_sentence(result: SlideResult) -> str:
    cost = result.cost
    share = percent(cost.patches_encoded / max(cost.patches_exhaustive, 1))
    # A followed patch is read with all of its children, and glass may be among them.
    beyond = cost.patches_encoded > cost.patches_exhaustive
    glass = " (patches at the edge of the tissue are read too)" if beyond else ""
    which = f"{share} of the tissue patches of all magnifications{glass}"
    if not cost.patches_encoded:
        which = "The features were stored: no patch was encoded"
    return which


def _uncertainty(result: SlideResult) -> list[str]:
    """Sentences on how far the prediction can be relied on."""
    called, said = result.prediction, result.uncertainty
    if called is None:
        return []
    shares = ", ".join(
        f"{name} {percent(float(p))}"
        for name, p in zip(called.classes, called.probabilities, strict=True)
    )
    sentences = [f"Probabilities: {shares}."]
    sentences += [
        f"{name} is called from {percent(at)} on." for name, at in called.thresholds.items()
    ]
    sentences += [said.sentence] if said.sentence else []
    if said.temperature is None:
        sentences.append(
            "They were not calibrated: a probability of 90 % does not mean that nine of ten such "
            "slides are of this class."
        )
    else:
        sentences.append(f"They were calibrated on {said.validation_slides} validation slides.")
    if said.unfamiliarity is not None:
        unlike = "unlike" if said.unfamiliarity > 1 else "like"
        sentences.append(
            f"The slide is {unlike} those of the training: its distance is "
            f"{said.unfamiliarity:.2f} of the limit."
        )
    return sentences


def _never_viewed(result: SlideResult) -> str:
    """How much of the tissue the model never saw at the deciding magnification."""
    if not result.stages or not result.cost.finest_tissue:
        return ""
    stage = result.stages[-1]
    tissue = max(result.cost.finest_tissue, 1)
    seen = min(len(stage.nodes), tissue)
    return (
        f"At {depth_label(result, stage.depth)} the model looked at {seen:,} of {tissue:,} patches "
        f"with tissue ({percent(seen / tissue)}); {percent(1 - seen / tissue)} was never seen at "
        "this magnification, and nothing is known of it but what coarser depths saw."
    )


def _printed_width(overview: NDArray[np.uint8] | None) -> int:
    """Width of the overview on paper, so that it stands on the first page."""
    if overview is None:
        return 0
    height, width = overview.shape[:2]
    return int(_PRINTED * min(1.0, width / height))


def _tally(content: ReportContent) -> str:
    """What was decided, in words; empty where nobody was asked."""
    if content.review is None:
        return ""
    decisions = [one.mark.decision for one in content.regions]
    accepted, rejected = decisions.count("accepted"), decisions.count("rejected")
    open_, drawn = decisions.count("unseen"), content.review.n_annotations
    return (
        f"{accepted} accepted, {rejected} rejected, {open_} without a decision; "
        f"{drawn} own annotation{'' if drawn == 1 else 's'}."
    )


def _review(review: SignedReview) -> dict[str, str]:
    sign, said = review.signature, review.conclusion
    return {
        "reviewer": sign.reviewer or "not named",
        "date": f"{sign.signed:%Y-%m-%d %H:%M %Z}".strip() if sign.signed else "–",
        "class": said.path_class or "no class",
        "text": said.text,
        "intended_use": sign.intended_use,
    }


def _region_cards(content: ReportContent, mpp: float) -> list[dict[str, Any]]:
    shown = content.regions[:MOST_REGIONS]
    inline: list[str | None] = [_inline(one) for one in content.pictures[: len(shown)]]
    inline += [None] * (len(shown) - len(inline))
    return [
        {
            "number": number,
            "picture": picture,
            "score": "drawn by hand" if one.score is None else f"score {one.score:.1f}",
            "area": " · ".join(filter(None, (area_text(one), one.patches))),
            "position": _position(one, mpp),
            "decision": one.decision,
            "words": one.words,
        }
        for number, (one, picture) in enumerate(zip(shown, inline, strict=True), start=1)
    ]


def _position(region: ReportRegion, mpp: float) -> str:
    """Distance from the slide's corner, half a pixel before the first centre."""
    y, x = ((at + 0.5) for at in region.place)
    if not mpp > 0:
        return f"x {x:,.0f}, y {y:,.0f} px"
    return f"x {x * mpp / 1000:.2f}, y {y * mpp / 1000:.2f} mm"


def percent(share: float) -> str:
    """Format a share as a percentage that never reads 0 or 100 % unless it is."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def _bar(name: str, share: float, text: str) -> dict[str, str]:
    return {"name": name, "width": f"{100 * min(max(share, 0.0), 1.0):.2f}", "text": text}


def _inline(picture: NDArray[np.uint8]) -> str:
    how = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    data = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), how)[1]
    return "data:image/jpeg;base64," + base64.b64encode(bytes(data)).decode("ascii")

"""report.html: one self-contained page to read, mail or print."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from napari_hagmil.attention import AttentionRegion
from napari_hagmil.cascade.result import SlideResult, Stage
from napari_hagmil.export.overview import encode_png
from napari_hagmil.export.result_json import versions
from napari_hagmil.files import replacing
from napari_hagmil.geometry import magnification_label
from napari_hagmil.untrusted import well_formed

#: Regions shown; further ones are counted, since nobody reads more on paper.
_MOST_REGIONS = 12


def write_report(
    result: SlideResult,
    path: str | Path,
    *,
    overview: NDArray[np.uint8] | None = None,
    regions: Sequence[AttentionRegion] = (),
    pictures: Sequence[NDArray[np.uint8]] = (),
) -> None:
    """Write a self-contained HTML page, whatever the result's state.

    Parameters
    ----------
    result : SlideResult
        The analysis that the page describes.
    path : path
        Replaced whole.
    overview : (h, w, 3) uint8, optional
        RGB, from `overview_picture`.
    regions : sequence of AttentionRegion
        Best first; the first 12 are shown.
    pictures : sequence of (h, w, 3) uint8
        RGB of the first regions, in their order; may be fewer.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    # A slide's name is text from outside: everything is escaped, nothing marked safe.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    source = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        _facts(result),
        overview=None if overview is None else _inline(overview),
        regions=_region_cards(regions, pictures, result.slide.mpp),
        n_regions=len(regions),
    )
    with replacing(Path(path)) as draft:
        draft.write_text(well_formed(page), encoding="utf-8")


def _facts(result: SlideResult) -> dict[str, Any]:
    """Everything of the page that the result itself says."""
    slide = result.slide
    width, height = (side * slide.mpp / 1000 for side in (slide.width, slide.height))
    return {
        "state": result.state,
        "unread": str(result.unread),
        "unfit": result.unfit,
        "doubt": result.uncertainty.sentence,
        "slide": slide,
        "mpp": f"{slide.mpp:.4g}",
        "size_mm": f"{width:.1f} × {height:.1f} mm",
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


def _region_cards(
    regions: Sequence[AttentionRegion], pictures: Iterable[NDArray[np.uint8]], mpp: float
) -> list[dict[str, Any]]:
    shown = list(regions[:_MOST_REGIONS])
    inline: list[str | None] = [_inline(p) for _, p in zip(shown, pictures, strict=False)]
    inline += [None] * (len(shown) - len(inline))
    return [
        {
            "picture": picture,
            "score": f"{region.score:.1f}",
            "area": f"{region.area_um2 / 1e6:.3g} mm²",
            # Distance from the slide's edge, half a pixel before the first centre.
            "position": "x {:.2f}, y {:.2f} mm".format(
                *((at + 0.5) * mpp / 1000 for at in reversed(region.peak))
            ),
        }
        for region, picture in zip(shown, inline, strict=True)
    ]


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
    return "data:image/png;base64," + base64.b64encode(encode_png(picture)).decode("ascii")

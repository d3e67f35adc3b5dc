"""The open slide in words."""

from __future__ import annotations

from napari_hagmil.geometry import magnification_label
from napari_hagmil.session.numbers import counted, millimetres
from napari_hagmil.slide import Slide, slide_info


def slide_facts(slide: Slide, *, corrected: bool) -> str:
    """Size, pixel size and its source, scanner and levels, over a few lines.

    Parameters
    ----------
    slide : Slide
        What is open.
    corrected : bool
        Whether the reader of the slide has set its pixel size.
    """
    height, width = slide.shape
    lines = [f"{width:,} × {height:,} px"]
    if slide.mpp is not None:
        lines[0] += f" · {millimetres(height, width, slide.mpp)}"
        source = "set by you" if corrected else f"from {slide.mpp_source}"
        lines.append(f"{slide.mpp:.4g} µm/px ({magnification_label(slide.mpp)}), {source}")
    return "\n".join([*lines, _scanner(slide)])


def _scanner(slide: Slide) -> str:
    """What the file says about its making; none of it can name a patient."""
    info = slide_info(slide)
    parts = [str(info["vendor"])] if info["vendor"] != "unknown" else []
    if info["objective"]:
        parts.append(f"objective {info['objective']:g}×")
    parts.append(f"{counted(len(info['levels']), 'level')}, {info['compression']}")
    if info["associated_images"]:
        parts.append(f"not shown: {', '.join(info['associated_images'])}")
    return " · ".join(parts)

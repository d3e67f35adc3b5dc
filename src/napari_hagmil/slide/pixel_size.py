"""Choose the pixel size: the user's, the vendor's, the resolution tags' or the objective's.

A wrong pixel size makes a model look at the wrong magnification, silently. A value that no light
microscope has is therefore never taken from a file: the slide opens without a pixel size and says
why, and `Slide.require_mpp` raises for whoever needs one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_hagmil.errors import MissingPixelSizeError, Problem, Remedy
from napari_hagmil.geometry import MPP_AT_1X, PLAUSIBLE_MPP, is_plausible_mpp
from napari_hagmil.slide.interface import SlideFacts

#: Two pixel sizes that differ by more than this share contradict each other. Scanners sold as
#: 40× differ by 10 %; the next magnification differs by 100 %.
DISAGREEMENT = 0.2

#: Sides of a pixel that differ by more than this share are reported: no scanner means them to.
_NOT_SQUARE = 0.02

_GIVE_MPP = Remedy(
    library="give mpp= in µm per pixel of level 0",
    command_line="give --mpp in µm per pixel of level 0",
    window="enter the µm per pixel in the Slide tab",
)
_CHECK_MPP = Remedy(
    library="check mpp=",
    command_line="check --mpp",
    window="check the µm per pixel in the Slide tab",
)
_CORRECT_MPP = Remedy(
    library="give mpp= if that is wrong",
    command_line="give --mpp if that is wrong",
    window="correct the µm per pixel in the Slide tab if that is wrong",
)


@dataclass(frozen=True, slots=True)
class ChosenPixelSize:
    """The pixel size that a slide is opened with.

    Attributes
    ----------
    mpp : float or None
        µm per level-0 pixel.
    source : str
        "given", "Aperio MPP tag", "TIFF resolution", "objective power", "none".
    problems : tuple of Problem
        What the user should know about it; without a pixel size, the first says why.
    """

    mpp: float | None
    source: str
    problems: tuple[Problem, ...] = ()


def choose_pixel_size(name: str, facts: SlideFacts, given: float | None = None) -> ChosenPixelSize:
    """Apply the order: given, vendor tag, TIFF resolution, objective power.

    Parameters
    ----------
    name : str
        The slide, for messages.
    facts : SlideFacts
        What the file says.
    given : float or None
        What the user says, µm per level-0 pixel.

    Raises
    ------
    MissingPixelSizeError
        When the given value is not a positive number.
    """
    stated = _stated(name, facts)
    if given is None:
        return stated
    if not (math.isfinite(given) and given > 0):
        raise MissingPixelSizeError(
            name, "needs a positive pixel size", value=f"{given} µm/px", remedy=_GIVE_MPP
        )
    problems = []
    if not is_plausible_mpp(given):
        rule = f"is read with the given pixel size {given:.4g} µm/px, outside the usual {_range()}"
        problems.append(Problem(name, rule, remedy=_CHECK_MPP))
    if stated.mpp is not None and abs(given / stated.mpp - 1) > DISAGREEMENT:
        rule = (
            f"states {stated.mpp:.4g} µm/px ({stated.source}), "
            f"but {given:.4g} µm/px was given and is used"
        )
        problems.append(Problem(name, rule))
    return ChosenPixelSize(float(given), "given", tuple(problems))


def _stated(name: str, facts: SlideFacts) -> ChosenPixelSize:
    if not facts.pixel_sizes:
        return _from_objective(name, facts.objective)
    best = facts.pixel_sizes[0]
    y, x = best.mpp
    mpp = math.sqrt(y * x) if y > 0 and x > 0 else 0.0
    if not is_plausible_mpp(mpp):
        return ChosenPixelSize(None, "none", (_implausible(name, mpp, best.source),))
    problems: tuple[Problem, ...] = ()
    if abs(y / x - 1) > _NOT_SQUARE:
        rule = (
            f"has pixels of {y:.4g} × {x:.4g} µm (y, x), which are not square; "
            f"their geometric mean {mpp:.4g} is used"
        )
        problems = (Problem(name, rule),)
    return ChosenPixelSize(mpp, best.source, problems)


def _from_objective(name: str, objective: float | None) -> ChosenPixelSize:
    if objective is None or objective <= 0:
        return ChosenPixelSize(
            None, "none", (Problem(name, "has no pixel size", remedy=_GIVE_MPP),)
        )
    mpp = MPP_AT_1X / objective
    if not is_plausible_mpp(mpp):
        return ChosenPixelSize(None, "none", (_implausible(name, mpp, "objective power"),))
    rule = f"has no pixel size; {mpp:.4g} µm/px is guessed from the {objective:g}× objective"
    return ChosenPixelSize(mpp, "objective power", (Problem(name, rule, remedy=_CORRECT_MPP),))


def _implausible(name: str, mpp: float, source: str) -> Problem:
    rule = (
        f"states a pixel size of {mpp:.4g} µm ({source}), outside the plausible {_range()}, "
        "so it is not used"
    )
    return Problem(name, rule, remedy=_GIVE_MPP)


def _range() -> str:
    return f"{PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g} µm"

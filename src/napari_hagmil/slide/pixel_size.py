"""Which pixel size to believe: the user's, the vendor's, the resolution's, the objective's.

A wrong pixel size makes a model look at the wrong magnification without a word. Values that
no light microscope has are therefore never used silently: the slide is opened without a
pixel size, says why, and whoever needs one asks for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_hagmil.errors import MissingPixelSizeError
from napari_hagmil.geometry import MPP_AT_1X, PLAUSIBLE_MPP, is_plausible_mpp
from napari_hagmil.slide.interface import SlideFacts

#: Above this share two statements of the same pixel size contradict each other.
DISAGREEMENT = 0.2

#: The remedy, for Python and for the command line: the same sentence is shown in both.
_ASK = "give mpp= (on the command line --mpp) in µm per pixel of level 0"


@dataclass(frozen=True, slots=True)
class ChosenPixelSize:
    """The pixel size that a slide is opened with.

    Attributes
    ----------
    mpp : float or None
        µm per level-0 pixel.
    source : str
        "given", "Aperio MPP tag", "TIFF resolution", "objective power", "none".
    warnings : tuple of str
        Sentences for the user.
    """

    mpp: float | None
    source: str
    warnings: tuple[str, ...] = ()


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
        raise MissingPixelSizeError(f"{name} needs a positive pixel size, got mpp={given}; " + _ASK)
    warnings = []
    if not is_plausible_mpp(given):
        warnings.append(
            f"{name} is read with the given pixel size {given:.4g} µm/px, "
            f"outside the usual {_range()}; check mpp= (on the command line --mpp)"
        )
    if stated.mpp is not None and abs(given / stated.mpp - 1) > DISAGREEMENT:
        warnings.append(
            f"{name} states {stated.mpp:.4g} µm/px ({stated.source}), "
            f"but mpp={given:.4g} was given and is used"
        )
    return ChosenPixelSize(float(given), "given", tuple(warnings))


def _stated(name: str, facts: SlideFacts) -> ChosenPixelSize:
    if not facts.pixel_sizes:
        return _from_objective(name, facts.objective)
    best = facts.pixel_sizes[0]
    y, x = best.mpp
    mpp = math.sqrt(y * x) if y > 0 and x > 0 else 0.0
    if not is_plausible_mpp(mpp):
        return ChosenPixelSize(None, "none", (_implausible(name, mpp, best.source),))
    warnings: tuple[str, ...] = ()
    if abs(y / x - 1) > 0.02:
        warnings = (
            f"{name} has pixels of {y:.4g} × {x:.4g} µm (y, x), which are not square; "
            f"their mean {mpp:.4g} is used",
        )
    return ChosenPixelSize(mpp, best.source, warnings)


def _from_objective(name: str, objective: float | None) -> ChosenPixelSize:
    if objective is None or objective <= 0:
        return ChosenPixelSize(None, "none", (no_pixel_size(name),))
    mpp = MPP_AT_1X / objective
    if not is_plausible_mpp(mpp):
        return ChosenPixelSize(None, "none", (_implausible(name, mpp, "objective power"),))
    warning = (
        f"{name} has no pixel size; {mpp:.4g} µm/px is guessed from the {objective:g}× objective, "
        "give mpp= (on the command line --mpp) if that is wrong"
    )
    return ChosenPixelSize(mpp, "objective power", (warning,))


def no_pixel_size(name: str) -> str:
    """Return the sentence that asks for a pixel size."""
    return f"{name} has no pixel size; {_ASK}"


def _implausible(name: str, mpp: float, source: str) -> str:
    return (
        f"{name} states a pixel size of {mpp:.4g} µm ({source}), outside the plausible "
        f"{_range()}, so it is not used; {_ASK}"
    )


def _range() -> str:
    return f"{PLAUSIBLE_MPP[0]:g} to {PLAUSIBLE_MPP[1]:g} µm"

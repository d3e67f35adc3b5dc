"""What a result says of how far its answer can be relied on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What a result says of how far its answer can be relied on.

    Attributes
    ----------
    temperature : float or None
        What the logits of the decision were divided by; None: its probabilities are not calibrated.
    error_rate : float or None
        Of slides like the validation slides, at most this share has its class outside the set.
    class_set : tuple of str
        The classes that the slide may be of; empty where none is called, or nothing is known.
    validation_slides : int
        How many slides set and temperature are of.
    distance : float or None
        How far the slide lies from those of the training, see `Familiarity`; None: not known.
    limit : float or None
        Distance above which it is unfamiliar.
    """

    temperature: float | None = None
    error_rate: float | None = None
    class_set: tuple[str, ...] = ()
    validation_slides: int = 0
    distance: float | None = None
    limit: float | None = None

    @property
    def unfamiliarity(self) -> float | None:
        """The distance as a multiple of the limit: above 1 the slide is unfamiliar."""
        if self.distance is None or not self.limit:
            return None
        return self.distance / self.limit

    @property
    def sentence(self) -> str:
        """The set in words; empty where there is none."""
        if not self.class_set or self.error_rate is None:
            return ""
        which = " or ".join(self.class_set)
        right = f"{100 * (1 - self.error_rate):g} %"
        return (
            f"Set of classes: {which}. At least {right} of slides like the "
            f"{self.validation_slides} validation slides are of a class in theirs."
        )

"""How far a reader has come with a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from napari_hagmil.review.state import Conclusion, ReviewState

ReviewStage = Literal["not begun", "undecided", "finished"]


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """How far a reader has come with a slide.

    Attributes
    ----------
    regions, decided : int
        Regions in the review, and those of them that were accepted or rejected.
    concluded : str
        The class of the conclusion, or "✓" for one without a class and for a review that was signed
        off without one; empty without either.
    """

    regions: int = 0
    decided: int = 0
    concluded: str = ""

    @property
    def stage(self) -> ReviewStage:
        """A conclusion, a sign-off or a decision on every region finishes a review."""
        if self.concluded or 0 < self.regions == self.decided:
            return "finished"
        return "undecided" if self.regions else "not begun"


def progress_of(state: ReviewState) -> ReviewProgress:
    """How far a review has come."""
    said = state.conclusion
    decided = sum(region.decision != "unseen" for region in state.regions)
    nothing = said == Conclusion() and state.signed is None
    concluded = "" if nothing else said.path_class or "✓"
    return ReviewProgress(len(state.regions), decided, concluded)

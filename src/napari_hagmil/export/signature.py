"""The signature that every export of a review carries: reviewer, slide, date and model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from napari_hagmil.review import Conclusion


@dataclass(frozen=True, slots=True)
class Signature:
    """Who reviewed which slide, when, and with which model; empty fields are left out.

    Attributes
    ----------
    slide, fingerprint : str
        The slide's name and its content.
    reviewer : str
        As the reviewer writes the name.
    signed : datetime or None
        When it was exported, with its time zone; None for exports that must not depend on it.
    model, intended_use : str
        The model whose regions were reviewed, and what it is for.
    """

    slide: str = ""
    fingerprint: str = ""
    reviewer: str = ""
    signed: datetime | None = None
    model: str = ""
    intended_use: str = ""

    @property
    def date(self) -> str:
        """ISO 8601 to the second; empty without a date."""
        return self.signed.isoformat(timespec="seconds") if self.signed else ""

    def as_json(self, conclusion: Conclusion, mpp: float | None) -> dict[str, Any]:
        """The signature as a member of a GeoJSON file; empty when nothing is known."""
        facts: dict[str, Any] = {
            "slide": self.slide,
            "fingerprint": self.fingerprint,
            "reviewer": self.reviewer,
            "date": self.date,
            "model": self.model,
            "intended_use": self.intended_use,
            "conclusion": {
                key: value
                for key, value in (("class", conclusion.path_class), ("text", conclusion.text))
                if value
            },
        }
        said = {key: value for key, value in facts.items() if value}
        return {**said, "mpp": mpp} if said and mpp is not None else said

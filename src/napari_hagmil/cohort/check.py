"""Check a cohort before the long work begins: its table, its files, its pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.cohort.read import survey
from napari_hagmil.errors import Problem
from napari_hagmil.geometry import magnification_label
from napari_hagmil.slide import open_slide, require_brightfield


@dataclass(frozen=True, slots=True)
class TableCheck:
    """A cohort's table, and everything that is wrong with it.

    Attributes
    ----------
    records : tuple of SlideRecord
    classes : tuple of str
    problems : tuple of str
        As `read_cohort` raises them: missing files, patients across parts, slides named twice …
    notes : tuple of str
    """

    records: tuple[SlideRecord, ...]
    classes: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Slides of each class, by part; "" where the table names no part."""
        found: dict[str, Counter[str]] = {}
        for record in self.records:
            found.setdefault(record.split or "", Counter())[record.label] += 1
        return {part: dict(sorted(found[part].items())) for part in sorted(found)}


@dataclass(frozen=True, slots=True)
class SlideCheck:
    """What was found when a slide was opened.

    Attributes
    ----------
    record : SlideRecord
    size_bytes : int
        Of a file; 0 for a folder or an address.
    mpp : float or None
        µm per level-0 pixel.
    shape : (int, int) or None
        Height and width in level-0 pixels; None where it cannot be opened.
    backend, fingerprint : str
    problem : Problem or None
        Why it cannot be used.
    """

    record: SlideRecord
    size_bytes: int = 0
    mpp: float | None = None
    shape: tuple[int, int] | None = None
    backend: str = ""
    fingerprint: str = ""
    problem: Problem | None = None

    @property
    def magnification(self) -> str:
        """``"40×"``, or "unknown"."""
        return magnification_label(self.mpp) if self.mpp else "unknown"

    @property
    def area_mm2(self) -> float:
        """Of the whole slide, glass and tissue; 0 where its size is unknown."""
        if self.shape is None or self.mpp is None:
            return 0.0
        return self.shape[0] * self.shape[1] * (self.mpp / 1000) ** 2


def check_table(csv_path: str | Path) -> TableCheck:
    """Read a table, and everything that is wrong with it.

    Raises
    ------
    CohortError
        When it cannot be read as a table of slides at all.
    """
    cohort, problems = survey(csv_path)
    return TableCheck(cohort.records, cohort.classes, tuple(problems), cohort.notes)


def check_slides(
    records: Sequence[SlideRecord], *, mpp: float | None = None
) -> Iterator[SlideCheck]:
    """Open every slide whose file is there; no pixel is decoded.

    Parameters
    ----------
    records : sequence of SlideRecord
    mpp : float, optional
        µm per level-0 pixel, where the slides' files are silent.
    """
    for record in records:
        if record.path.name and record.path.exists():
            yield _checked(record, mpp)


def _checked(record: SlideRecord, mpp: float | None) -> SlideCheck:
    size = record.path.stat().st_size if record.path.is_file() else 0
    try:
        with open_slide(record.path, mpp=mpp) as slide:
            facts = (slide.mpp, slide.shape, slide.reader.backend, slide.fingerprint)
            problem = None
            try:
                require_brightfield(slide)
                slide.require_mpp()
            except ValueError as error:
                problem = _problem_of(record, error)
            return SlideCheck(record, size, *facts, problem)
    except Exception as error:  # a decoder may raise anything; check the others
        return SlideCheck(record, size, problem=_problem_of(record, error))


def _problem_of(record: SlideRecord, error: Exception) -> Problem:
    known = getattr(error, "problem", None)
    if isinstance(known, Problem):
        return known
    return Problem(record.path.name, f"cannot be opened ({error or type(error).__name__})")


def same_content(slides: Sequence[SlideCheck]) -> list[tuple[str, ...]]:
    """Names of slides that are the same file under different names."""
    groups: dict[str, list[str]] = {}
    for slide in slides:
        if slide.fingerprint:
            groups.setdefault(slide.fingerprint, []).append(slide.record.name)
    return [tuple(names) for names in groups.values() if len(names) > 1]

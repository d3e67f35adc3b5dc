"""The readers of a cohort compared: tables of agreement and differences, and what most found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_hagmil.errors import OutputError
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.export.signature import Signature
from napari_hagmil.files import replacing, write_csv
from napari_hagmil.geometry import to_file_xy
from napari_hagmil.polygons import shape_of
from napari_hagmil.review.history import read_journal
from napari_hagmil.review.shelf import journals_of
from napari_hagmil.session.cohort.agreement import (
    ComparedSlide,
    FoundPlace,
    PairAgreement,
    agreement,
    cohens_kappa,
    compare_readers,
)
from napari_hagmil.session.cohort.entry import CohortEntry

#: How the review that everybody shares is called beside those of readers.
EVERYBODY = "everybody"

_AGREEMENT = (
    "reader", "other", "slides", "conclusions", "conclusions_equal", "conclusions_kappa",
    "decisions", "decisions_equal", "decisions_kappa", "found_by_both", "found_by_reader_only",
    "found_by_other_only",
)  # fmt: skip
_DIFFERENCES = (
    "slide", "found_by", "not_found_by", "class", "centre_x_px", "centre_y_px", "area_um2"
)  # fmt: skip
_CONSENSUS = ("slide", "readers", "conclusion", "conclusions", "places", "places_of_all")


@dataclass(frozen=True, slots=True)
class Comparison:
    """The readers of a cohort, compared.

    Attributes
    ----------
    slides : tuple of ComparedSlide
        Those that two readers or more have finished.
    pairs : tuple of PairAgreement
        Every two readers with a finished slide in common.
    """

    slides: tuple[ComparedSlide, ...]
    pairs: tuple[PairAgreement, ...]


def compare_cohort(entries: Sequence[CohortEntry]) -> Comparison:
    """Read every reader's review of every slide, and compare those that are finished."""
    slides = []
    for entry in entries:
        journals = journals_of(entry.path, entry.fingerprint)
        states = {reader: read_journal(one).history.state for reader, one in journals.items()}
        compared = compare_readers(entry.name, states)
        if compared is not None:
            slides.append(compared)
    return Comparison(tuple(slides), tuple(agreement(slides)))


def write_comparison(folder: Path, found: Comparison, entries: Sequence[CohortEntry]) -> None:
    """Write tables of agreement, differences and consensus, and an outline file per slide.

    Parameters
    ----------
    folder : Path
        Made whole or not at all; it must not exist.
    found : Comparison
        Of these slides.
    entries : sequence of CohortEntry
        The slides.

    Raises
    ------
    OutputError
        When it exists, or cannot be written.
    """
    if folder.exists():
        raise OutputError(
            f"the folder {folder.name}",
            "exists, and a comparison replaces nothing",
            remedy="choose a new name",
        )
    mpp = {entry.name: entry.mpp for entry in entries}
    with replacing(folder) as draft:
        draft.mkdir()
        write_csv(draft / "agreement.csv", _AGREEMENT, map(_agreement_row, found.pairs))
        rows = (row for one in found.slides for row in _differences(one, mpp[one.name]))
        write_csv(draft / "differences.csv", _DIFFERENCES, rows)
        write_csv(draft / "consensus.csv", _CONSENSUS, map(_consensus_row, found.slides))
        (draft / "consensus").mkdir()
        for one in found.slides:
            _write_consensus(draft / "consensus" / one.name, one, mpp[one.name])


def comparison_sentence(found: Comparison) -> str:
    """``"2 readers, 12 slides in common: ada and ben conclude alike on 11 (κ 0.83) …"``."""
    if not found.pairs:
        return (
            "No slide has been finished by two readers: there is nothing to compare. Choose "
            "another name under Reader, and read a slide again."
        )
    return " ".join(map(_pair_sentence, found.pairs))


def _pair_sentence(pair: PairAgreement) -> str:
    first, second = (_called(reader) for reader in pair.readers)
    places = pair.both + pair.first_only + pair.second_only
    said = [f"{pair.both} of {places} places were found by both"] if places else []
    for what, pairs in (("conclusions", pair.conclusions), ("decisions", pair.decisions)):
        if pairs:
            equal, kappa = sum(a == b for a, b in pairs), cohens_kappa(pairs)
            beyond = "" if math.isnan(kappa) else f" (κ {kappa:.2f})"
            said.append(f"{equal} of {len(pairs)} {what} are the same{beyond}")
    slides = f"{pair.slides} slide{'s' if pair.slides != 1 else ''}"
    return f"{first} and {second}, {slides}: {'; '.join(said) or 'neither found anything'}."


def _called(reader: str) -> str:
    return reader or EVERYBODY


def _agreement_row(pair: PairAgreement) -> list[Any]:
    row: list[Any] = [*map(_called, pair.readers), pair.slides]
    for pairs in (pair.conclusions, pair.decisions):
        kappa = cohens_kappa(pairs)
        row += [len(pairs), sum(a == b for a, b in pairs)]
        row += ["" if math.isnan(kappa) else round(kappa, 4)]
    return [*row, pair.both, pair.first_only, pair.second_only]


def _differences(slide: ComparedSlide, mpp: float | None) -> Iterator[list[Any]]:
    for place in slide.places:
        missed = sorted(set(slide.states) - place.readers)
        if missed:
            found = sorted(map(_called, place.readers))
            not_found = "; ".join(map(_called, missed))
            yield [slide.name, "; ".join(found), not_found, place.path_class, *_where(place, mpp)]


def _where(place: FoundPlace, mpp: float | None) -> tuple[float, float, float | str]:
    shape = max((shape_of(one.rings) for one in place.findings), key=lambda one: one.area)
    centre = shape.representative_point()
    x, y = to_file_xy([(centre.x, centre.y)])[0].tolist()
    area = round(shape.area * mpp**2, 1) if mpp else ""
    return round(x, 1), round(y, 1), area


def _consensus_row(slide: ComparedSlide) -> list[Any]:
    agreed = slide.consensus()
    said = [
        f"{_called(reader)}: {state.conclusion.path_class or '–'}"
        for reader, state in sorted(slide.states.items())
    ]
    readers = "; ".join(map(_called, sorted(slide.states)))
    return [
        slide.name,
        readers,
        agreed.conclusion.path_class,
        "; ".join(said),
        len(agreed.annotations),
        len(slide.places),
    ]


def _write_consensus(path: Path, slide: ComparedSlide, mpp: float | None) -> None:
    readers = ", ".join(map(_called, sorted(slide.states)))
    signature = Signature(slide=slide.name, reviewer=f"consensus of {readers}")
    write_review(path, slide.consensus(), ReviewWish(), mpp=mpp, signature=signature)

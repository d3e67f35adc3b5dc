"""Several readers of the same slides: where they agree, and what most of them found.

A reader's findings are the regions that they accepted and the areas that they drew. Findings that
overlap are of one place, whoever they are of. Only finished reviews are compared: from one that is
under way, what is missing says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from napari_hagmil.polygons import Rings, joined, polygon_of, shape_of
from napari_hagmil.review.patches import accepted_alone
from napari_hagmil.review.progress import progress_of
from napari_hagmil.review.state import Annotation, Conclusion, ReviewState, new_id

#: Two findings are of one place when they share more than this of the smaller one's area.
SHARED = 0.1


@dataclass(frozen=True, slots=True)
class ReaderFinding:
    """What one reader found.

    Attributes
    ----------
    reader : str
        Whose it is.
    rings : Rings
        Level-0 px.
    path_class : str
        Empty while it has none.
    """

    reader: str
    rings: Rings
    path_class: str = ""


@dataclass(frozen=True, slots=True)
class FoundPlace:
    """Findings that overlap, of one reader or of several."""

    findings: tuple[ReaderFinding, ...]

    @property
    def readers(self) -> frozenset[str]:
        """Who found it."""
        return frozenset(one.reader for one in self.findings)

    @property
    def path_class(self) -> str:
        """The class that most findings have; empty where none has one, or several as many."""
        return _most(one.path_class for one in self.findings if one.path_class)


@dataclass(frozen=True, slots=True)
class ComparedSlide:
    """A slide that several readers have finished.

    Attributes
    ----------
    name : str
        The slide's.
    states : mapping of str to ReviewState
        Finished reviews, by reader.
    places : tuple of FoundPlace
        What any of them found.
    """

    name: str
    states: Mapping[str, ReviewState]
    places: tuple[FoundPlace, ...]

    def consensus(self) -> ReviewState:
        """What more than half of the readers found and concluded, as a review of its own."""
        enough = len(self.states) / 2
        agreed = [place for place in self.places if len(place.readers) > enough]
        said = Counter(state.conclusion.path_class for state in self.states.values())
        name, votes = said.most_common(1)[0]
        return ReviewState(
            annotations=tuple(map(_agreed, agreed)),
            classes=next(iter(self.states.values())).classes,
            conclusion=Conclusion(name if votes > enough else ""),
        )


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far two readers agree, over all slides that both have finished.

    Attributes
    ----------
    readers : tuple of str
        Their names.
    slides : int
        That both have finished.
    conclusions, decisions : tuple of (str, str)
        What each said: of slides that both gave a class, and of the model's regions that both
        accepted or rejected.
    both, first_only, second_only : int
        Places that both found, or one of them.
    """

    readers: tuple[str, str]
    slides: int = 0
    conclusions: tuple[tuple[str, str], ...] = ()
    decisions: tuple[tuple[str, str], ...] = ()
    both: int = 0
    first_only: int = 0
    second_only: int = 0


@dataclass
class _Count:
    conclusions: list[tuple[str, str]] = field(default_factory=list)
    decisions: list[tuple[str, str]] = field(default_factory=list)
    slides: int = 0
    found: Counter[tuple[bool, bool]] = field(default_factory=Counter)


def compare_readers(name: str, states: Mapping[str, ReviewState]) -> ComparedSlide | None:
    """Lay the reviews of one slide over each other; None where fewer than two are finished.

    Parameters
    ----------
    name : str
        The slide's.
    states : mapping of str to ReviewState
        By reader.
    """
    finished = {k: v for k, v in states.items() if progress_of(v).stage == "finished"}
    if len(finished) < 2:
        return None
    findings = [one for reader, state in finished.items() for one in _findings(reader, state)]
    return ComparedSlide(name, finished, tuple(_places(findings)))


def agreement(slides: Sequence[ComparedSlide]) -> list[PairAgreement]:
    """How far every two readers agree who have finished a slide in common."""
    counts: dict[tuple[str, str], _Count] = {}
    for slide in slides:
        for pair in combinations(sorted(slide.states), 2):
            _count(slide, pair, counts.setdefault((pair[0], pair[1]), _Count()))
    return [
        PairAgreement(
            pair,
            one.slides,
            tuple(one.conclusions),
            tuple(one.decisions),
            one.found[True, True],
            one.found[True, False],
            one.found[False, True],
        )
        for pair, one in sorted(counts.items())
    ]


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Agreement beyond chance of two readers who each said one thing of the same cases.

    1 is full agreement, 0 what chance would give; NaN without cases, and where both always said
    the same one thing, so that chance alone explains it (Cohen, 1960).
    """
    n = len(pairs)
    if not n:
        return float("nan")
    observed = sum(a == b for a, b in pairs) / n
    first, second = (Counter(one) for one in zip(*pairs, strict=True))
    expected = sum(first[name] * second[name] for name in first) / n**2
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def _count(slide: ComparedSlide, pair: Sequence[str], into: _Count) -> None:
    first, second = (slide.states[reader] for reader in pair)
    into.slides += 1
    said = first.conclusion.path_class, second.conclusion.path_class
    if all(said):
        into.conclusions.append(said)
    others = {one.rings: one.decision for one in second.regions if one.decision != "unseen"}
    into.decisions += [
        (one.decision, others[one.rings])
        for one in first.regions
        if one.decision != "unseen" and one.rings in others
    ]
    into.found.update(
        (pair[0] in place.readers, pair[1] in place.readers) for place in slide.places
    )


def _findings(reader: str, state: ReviewState) -> Iterator[ReaderFinding]:
    for region in state.regions:
        whole = (region,) if region.decision == "accepted" else accepted_alone(region)
        for one in whole:
            yield ReaderFinding(reader, one.rings, one.path_class)
    for drawn in state.annotations:
        if drawn.is_area and drawn.complete:
            yield ReaderFinding(reader, drawn.rings, drawn.path_class)


def _places(findings: Sequence[ReaderFinding]) -> Iterator[FoundPlace]:
    """Findings that overlap, directly or by way of others, belong together."""
    shapes = [shape_of(one.rings) for one in findings]
    if not shapes:
        return
    near = STRtree(shapes).query(shapes, predicate="intersects").T
    touching = [(i, j) for i, j in near.tolist() if i < j and _is_same(shapes[i], shapes[j])]
    rows, columns = zip(*touching, strict=True) if touching else ((), ())
    size = (len(shapes), len(shapes))
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=size)
    n, label = connected_components(graph, directed=False)
    for place in range(n):
        yield FoundPlace(tuple(findings[i] for i in np.flatnonzero(label == place).tolist()))


def _is_same(one: BaseGeometry, other: BaseGeometry) -> bool:
    return bool(one.intersection(other).area > SHARED * min(one.area, other.area))


def _agreed(place: FoundPlace) -> Annotation:
    """One outline around all that was found at a place."""
    whole = joined([one.rings for one in place.findings if polygon_of(one.rings).area > 0])
    who = ", ".join(sorted(reader or "everybody" for reader in place.readers))
    said = f"found by {who}"
    return Annotation(new_id(), "polygon", whole.outer, place.path_class, said, whole.holes)


def _most(names: Iterator[str]) -> str:
    ranked = Counter(names).most_common(2)
    alone = len(ranked) == 1 or (len(ranked) == 2 and ranked[0][1] > ranked[1][1])
    return ranked[0][0] if alone else ""

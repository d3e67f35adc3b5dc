"""Whether a slide's tissue looks like what a model was trained on.

The features of a slide's patches at the coarsest depth, where every place with tissue is looked at,
are averaged. In training slides such a mean varies from slide to slide, and, since a slide has
so many patches and no more, by chance. The distance is how far a slide's mean lies from theirs in
units of both together; the few directions in which training slides differ most (how much of a slide
is fat, how dark its stain is) do not count. For slides of the same kind it is about 1 or less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A slide is unfamiliar when it lies so many times as far as the farthest of the training and
#: validation slides.
MARGIN = 2.0

#: How many directions do not count; fewer where there is not one for every five slides.
_DIRECTIONS, _SLIDES_PER_DIRECTION = 4, 5

#: Share of the mean variance that no feature's variance stays below: a feature that was always 0
#: would decide alone.
_FLOOR = 1e-3

#: Fewer training slides tell nothing of how slides vary.
_FEWEST = 5


@dataclass(frozen=True, slots=True)
class Familiarity:
    """A small summary of the features that a model was trained on.

    Attributes
    ----------
    mean : (n_features,)
        Of the slides' means.
    between, within : (n_features,)
        Variance from slide to slide, and from patch to patch of a slide.
    directions : (k, n_features)
        In which training slides differ most, in units of the variation of each feature; unit
        vectors, at right angles.
    slides : int
        How many it is of.
    limit : float
        Distance above which a slide is unfamiliar.
    """

    mean: tuple[float, ...]
    between: tuple[float, ...]
    within: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]
    slides: int
    limit: float

    def __post_init__(self) -> None:
        for name in ("mean", "between", "within"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        rows = tuple(tuple(map(float, row)) for row in self.directions)
        object.__setattr__(self, "directions", rows)

    def broken_rules(self, n_features: int) -> list[tuple[bool, str]]:
        """List what must hold of it in a bundle: (holds, what is wrong where it does not)."""
        lengths = {len(self.mean), len(self.between), len(self.within)}
        lengths |= set(map(len, self.directions))
        return [
            (
                lengths == {n_features},
                f"needs a summary of its {n_features} training features, not of {sorted(lengths)}",
            ),
            (
                min((*self.between, *self.within), default=0.0) >= 0 and self.limit > 0,
                "needs variances of its training features and a limit that are not negative",
            ),
        ]

    def distance(self, features: ArrayLike) -> float:
        """Measure how far a slide lies from the training slides: about 1 for slides of their kind.

        Parameters
        ----------
        features : (n, n_features)
            Of its patches with tissue at the coarsest depth; rows that are not finite are left out.

        Returns
        -------
        float
            NaN without a patch.
        """
        rows = _finite(features)
        if not len(rows):
            return float("nan")
        spread = _spread(np.asarray(self.between), np.asarray(self.within), 1 / len(rows))
        off = (rows.mean(axis=0) - self.mean) / spread
        for direction in np.asarray(self.directions):
            off -= (off @ direction) * direction
        return float(np.sqrt(np.mean(off**2)))


class FamiliarityFit:
    """Collects training slides one by one, so that the features of one slide are held at a time."""

    def __init__(self) -> None:
        self._means: list[NDArray[np.float64]] = []
        self._counts: list[int] = []
        self._squares: NDArray[np.float64] | float = 0.0

    def add(self, features: ArrayLike) -> None:
        """Take in the features of a slide, (n, n_features)."""
        rows = _finite(features)
        if len(rows):
            mean = rows.mean(axis=0)
            self._means.append(mean)
            self._counts.append(len(rows))
            self._squares = self._squares + ((rows - mean) ** 2).sum(axis=0)

    def summary(self) -> Familiarity | None:
        """Summarise what was taken in, with a limit by its own slides; None of too few slides."""
        if len(self._means) < _FEWEST:
            return None
        means, counts = np.stack(self._means), np.array(self._counts)
        within = self._squares / max(int((counts - 1).sum()), 1)
        by_chance = within * float((1 / counts).mean())
        between = np.maximum(means.var(axis=0, ddof=1) - by_chance, 0)
        spread = _spread(between, within, float((1 / counts).mean()))
        off = (means - means.mean(axis=0)) / spread
        k = min(_DIRECTIONS, len(means) // _SLIDES_PER_DIRECTION, off.shape[1] - 1)
        directions = np.linalg.svd(off, full_matrices=False)[2][:k]
        made = Familiarity(
            mean=_short(means.mean(axis=0)),
            between=_short(between),
            within=_short(np.asarray(within)),
            directions=tuple(map(_short, directions)),
            slides=len(means),
            limit=MARGIN,
        )
        return with_limit(made, self._distances(made, counts))

    def _distances(self, summary: Familiarity, counts: NDArray[np.int64]) -> list[float]:
        """Those of the slides taken in; as if every patch of a slide were its mean."""
        return [
            summary.distance(np.broadcast_to(mean, (count, len(mean))))
            for mean, count in zip(self._means, counts.tolist(), strict=True)
        ]


def with_limit(summary: Familiarity, distances: ArrayLike) -> Familiarity:
    """Move a summary's limit beyond slides of the same kind that lie at these distances."""
    known = [MARGIN * d for d in np.asarray(distances, np.float64).ravel() if np.isfinite(d)]
    return replace(summary, limit=round(max((summary.limit, *known)), 3))


def _spread(
    between: NDArray[np.float64], within: NDArray[np.float64] | float, share: float
) -> NDArray[np.float64]:
    """Standard deviation of a slide's mean of 1 / `share` patches, feature by feature."""
    floor = _FLOOR * float((between + within).mean()) or np.finfo(np.float64).tiny
    return np.asarray(np.sqrt(between + within * share + floor))


def _finite(features: ArrayLike) -> NDArray[np.float64]:
    rows = np.asarray(features, dtype=np.float64)
    return rows[np.isfinite(rows).all(axis=1)]


def _short(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    """Numbers of four digits: a summary is a part of a JSON file."""
    return tuple(float(f"{number:.4g}") for number in numbers)

"""What validation slides say of a model's answers: temperatures, and sets that hold the truth.

The sets are those of split conformal prediction (Sadinle, Lei and Wasserman, *Least Ambiguous
Set-Valued Classifiers With Bounded Error Levels*, JASA 2019): every class whose probability is not
lower than that which the right class had on all but a chosen share of the validation slides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_hagmil.uncertainty.temperature import fit_temperature, tempered

#: Of slides like the validation slides, the share whose class may lie outside its set.
DEFAULT_ERROR_RATE = 0.1

#: More scores say nothing that these do not; a bundle's configuration stays small.
_MOST_SCORES = 1000


@dataclass(frozen=True, slots=True)
class Confidence:
    """What validation slides say of a model's answers.

    Attributes
    ----------
    temperatures : tuple of float
        What the decision's logits are divided by, depth by depth, coarse to fine.
    scores : tuple of float
        1 − the calibrated probability of the right class, a number per validation slide, ascending.
    """

    temperatures: tuple[float, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("temperatures", "scores"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))

    def broken_rules(self, n_depths: int) -> list[tuple[bool, str]]:
        """List what must hold of it in a bundle: (holds, what is wrong where it does not)."""
        return [
            (
                len(self.temperatures) == n_depths and min(self.temperatures, default=0) > 0,
                f"needs {n_depths} temperatures above 0, one per depth, "
                f"not {list(self.temperatures)}",
            ),
            (
                list(self.scores) == sorted(self.scores)
                and all(0 <= score <= 1 for score in self.scores),
                "needs scores of its validation slides between 0 and 1, ascending",
            ),
        ]

    def limit(self, error_rate: float) -> float:
        """Find the score up to which a class is in the set; infinite where slides are too few.

        With n slides and the rate α, the ⌈(n + 1)(1 − α)⌉th smallest score.
        """
        rank = math.ceil((len(self.scores) + 1) * (1 - error_rate) - 1e-9)
        return self.scores[rank - 1] if 0 < rank <= len(self.scores) else math.inf

    def class_set(
        self, probabilities: ArrayLike, classes: Sequence[str], called: str, error_rate: float
    ) -> tuple[str, ...]:
        """List the classes that a slide may be of, in their order; the called one is among them.

        Parameters
        ----------
        probabilities : (classes,)
            Calibrated.
        classes : sequence of str
        called : str
        error_rate : float
            Of slides like the validation slides, at most this share has its class outside.
        """
        limit = self.limit(error_rate) + 1e-9
        likely = np.asarray(probabilities, dtype=np.float64) >= 1 - limit
        return tuple(
            name for name, there in zip(classes, likely, strict=True) if there or name == called
        )


def fit_confidence(probabilities: ArrayLike, reached: ArrayLike, labels: ArrayLike) -> Confidence:
    """Fit temperatures and scores on validation slides.

    Early stopping, thresholds and budgets are mostly chosen on the same slides, so that the sets
    may be a little too small: `evaluate` measures their coverage on slides that nothing was
    chosen on.

    Parameters
    ----------
    probabilities : (slides, depths, classes)
        Uncalibrated, of the decision once each depth has been read; a slide that ends before keeps
        its last.
    reached : (slides, depths) bool
        Which depths a slide has.
    labels : (slides,)
        Classes.
    """
    p, there = np.asarray(probabilities, np.float64), np.asarray(reached, dtype=bool)
    truth = np.asarray(labels, dtype=np.int64)
    logits = np.log(np.maximum(p, np.finfo(np.float64).tiny))
    temperatures = [
        round(fit_temperature(logits[there[:, depth], depth], truth[there[:, depth]]), 4)
        for depth in range(p.shape[1])
    ]
    deciding = there.sum(axis=1) - 1
    scores = sorted(
        round(1 - float(tempered(row[depth], temperatures[depth])[label]), 6)
        for row, depth, label in zip(p, deciding, truth, strict=True)
    )
    thinned = np.linspace(0, len(scores) - 1, min(len(scores), _MOST_SCORES)).round().astype(int)
    return Confidence(tuple(temperatures), tuple(scores[i] for i in thinned))

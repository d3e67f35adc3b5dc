"""A synthetic cohort with quantities, yes-or-no targets and survival, whose answer is known.

    python docs/scripts/endpoint_cohort.py --out OUT
    napari-hagmil features import OUT/cohort.csv --from official --features OUT --store OUT/features
    napari-hagmil protocol OUT/cohort.csv --store OUT/features --out OUT/survival \
        --config docs/protocols/survival.toml

(and regression.toml, labels.toml.) A slide has 12 places at the coarsest of three depths, each with
four children, twice; 12 features. Four places carry a cue. Of the fine patches below them, and of
no others, a share *a* carries one mark and a share *b* another; both differ from slide to slide.
Everything that is predicted follows from them: target_a and target_b are the shares with a little
noise, target_much and target_many say whether they are above one half, and the hazard grows with
*a* and falls with *b*; a third of the slides is censored. Marks without the cue above them lie on
half of the slides and mean nothing. OUT/known.json holds what a model would reach on the test
slides that knew both shares exactly.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.evaluation.endpoints import concordance, r_squared

PLACES, CUED, FEATURES, NOISE = 12, 4, 12, 0.4

#: Of the measured shares; their own deviation is 0.29.
MEASURED_NOISE = 0.05

#: How the log hazard grows with a, and falls with b.
EFFECT_A, EFFECT_B = 4.0, 2.0

#: Folders of the official code's features, coarse to fine.
FOLDERS = ("level_2", "level_1_corresponding", "level_0_corresponding")

HEADER = (
    "slide", "patient", "split", "time", "event",
    "target_a", "target_b", "target_much", "target_many",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What is known of a slide: both shares, and its survival."""

    a: float
    b: float
    time: float
    event: bool

    @property
    def hazard(self) -> float:
        """The log hazard ratio."""
        return EFFECT_A * self.a - EFFECT_B * self.b

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Outcome:
        """Both shares between 0 and 1; times of some months."""
        a, b = rng.uniform(size=2)
        time = rng.exponential(36 * np.exp(-(EFFECT_A * a - EFFECT_B * b)))
        censored = rng.uniform(6, 90)
        return cls(a, b, float(min(time, censored)), bool(time <= censored))


def features(
    outcome: Outcome, marks: NDArray[np.float64], rng: np.random.Generator
) -> list[torch.Tensor]:
    """Features of the three depths; the children of row i stand in the rows from 4 i on."""
    cued = np.zeros(PLACES)
    cued[rng.permutation(PLACES)[:CUED]] = 1
    below = np.repeat(cued, 16)
    strays = 0.5 * (rng.random() < 0.5)
    rows = [cued[:, None] * marks[0], np.repeat(cued, 4)[:, None] * marks[0]]
    fine = np.zeros((PLACES * 16, FEATURES))
    for share, mark in ((outcome.a, marks[1]), (outcome.b, marks[2])):
        chance = np.where(below == 1, share, strays)
        fine += (rng.random(len(fine)) < chance)[:, None] * mark
    noisy = (x + NOISE * rng.normal(size=x.shape) for x in (*rows, fine))
    return [torch.tensor(x, dtype=torch.float32) for x in noisy]


def write_cohort(out: Path, n_slides: Sequence[int], seed: int = 0) -> None:
    """Write features, cohort.csv and known.json; as many slides of each part as `n_slides` says."""
    rng = np.random.default_rng(seed)
    marks = np.linalg.qr(rng.normal(size=(FEATURES, 3)))[0].T * 2.0
    for folder in FOLDERS:
        (out / f"feats_{folder}" / "pt_files").mkdir(parents=True, exist_ok=True)
    rows, test = [], []
    for part, n in zip(("train", "val", "test"), n_slides, strict=True):
        for i in range(n):
            name, outcome = f"{part}-{i:03d}", Outcome.draw(rng)
            for folder, x in zip(FOLDERS, features(outcome, marks, rng), strict=True):
                torch.save(x, out / f"feats_{folder}" / "pt_files" / f"{name}.pt")
            a, b = np.array([outcome.a, outcome.b]) + MEASURED_NOISE * rng.normal(size=2)
            told = (int(outcome.a > 0.5), int(outcome.b > 0.5))
            survival = (f"{outcome.time:.3f}", int(outcome.event))
            rows.append((f"{name}.svs", name, part, *survival, f"{a:.4f}", f"{b:.4f}", *told))
            if part == "test":
                test.append((outcome, a, b))
    with (out / "cohort.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    (out / "known.json").write_text(json.dumps(known(test), indent=2) + "\n")


def known(test: Sequence[tuple[Outcome, float, float]]) -> dict[str, float]:
    """What knowing both shares would give on the test slides."""
    outcomes = [outcome for outcome, _, _ in test]
    times = [outcome.time for outcome in outcomes]
    events = [outcome.event for outcome in outcomes]
    return {
        "c_index": concordance(times, events, [outcome.hazard for outcome in outcomes]),
        "r2_a": r_squared([a for _, a, _ in test], [outcome.a for outcome in outcomes]),
        "r2_b": r_squared([b for _, _, b in test], [outcome.b for outcome in outcomes]),
        "events": float(np.mean(events)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--slides", type=int, nargs=3, default=(80, 40, 80), help="to train, validate and test"
    )
    args = parser.parse_args(arguments)
    write_cohort(args.out, args.slides, args.seed)


if __name__ == "__main__":
    main()

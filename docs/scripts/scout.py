"""Can a small network at low power say which patches of the first depth need no encoding?

    python docs/scripts/scout.py COHORT --model BUNDLE --out docs/results/scout.csv
        [--seeds 0 1 2]

The first depth encodes every patch with tissue. A scout looks at the same places at an eighth of
their magnification (28 px for a patch of 224, and as much around it) and is distilled from the
attention of the model on the training slides of COHORT: it learns to rank, within a slide, as the
attention of the first depth does. On the test slides the cascade then runs over the best half,
quarter … of the scout alone, and is compared with the cascade over all of it: branches that both
follow, lesions met, the call. A control keeps as many at random.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_hagmil.cascade import Stage
from napari_hagmil.cascade.run import look_at, run_over
from napari_hagmil.cohort import SlideRecord, read_cohort
from napari_hagmil.evaluation.localisation import lesions_met
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.geometry import Region
from napari_hagmil.prepare import LoadedModel, Options, PreparedSlide, load_model, prepare
from napari_hagmil.slide import open_slide
from napari_hagmil.slide.region import read_scaled

#: Side in px of what the scout sees of a patch: the patch itself, and half of it around.
PATCH, SEEN = 28, 56

SHARES = (0.75, 0.5, 0.25)
PASSES, RATE = 40, 2e-3

COLUMNS = (
    "seed", "scout", "share", "slides", "patches", "followed", "lesions", "met", "calls_changed",
    "largest_change",
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """The first depth of a slide, small: windows (n, SEEN, SEEN, 3) uint8 and attention (n,)."""

    windows: NDArray[np.uint8]
    attention: NDArray[np.float32]


class Scout(nn.Module):
    """Three convolutions and a mean: (n, 3, SEEN, SEEN) → (n,), higher is looked at first."""

    def __init__(self) -> None:
        super().__init__()
        widths, layers = (3, 16, 32, 64), []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Scores of windows whose values lie in 0 … 255."""
        scores: torch.Tensor = self.head(self.body(windows / 127.5 - 1).mean((2, 3)))[:, 0]
        return scores


def windows_of(prepared: PreparedSlide) -> NDArray[np.uint8]:
    """What the scout sees of each node of the first depth, white beyond the slide's edge."""
    grid, nodes = prepared.quadtree.grids[0], prepared.quadtree.nodes[0]
    rows, columns = (int(last) + 1 for last in nodes.max(0))
    edges = grid.edges(np.array([[0, 0], [rows - 1, columns - 1]]))
    (top, left), (bottom, right) = edges[0, :2].tolist(), edges[1, 2:].tolist()
    whole = Region(top, left, bottom - top, right - left)
    small = read_scaled(prepared.slide, whole, (rows * PATCH, columns * PATCH))
    margin = (SEEN - PATCH) // 2
    canvas = np.pad(small, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)
    cut = [canvas[y : y + SEEN, x : x + SEEN] for y, x in PATCH * nodes]
    return np.stack(cut)


def opened(entries: Sequence[SlideRecord], loaded: LoadedModel) -> Iterator[tuple[SlideRecord, PreparedSlide]]:
    """Each slide of a cohort, prepared."""
    for entry in entries:
        with open_slide(entry.path) as slide:
            yield entry, prepare(slide, *loaded)


def training_slides(entries: Sequence[SlideRecord], loaded: LoadedModel) -> list[Seen]:
    """What the scout learns from."""
    found = []
    for _, prepared in opened(entries, loaded):
        first = look_at(prepared.model, prepared.source, 0, prepared.quadtree.nodes[0])
        found.append(Seen(windows_of(prepared), first.attention))
    return found


def taught(slides: Sequence[Seen], seed: int) -> Scout:
    """A scout whose ranks within a slide approach those of the attention.

    The loss is the cross-entropy of the softmax of its scores, over the patches of a slide, to the
    attention, which sums to one.
    """
    torch.manual_seed(seed)
    rng, scout = np.random.default_rng(seed), Scout()
    steps = PASSES * len(slides)
    optimiser = torch.optim.AdamW(scout.parameters(), RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(PASSES):
        for at in rng.permutation(len(slides)):
            seen = slides[at]
            turned = np.rot90(seen.windows, rng.integers(4), (1, 2)).copy()
            scores = scout(torch.from_numpy(turned).permute(0, 3, 1, 2).float())
            target = torch.from_numpy(seen.attention)
            loss = -(target / target.sum() * scores.log_softmax(0)).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return scout.eval()


@torch.inference_mode()
def scored(scout: Scout, prepared: PreparedSlide) -> NDArray[np.float32]:
    """The scout's score of each node of the first depth."""
    windows = torch.from_numpy(windows_of(prepared)).permute(0, 3, 1, 2)
    return np.concatenate([scout(part.float()).numpy() for part in windows.split(256)])


@dataclass
class Tally:
    """Sums over test slides of one scout and one share."""

    patches: list[float]
    followed: list[float]
    met: list[bool]
    all_met: list[bool]
    changed: list[bool]
    change: list[float]


def cascades(
    prepared: PreparedSlide, kept: NDArray[np.bool_] | None = None
) -> tuple[list[Stage], NDArray[np.float64]]:
    """Stages of a cascade over all of the first depth, or what is kept of it; probabilities."""
    quadtree = prepared.quadtree
    if kept is not None:
        quadtree = replace(quadtree, nodes=(quadtree.nodes[0][kept], *quadtree.nodes[1:]))
    config = prepared.config(Options())
    stages = run_over(prepared.model, quadtree, prepared.source, config.budget)
    return stages, stages[-1].probabilities


def best(scores: NDArray[np.float32], share: float) -> NDArray[np.bool_]:
    """Which nodes are among the best share, at least one."""
    n = max(round(share * len(scores)), 1)
    kept = np.zeros(len(scores), dtype=bool)
    kept[np.argsort(-scores, kind="stable")[:n]] = True
    return kept


def compared(
    entry: SlideRecord,
    prepared: PreparedSlide,
    orders: dict[tuple[int, str], NDArray[np.float32]],
    tallies: dict[tuple[int, str, float], Tally],
) -> None:
    """Add one test slide to the tallies."""
    whole, usual = cascades(prepared)
    outlines = read_polygons(entry.truth) if entry.truth else ()
    followed = {tuple(node) for node in whole[0].nodes[whole[0].followed]}
    finest = prepared.quadtree.grids[whole[-1].depth]
    for (seed, name), scores in orders.items():
        for share in SHARES:
            kept = best(scores, share)
            stages, other = cascades(prepared, kept)
            tally = tallies[seed, name, share]
            same = followed & {tuple(node) for node in stages[0].nodes[stages[0].followed]}
            read = sum(len(stage.nodes) for stage in stages)
            tally.patches.append(read / sum(len(stage.nodes) for stage in whole))
            tally.followed.append(len(same) / len(followed))
            tally.met += list(lesions_met(outlines, finest, stages[-1].nodes))
            tally.all_met += list(lesions_met(outlines, finest, whole[-1].nodes))
            tally.changed.append(bool(usual.argmax() != other.argmax()))
            tally.change.append(float(abs(usual - other).max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    entries, loaded = read_cohort(options.cohort).slides, load_model(options.model)
    training = [entry for entry in entries if entry.split != "test"]
    slides = training_slides(training, loaded)
    started = time.process_time()
    scouts = {seed: taught(slides, seed) for seed in options.seeds}
    print(f"taught in {time.process_time() - started:.0f} s of the processor")
    names = ("distilled", "random")
    tallies = {
        (seed, name, share): Tally([], [], [], [], [], [])
        for seed in options.seeds
        for name in names
        for share in SHARES
    }
    spent = 0.0
    for entry, prepared in opened([e for e in entries if e.split == "test"], loaded):
        orders = {}
        for seed, scout in scouts.items():
            before = time.process_time()
            orders[seed, "distilled"] = scored(scout, prepared)
            spent += time.process_time() - before
            rng = np.random.default_rng(seed)
            orders[seed, "random"] = rng.random(len(prepared.quadtree.nodes[0]), dtype=np.float32)
        compared(entry, prepared, orders, tallies)
    looked = sum(len(tally.patches) for tally in tallies.values()) / len(SHARES) / len(names)
    print(f"a scout's look at a slide: {spent / looked:.3f} s of the processor")
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for (seed, name, share), tally in tallies.items():
            writer.writerow(
                (seed, name, share, len(tally.patches), f"{np.mean(tally.patches):.3f}",
                 f"{np.mean(tally.followed):.3f}", f"{np.mean(tally.all_met):.3f}",
                 f"{np.mean(tally.met):.3f}", sum(tally.changed), f"{max(tally.change):.4f}")
            )  # fmt: skip


if __name__ == "__main__":
    main()

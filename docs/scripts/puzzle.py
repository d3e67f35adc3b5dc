"""Run the two-level puzzle: every method, three seeds, all controls.

    python docs/scripts/puzzle.py --out DIR [--protocol docs/protocols/puzzle.toml]

Every seed draws its own directions, slides and weights. Runs are kept under DIR: a killed one goes
on. Writes puzzle.json and puzzle.md there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from puzzle_slides import FACTS, N_DEPTHS, Puzzle, World, puzzles

from napari_hagmil.cascade import Choose, at_random, by_attention, by_value
from napari_hagmil.cohort import Split
from napari_hagmil.models import load_bundle
from napari_hagmil.training import TrainingSlide
from napari_hagmil.training.predictions import figures, predict_slides
from napari_hagmil.training.protocol.methods import Method
from napari_hagmil.training.protocol.plan import Protocol
from napari_hagmil.training.protocol.runs import ProtocolRun, RunRecord, carry_out, slug
from napari_hagmil.training.protocol.toml_file import load_protocol

PROTOCOL = Path(__file__).parents[1] / "protocols" / "puzzle.toml"

#: The paper's model: by its own schedule, just as the paper trains it, one depth after the other.
PAPERS = (
    "HAG-MIL (one block)",
    "HAG-MIL (one block), plain",
    "HAG-MIL (one block), stagewise",
    "HAG-MIL (one block), hagmil",
)

#: The cascades whose places are also chosen in other ways.
CONTROLLED = (*PAPERS, "gated cascade", "guided cascade")

#: The methods that are also trained on labels that mean nothing.
NULLED = (*PAPERS, "guided cascade")


@dataclass(frozen=True)
class Sizes:
    """Slides to learn from, to validate with, and to test."""

    train: int = 192
    val: int = 48
    test: int = 300


def run_method(
    protocol: Protocol,
    method: Method,
    seed: int,
    slides: Sequence[Puzzle],
    where: tuple[Sizes, Path],
) -> RunRecord:
    """Train and test one method with one seed."""
    sizes, out = where
    run = ProtocolRun(method, split_of(sizes), seed, out / slug(method.name) / f"seed-{seed}")
    steps = carry_out(run, [puzzle.slide for puzzle in slides], FACTS, protocol.sweep)
    return next(step for step in steps if isinstance(step, RunRecord))


def split_of(sizes: Sizes) -> Split:
    ends = np.cumsum([0, sizes.train, sizes.val, sizes.test])
    return Split(*(tuple(range(a, b)) for a, b in pairwise(ends)))


def draw(seed: int, sizes: Sizes, *, null: bool = False) -> list[Puzzle]:
    world = World.draw(seed)
    learn = puzzles(sizes.train + sizes.val, 1000 + seed, world, null=null)
    return learn + puzzles(sizes.test, 2000 + seed, world, null=null)


def controls(
    method: Method,
    seed: int,
    slides: Sequence[Puzzle],
    where: tuple[Sizes, Path],
    only: Sequence[str] = ("attention", "random k", "oracle k"),
) -> dict[str, dict[str, float]]:
    """AUC, lesion recall and patches with places chosen by attention, at random, by the truth."""
    sizes, out = where
    model = load_bundle(out / slug(method.name) / f"seed-{seed}" / "model.hagmil")
    depths = method.on(N_DEPTHS)
    test = slides[sizes.train + sizes.val :]
    seen = [puzzle.slide.at(depths, method.context) for puzzle in test]
    by_name = {puzzle.slide.name: puzzle for puzzle in test}

    def oracle(slide: TrainingSlide) -> Choose:
        return by_value(by_name[slide.name].lesion_below)

    def random(slide: TrainingSlide) -> Choose:
        return at_random((seed, *map(int, slide.name.split("-"))))

    ways: dict[str, Callable[[TrainingSlide], Choose]] = {"attention": lambda slide: by_attention}
    if method.name in CONTROLLED:
        ways |= {"random k": random, "oracle k": oracle}
    found = {}
    for way, choose in ((way, ways[way]) for way in only if way in ways):
        predictions = predict_slides(model, seen, choose=choose)
        told = figures(predictions, predictions)
        found[way] = {"auc": told["auc"], "patches": told["patches"]}
        if depths[-1] == N_DEPTHS - 1:
            pairs = zip(test, predictions.nodes, strict=True)
            recalls = [p.recall(nodes[-1]) for p, nodes in pairs if p.lesion.any()]
            found[way]["recall"] = float(np.mean(recalls))
    return found


def as_markdown(results: dict[str, list[dict[str, dict[str, float]]]]) -> str:
    lines = [
        "| method | places | AUC | of the seeds | lesion recall | patches |",
        "|---|---|---|---|---|---|",
    ]
    for name, seeds in results.items():
        for way in seeds[0]:
            rows = [seed[way] for seed in seeds if way in seed]
            aucs = [row["auc"] for row in rows]
            recall = np.mean([row["recall"] for row in rows]) if "recall" in rows[0] else None
            lines.append(
                f"| {name} | {way} | {np.mean(aucs):.3f} | {', '.join(f'{a:.3f}' for a in aucs)} | "
                f"{'' if recall is None else f'{recall:.2f}'} | "
                f"{np.mean([row['patches'] for row in rows]):,.0f} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--protocol", type=Path, default=PROTOCOL)
    parser.add_argument("--methods", nargs="*", help="names; by default all")
    parser.add_argument("--seeds", type=int, nargs="*", help="by default the protocol's")
    parser.add_argument("--sizes", type=int, nargs=3, default=(192, 48, 300))
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same weights on any machine
    protocol, sizes = load_protocol(args.protocol), Sizes(*args.sizes)
    methods = [m for m in protocol.methods if not args.methods or m.name in args.methods]
    seeds = args.seeds or range(protocol.seed, protocol.seed + protocol.repeats)
    results: dict[str, list[dict[str, dict[str, float]]]] = {m.name: [] for m in methods}
    for seed in seeds:
        slides = draw(seed, sizes)
        for method in methods:
            record = run_method(protocol, method, seed, slides, (sizes, args.out))
            results[method.name].append(controls(method, seed, slides, (sizes, args.out)))
            print(
                method.name, seed, results[method.name][-1], f"{record.seconds:.0f} s", flush=True
            )
    for method in (m for m in methods if m.name in NULLED):
        name, where = f"{method.name}, null labels", (sizes, args.out / "null")
        results[name] = []
        for seed in seeds:
            null = draw(seed, sizes, null=True)
            run_method(protocol, method, seed, null, where)
            results[name].append(controls(method, seed, null, where, ("attention",)))
    (args.out / "puzzle.json").write_text(json.dumps(results, indent=2))
    (args.out / "puzzle.md").write_text(as_markdown(results))
    print(as_markdown(results))


if __name__ == "__main__":
    main()

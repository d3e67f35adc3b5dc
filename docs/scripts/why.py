"""Attention before and after: the official configuration and this package's on bags with a cue.

    python docs/scripts/why.py --out docs/images [--seed 0]

Trains both on the one-depth cue of cue.py, and draws the attention on the instances of some
positive test bags, in descending order: where the cue is, and where it is not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cue import PROTOCOL, Bag, bags, trained
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.files import replacing
from napari_hagmil.training.protocol.toml_file import load_protocol

#: Methods that are drawn, and how many bags of each.
SHOWN, BAGS = ("gated AB-MIL", "IAT, official", "IAT, hagmil"), 4


@dataclass(frozen=True)
class Look:
    """A model's attention on one bag, in descending order, and which of it is on the cue."""

    attention: NDArray[np.float64]
    cue: NDArray[np.bool_]

    @property
    def told(self) -> str:
        """Pointing and share in words."""
        return f"pointing {auc(self.cue, self.attention):.2f}, on the cue {self.share:.2f}"

    @property
    def share(self) -> float:
        """Attention on the cue."""
        return float(self.attention[self.cue].sum())


def looks(name: str, drawn: Sequence[Bag], seed: int) -> list[Look]:
    """A trained method on the first positive test bags."""
    method = next(m for m in load_protocol(PROTOCOL).methods if m.name == name)
    model, test = trained(method, drawn, seed)
    found = []
    for slide, cue in [(slide, cue) for slide, cue in test if slide.label][:BAGS]:
        with torch.inference_mode():
            output = model.stage(0)(slide.features(0, slide.nodes[0]))
        attention = output.attention.double().numpy()
        order = np.argsort(-attention, kind="stable")
        found.append(Look(attention[order], cue[order]))
    return found


def draw(path: Path, found: dict[str, list[Look]]) -> None:
    """A row per method, a column per bag; bars, those on the cue in another colour."""
    figure = Figure(figsize=(3.1 * BAGS, 2.1 * len(found)), layout="constrained")
    for row, (name, some) in enumerate(found.items()):
        for column, look in enumerate(some):
            axes = figure.add_subplot(len(found), BAGS, row * BAGS + column + 1)
            colours = np.where(look.cue, "#D55E00", "#9aa7b5")
            axes.bar(np.arange(len(look.cue)), look.attention, color=colours, width=1.0)
            axes.set_ylim(0, 1)
            axes.set_title(look.told, fontsize=8)
            if column == 0:
                axes.set_ylabel(f"{name}\nattention", fontsize=8)
            if row == len(found) - 1:
                axes.set_xlabel("instances by attention; orange: with the cue", fontsize=8)
            axes.tick_params(labelsize=7)
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same weights on any machine
    drawn = bags(args.seed)
    found = {name: looks(name, drawn, args.seed) for name in SHOWN}
    draw(args.out / "attention-before-after.png", found)
    for name, some in found.items():
        print(name, "; ".join(look.told for look in some))


if __name__ == "__main__":
    main()

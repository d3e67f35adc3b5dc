"""``convert``: make a bundle of a checkpoint that other code wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_hagmil.cli.terminal import say
from napari_hagmil.cli.verb import Verb, argument, at_least_one, option


@dataclass(frozen=True)
class ConvertOptions:
    """Options of ``convert``."""

    checkpoint: Path = argument(type=Path)
    out: Path = option(
        "--out", type=Path, required=True, metavar="BUNDLE", help="the bundle to write"
    )
    classes: tuple[str, ...] | None = option(
        "--classes",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        metavar="A,B[,…]",
        help="in the order of the model's outputs",
    )
    encoder: str | None = option("--encoder", help="whose features it was trained on")
    n_features: int | None = option(
        "--n-features", type=at_least_one, metavar="N", help="of that encoder, to be checked"
    )
    mpp: float | None = option(
        "--mpp", type=float, metavar="X", help="µm per pixel of its patches, at the finest depth"
    )
    patch_size: int | None = option(
        "--patch-size", type=at_least_one, metavar="PX", help="of its patches, at that µm per pixel"
    )
    distillation: Literal["afs", "maxs", "maxmins"] | None = option(
        "--distillation",
        choices=("afs", "maxs", "maxmins"),
        help="what DTFD-MIL was trained with",
    )
    name: str | None = option("--name", help="of the bundle (default the checkpoint's file name)")
    licence: str | None = option("--licence", metavar="TEXT", help="of the weights")


def convert(options: ConvertOptions) -> int:
    """Make a bundle of a checkpoint that other code wrote."""
    from napari_hagmil.models import convert_checkpoint

    asked = vars(options).items()
    facts = {name: value for name, value in asked if value is not None}
    checkpoint, out = facts.pop("checkpoint"), facts.pop("out")
    config = convert_checkpoint(checkpoint, out, facts).config
    method = config.training.get("method") or config.training["code"]
    say(
        f"{checkpoint.name} → {out}: {method}, {config.encoder.n_features} features, "
        f"classes {', '.join(config.classes)}"
    )
    return 0


CONVERT = Verb(
    "convert",
    ConvertOptions,
    convert,
    "make a bundle of a checkpoint of HAG-MIL, CLAM, AB-MIL, DTFD-MIL or TransMIL",
)

"""``models`` and ``convert``: list encoders and bundles, and convert checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import Verb, argument, at_least_one, json_option, option
from napari_hagmil.errors import EncoderError


@dataclass(frozen=True)
class ModelsOptions:
    """Options of ``models``."""

    json: bool = json_option()


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


def models(options: ModelsOptions) -> int:
    """List which encoders and bundles can be used here, and what is missing for the rest."""
    from napari_hagmil.bundles import shipped_bundles
    from napari_hagmil.encoders import ENCODERS

    bundles = [_bundle_facts(name) for name in shipped_bundles()]
    encoders = [{"name": name, "missing": _missing(name)} for name in ENCODERS]
    if options.json:
        answer({"bundles": bundles, "encoders": encoders})
        return 0
    for bundle in bundles:
        say(
            f"{bundle['name']}: {' → '.join(bundle['magnifications'])}, "
            f"classes {', '.join(bundle['classes'])}, encoder {bundle['encoder']}"
        )
        say(f"  {bundle['intended_use']}")
    for encoder in encoders:
        say(f"encoder {encoder['name']}: {encoder['missing'] or 'ready'}")
    return 0


def _bundle_facts(name: str) -> dict[str, Any]:
    from napari_hagmil.bundles import shipped_bundles
    from napari_hagmil.geometry import magnification_label
    from napari_hagmil.models import load_bundle

    model = load_bundle(shipped_bundles()[name])
    config = model.config
    return {
        "name": name,
        "sha256": model.sha256,
        "encoder": config.encoder.name,
        "classes": list(config.classes),
        "mpp": list(config.mpp),
        "magnifications": [magnification_label(mpp) for mpp in config.mpp],
        "budget": list(config.budget),
        "licence": config.licence,
        "intended_use": config.intended_use,
    }


def _missing(name: str) -> str:
    from napari_hagmil.encoders import load_encoder

    try:
        load_encoder(name)
    except EncoderError as error:
        return error.sentence("command line")
    return ""


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


MODELS = Verb("models", ModelsOptions, models, "list the bundles and encoders available here")
CONVERT = Verb(
    "convert",
    ConvertOptions,
    convert,
    "make a bundle of a checkpoint of HAG-MIL, CLAM, AB-MIL, DTFD-MIL or TransMIL",
)

"""``convert`` and ``calibrate``: a bundle of other code's checkpoint, and how sure one may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_hagmil.cli.terminal import progress, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    at_least_one,
    cohort_argument,
    device_option,
    model_option,
    option,
    pseudonymise_option,
)
from napari_hagmil.errors import CohortError

if TYPE_CHECKING:
    from napari_hagmil.cohort import SlideRecord
    from napari_hagmil.evaluation.evaluate import Source
    from napari_hagmil.models import BundleConfig, CascadeModel


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


@dataclass(frozen=True)
class CalibrateOptions:
    """Options of ``calibrate``."""

    cohort: Path = cohort_argument()
    model: str = model_option()
    out: Path = option(
        "--out",
        place="below",
        type=Path,
        required=True,
        metavar="BUNDLE",
        help="the bundle to write",
    )
    store: Path | None = option(
        "--store",
        place="below",
        type=Path,
        metavar="DIR",
        help="read stored features instead of slides",
    )
    device: str = device_option()
    pseudonymise: bool = pseudonymise_option()


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


def calibrate(options: CalibrateOptions) -> int:
    """Tell a bundle how sure it may be, and what it was trained on; its weights stay."""
    from napari_hagmil.evaluation.calibrate import calibrate, require_thresholds_of_two
    from napari_hagmil.files import require_writable
    from napari_hagmil.models import save_bundle

    model, source = _readable(options)
    require_thresholds_of_two(model.config)
    training, validation = _parts(options, model.config.classes)
    require_writable(options.out)
    with progress("slide", len(training) + len(validation)) as bar:
        calibrate(model, source, training, validation, on_slide=lambda record: bar.update())
    save_bundle(model, options.out)
    _say_what_is_known(model.config, options.out)
    return 0


def _readable(options: CalibrateOptions) -> tuple[CascadeModel, Source]:
    """The model, and where its slides are read from."""
    from napari_hagmil.bundles import find_bundle
    from napari_hagmil.encoders import resolve_device
    from napari_hagmil.evaluation.evaluate import live, stored
    from napari_hagmil.models import load_bundle
    from napari_hagmil.prepare import load_model

    if options.store is None:
        model, encoder = load_model(options.model, device=options.device)
        return model, live(model, encoder)
    device = resolve_device(options.device)
    model = load_bundle(find_bundle(options.model), device=device)
    return model, stored(options.store, model)


def _parts(options: CalibrateOptions, classes: Sequence[str]) -> list[list[SlideRecord]]:
    """The slides to learn from, and those that validate."""
    from napari_hagmil.cohort import read_cohort

    files = options.store is None
    cohort = read_cohort(options.cohort, classes=classes, files=files, every_class=False)
    parts = [[r for r in cohort.records if r.split == part] for part in ("train", "val")]
    if not all(parts):
        raise CohortError(
            f"{options.cohort.name} cannot be used",
            ["it needs slides of the splits train and val; fill in the column split"],
        )
    return parts


def _say_what_is_known(config: BundleConfig, out: Path) -> None:
    known, seen = config.confidence, config.familiarity
    if known is not None:
        temperatures = ", ".join(f"{one:.3g}" for one in known.temperatures)
        say(f"temperature by depth {temperatures}, of {len(known.scores)} validation slides")
    if seen is None:
        say("too few training slides to tell slides that are unlike them")
    else:
        say(f"slides are familiar up to distance {seen.limit:g}, of {seen.slides} training slides")
    say(f"bundle in {out}")


CONVERT = Verb(
    "convert",
    ConvertOptions,
    convert,
    "make a bundle of a checkpoint of HAG-MIL, CLAM, AB-MIL, DTFD-MIL or TransMIL",
    says_names="a checkpoint names no slide",
)
CALIBRATE = Verb(
    "calibrate",
    CalibrateOptions,
    calibrate,
    "tell a bundle how sure it may be and what it knows, from its training and validation slides",
)

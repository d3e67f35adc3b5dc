"""Checkpoints of other methods, as their authors' code writes them, converted to bundles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from napari_hagmil.errors import BundleError, Remedy
from napari_hagmil.models.baselines.dtfd import Distillation
from napari_hagmil.models.bundle import save_bundle
from napari_hagmil.models.cascade import CascadeModel
from napari_hagmil.models.checkpoints.layouts import LAYOUTS, KeyLayout, layout_of
from napari_hagmil.models.checkpoints.weights_only import bare_name, load_weights_only, one_line
from napari_hagmil.models.config import BundleConfig, EncoderFacts
from napari_hagmil.models.interface import BagModel
from napari_hagmil.models.stage import BaselineConfig, build_stage

#: Where training scripts put the weights among other things that they save.
_WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"),
)

#: Constants of losses, saved with the weights.
_IGNORED = ("instance_loss_fn.labels",)


class Published(NamedTuple):
    """A model read from a checkpoint of another method's code.

    Attributes
    ----------
    method : str
        "CLAM-SB".
    config : BaselineConfig
        The baseline here that it has become, with its dimensions.
    model : BagModel
        In eval mode.
    """

    method: str
    config: BaselineConfig
    model: BagModel


@dataclass(frozen=True, slots=True)
class PublishedFacts:
    """What the checkpoint of a single-depth method does not record.

    Attributes
    ----------
    classes : tuple of str
        In the order of the logits.
    encoder : str
        Its features were the model's input.
    mpp : float
        µm per pixel of the patches.
    patch_size : int
        Pixels a side, at that `mpp`.
    n_features : int or None
        Of the encoder, to be checked against the weights.
    distillation : str or None
        What DTFD-MIL was trained with: "afs", "maxs" or "maxmins"; needed for it alone.
    name : str or None
        Of the bundle; None: from the checkpoint's file name.
    licence : str
        Of the weights.
    """

    classes: tuple[str, ...] = ()
    encoder: str = ""
    mpp: float = 0.0
    patch_size: int = 0
    n_features: int | None = None
    distillation: Distillation | None = None
    name: str | None = None
    licence: str = "unknown: the checkpoint states none"


def load_published(
    path: str | os.PathLike[str], *, distillation: Distillation | None = None
) -> Published:
    """Read a checkpoint of CLAM, AB-MIL, DTFD-MIL or TransMIL, without running what it contains.

    Parameters
    ----------
    path : path
        A state dict, alone or among the other things that a training script saves.
    distillation : str, optional
        Of DTFD-MIL, which does not record it; "afs" unless given.

    Raises
    ------
    BundleError
        When it cannot be read, is of no method that is known, or not as published.
    """
    path = Path(path)
    return _published(_flat(load_weights_only(path)), path, distillation)


def is_published(content: Mapping[str, Any]) -> bool:
    """Whether what a checkpoint holds has the names of a method that is known."""
    return layout_of(_flat(content)) is not None


def convert_published(
    checkpoint: str | os.PathLike[str], out: str | os.PathLike[str], facts: PublishedFacts
) -> CascadeModel:
    """Make a bundle of one depth from a checkpoint of CLAM, AB-MIL, DTFD-MIL or TransMIL.

    Parameters
    ----------
    checkpoint : path
        Read without running anything it contains.
    out : path
        Where the bundle goes; see `save_bundle`.
    facts : PublishedFacts

    Returns
    -------
    CascadeModel
        In eval mode. TransMIL's bag is in the order of columns, as CLAM and TRIDENT list patches.

    Raises
    ------
    BundleError
        As of `load_published`, and when facts are missing or contradict the weights.
    """
    path = Path(checkpoint)
    found = load_published(path, distillation=facts.distillation)
    _require_facts(found, facts, path)
    with torch.device("meta"):
        model = CascadeModel(_bundle_config(found, facts, path))
    model.stages[0] = found.model
    save_bundle(model, out)
    return model.eval()


def _bundle_config(found: Published, facts: PublishedFacts, path: Path) -> BundleConfig:
    return BundleConfig(
        name=facts.name or path.stem,
        encoder=EncoderFacts(facts.encoder, None, found.config.n_features),
        patch_size=facts.patch_size,
        mpp=(facts.mpp,),
        classes=facts.classes,
        stages=(found.config,),
        budget=(),
        order="columns" if found.config.model == "transmil" else "quadtree",
        training={"converted_from": path.name, "method": found.method},
        licence=facts.licence,
        intended_use="Research only; not for diagnosis.",
    )


def _require_facts(found: Published, facts: PublishedFacts, path: Path) -> None:
    needed = {
        "classes": (facts.classes, "--classes A,B in the order of its outputs"),
        "encoder": (facts.encoder, "--encoder NAME"),
        "mpp": (facts.mpp, "--mpp X in µm per pixel of its patches"),
        "patch_size": (facts.patch_size, "--patch-size PX"),
    }
    if found.config.model.startswith("dtfd"):
        needed["distillation"] = (facts.distillation, "--distillation afs|maxs|maxmins")
    missing = {name: flag for name, (value, flag) in needed.items() if not value}
    if missing:
        raise BundleError(
            path.name,
            f"is {found.method} of {found.config.n_features} features and "
            f"{found.config.n_classes} classes, and does not say what else a bundle needs",
            remedy=Remedy(
                library=f"give {', '.join(f'{name}=' for name in missing)}",
                command_line=f"give {', '.join(missing.values())}",
            ),
        )
    if facts.n_features not in (None, found.config.n_features):
        raise BundleError(
            path.name,
            f"is a model of {found.config.n_features} features and not of {facts.n_features}",
            remedy="name the encoder whose features it was trained on",
        )


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Names and weights, without the wrappers of scripts and of torch, parts joined by dots."""
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    flat: dict[str, Any] = {}
    for name, value in content.items():
        parts = {f"{name}.{p}": v for p, v in value.items()} if isinstance(value, Mapping) else None
        flat.update(parts or {str(name): value})
    bare = _unprefixed({bare_name(name): value for name, value in flat.items()})
    return {name: value for name, value in bare.items() if name not in _IGNORED}


def _unprefixed(weights: dict[str, Any]) -> dict[str, Any]:
    """Weights of a known layout, where they are attributes of a larger module: without its name."""
    shared = weights
    while shared and layout_of(shared) is None:
        first, dot, _ = next(iter(shared)).partition(".")
        if not dot or not all(name.startswith(f"{first}.") for name in shared):
            return weights
        shared = {name.removeprefix(f"{first}."): value for name, value in shared.items()}
    return shared


def _published(
    weights: Mapping[str, Any], path: Path, distillation: Distillation | None
) -> Published:
    layout = layout_of(weights)
    if layout is None:
        raise BundleError(
            path.name,
            "has none of the layouts that are known",
            value=f"the entries {', '.join(sorted(weights)[:3]) or 'none'} …",
            remedy=f"give weights of {', '.join(each.method for each in LAYOUTS)} or HAG-MIL",
        )
    renamed = _renamed(weights, layout, path)
    try:
        config = layout.configure(renamed)
        if config.model.startswith("dtfd"):
            config = replace(config, model=f"dtfd_{distillation or 'afs'}")
        with torch.device("meta"):  # no memory for dimensions that the weights do not have
            model = build_stage(config)
        model.load_state_dict(layout.complete(renamed), assign=True)
    except KeyError as error:
        raise _not_as_published(path, layout, f"it lacks the weights {error}") from error
    except (ValueError, RuntimeError) as error:
        raise _not_as_published(path, layout, one_line(error)) from error
    return Published(layout.method, config, model.eval())


def _renamed(weights: Mapping[str, Any], layout: KeyLayout, path: Path) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        ours = layout.renamed(name)
        if ours is None or not isinstance(tensor, Tensor):
            raise _not_as_published(path, layout, f"it has the entry {name!r}")
        if ours in renamed:
            raise _not_as_published(path, layout, f"it has {name!r} under a second name too")
        renamed[ours] = tensor.float()
    return renamed


def _not_as_published(path: Path, layout: KeyLayout, why: str) -> BundleError:
    return BundleError(
        path.name,
        f"looks like {layout.method}, but is not as its authors publish it: {why}",
        remedy="give a checkpoint of the method's published code",
    )

"""Checkpoints of the official HAG-MIL code, converted to bundles."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_hagmil.errors import BundleError
from napari_hagmil.models.bundle import save_bundle
from napari_hagmil.models.cascade import CascadeModel
from napari_hagmil.models.checkpoints.weights_only import bare_name, load_weights_only, one_line
from napari_hagmil.models.config import BundleConfig, EncoderFacts
from napari_hagmil.models.iat import ADMIN_GAIN, IATConfig

OFFICIAL_BUDGET = 10_000
"""k of the official code at inference, at every depth."""

_MODEL = re.compile(r"model(\d+)\.(.+)")

_TAKE_LIGHTNING = "take the Lightning .ckpt file that the official code writes"


@dataclass(frozen=True, slots=True)
class OfficialFacts:
    """What an official checkpoint does not record; by default as in the paper.

    Attributes
    ----------
    name : str or None
        Of the bundle; None: from the checkpoint's file name.
    classes : tuple of str or None
        In the order of the logits; None: normal and tumor for two, else "class 0" …
    encoder : str
        Its features were the model's input.
    patch_size : int
        Pixels a side.
    finest_mpp : float
        µm per pixel of the finest depth, 40× by default; each coarser one is twice as large.
    budget : int
        k of every depth.
    """

    name: str | None = None
    classes: tuple[str, ...] | None = None
    encoder: str = "resnet50-layer3"
    patch_size: int = 256
    finest_mpp: float = 0.25
    budget: int = OFFICIAL_BUDGET


def convert_official(
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    facts: OfficialFacts | None = None,
) -> CascadeModel:
    """Make a bundle of a Lightning checkpoint of the official HAG-MIL code.

    The bundle carries what its weights were trained with: `legacy_padding`, and bags in
    descending attention of the parents (`order="attention"`).

    Parameters
    ----------
    checkpoint : path
        Read without running anything it contains. "model0" is the finest depth.
    out : path
        Where the bundle goes; see `save_bundle`.
    facts : OfficialFacts, optional

    Returns
    -------
    CascadeModel
        In eval mode.
    """
    facts = facts or OfficialFacts()
    path = Path(checkpoint)
    content = load_weights_only(path)
    stages = [official_to_ours(weights) for weights in _coarse_to_fine(content, path)]
    configs = tuple(_dimensions(weights, path) for weights in stages)
    with torch.device("meta"):
        model = CascadeModel(_bundle_config(configs, facts, content, path))
    for module, weights in zip(model.stages, stages, strict=True):
        try:
            module.load_state_dict({k: v.float() for k, v in weights.items()}, assign=True)
        except RuntimeError as error:
            raise BundleError(
                path.name,
                f"is not an official HAG-MIL checkpoint: {one_line(error)}",
                remedy=_TAKE_LIGHTNING,
            ) from error
    save_bundle(model, out)
    return model.eval()


def is_official(content: Mapping[str, Any]) -> bool:
    """Whether what a checkpoint holds has models named as in the official HAG-MIL code."""
    weights = content.get("state_dict", content)
    names = weights if isinstance(weights, Mapping) else ()
    return any(_MODEL.fullmatch(bare_name(str(name))) for name in names)


def _coarse_to_fine(content: Mapping[str, Any], path: Path) -> list[dict[str, Tensor]]:
    """Weights of model(D−1), …, model1, model0."""
    models: dict[int, dict[str, Tensor]] = {}
    for name, tensor in content.get("state_dict", content).items():
        found = _MODEL.fullmatch(bare_name(str(name)))
        if found and isinstance(tensor, Tensor):
            models.setdefault(int(found[1]), {})[found[2]] = tensor
    if not models or sorted(models) != list(range(len(models))):
        raise BundleError(
            f"{path.name} is not an official HAG-MIL checkpoint:",
            "its state_dict needs the models model0 (finest) to modelN",
            value=sorted(models),
            remedy=_TAKE_LIGHTNING,
        )
    return [models[index] for index in reversed(range(len(models)))]


def _dimensions(weights: Mapping[str, Tensor], path: Path) -> IATConfig:
    """Read a stage's dimensions off its weights; what leaves no trace is the official constant."""
    try:
        n_blocks = weights["combine.weight"].shape[1]
        first = "blocks.0."
        return IATConfig(
            n_features=weights[first + "project.0.weight"].shape[1],
            widths=tuple(weights[f"blocks.{i}.project.0.weight"].shape[0] for i in range(n_blocks)),
            n_classes=weights["head.weight"].shape[0],
            heads=weights[first + "attention.res_conv.weight"].shape[0],
            instance_dim=weights[first + "instance.0.weight"].shape[0],
            gate_dim=weights[first + "scores.content.weight"].shape[0],
            bag_dim=weights["head.weight"].shape[1],
            attention="nystrom",
            legacy_padding=True,
            residual_kernel=weights[first + "attention.res_conv.weight"].shape[2],
            gated=first + "scores.gate.weight" in weights,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise BundleError(
            path.name,
            "is not an official HAG-MIL checkpoint: its weights do not give the dimensions "
            f"({error})",
            remedy=_TAKE_LIGHTNING,
        ) from error


def _bundle_config(
    stages: tuple[IATConfig, ...], facts: OfficialFacts, content: Mapping[str, Any], path: Path
) -> BundleConfig:
    depths, n_classes = len(stages), stages[0].n_classes
    default = (
        ("normal", "tumor") if n_classes == 2 else tuple(f"class {i}" for i in range(n_classes))
    )
    origin = {
        key: content[key] for key in ("epoch", "global_step") if type(content.get(key)) is int
    }
    return BundleConfig(
        name=facts.name or path.stem,
        encoder=EncoderFacts(facts.encoder, None, stages[0].n_features),
        patch_size=facts.patch_size,
        mpp=tuple(facts.finest_mpp * 2.0**i for i in reversed(range(depths))),
        classes=facts.classes or default,
        stages=stages,
        budget=(facts.budget,) * (depths - 1),
        order="attention",
        children="all",
        training={"converted_from": path.name, "code": "official HAG-MIL (Lightning)", **origin},
        licence="unknown: the official code and its weights state none",
        intended_use="Research only; not for diagnosis.",
    )


_BLOCK_PARTS = {
    "fc.": "project.",
    "layer.norm.": "attention_norm.",
    "layer.attn.": "attention.",
    "norm.": "norm.",
    "attention_net.0.": "instance.0.",
    "attention_net.3.attention_a.0.": "scores.content.",
    "attention_net.3.attention_b.0.": "scores.gate.",
    "attention_net.3.attention_c.": "scores.score.",
    "attention_net.3.module.0.": "scores.content.",
    "attention_net.3.module.3.": "scores.score.",
    "layer_map_to_final.": "to_bag.",
}

_MODEL_PARTS = {
    "weights.": "combine.",
    "fc5.": "head.",
    "instance_classifiers.": "instance_classifiers.",
}


def official_to_ours(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of one official model → that of our `IntegratedAttentionTransformer`."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name == "instance_loss_fn.labels":  # a constant of their loss
            continue
        if name.endswith("residual_attn.omega"):
            _check_gain(name, tensor)
            continue
        renamed[_our_name(name)] = tensor
    return renamed


def _our_name(name: str) -> str:
    block = re.fullmatch(r"layers\.(\d+)\.(.+)", name)
    prefix, rest = (f"blocks.{block[1]}.", block[2]) if block else ("", name)
    for theirs, ours in (_BLOCK_PARTS if block else _MODEL_PARTS).items():
        if rest.startswith(theirs):
            return prefix + ours + rest.removeprefix(theirs)
    raise BundleError(
        "the checkpoint",
        f"has the parameter {name!r}, which the official HAG-MIL model does not have",
        remedy=_TAKE_LIGHTNING,
    )


def _check_gain(name: str, gain: Tensor) -> None:
    if gain.numel() != 1 or abs(gain.item() - ADMIN_GAIN) > 1e-4:
        raise BundleError(
            "the checkpoint",
            f"needs {name} to be the paper's constant {ADMIN_GAIN:.7f}; a model with another "
            "cannot be converted",
            value=gain.flatten()[:3].tolist(),
        )

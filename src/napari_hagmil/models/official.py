"""Names of the official HAG-MIL code's parameters, told in ours."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from napari_hagmil.errors import BundleError
from napari_hagmil.models.iat import ADMIN_GAIN

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
        f"the checkpoint has the parameter {name!r}, which the official HAG-MIL model does not; "
        "convert a checkpoint of that code"
    )


def _check_gain(name: str, gain: Tensor) -> None:
    if gain.numel() != 1 or abs(gain.item() - ADMIN_GAIN) > 1e-4:
        raise BundleError(
            f"the checkpoint has {name} = {gain.flatten()[:3].tolist()} where the model of the "
            f"paper has the constant {ADMIN_GAIN:.7f}; such a model cannot be converted"
        )

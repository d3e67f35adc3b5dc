"""How the checkpoints of other methods name their weights: one layout per published code.

A layout is recognised by names that only it has. Its weights are renamed to those of the baseline
here that computes the same, and the dimensions are read off their shapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_hagmil.models.stage import BaselineConfig

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class KeyLayout:
    """The names in the checkpoints of one method.

    Attributes
    ----------
    method : str
        As its authors call it.
    marks : tuple of str
        Patterns, each of which some name matches wholly in this layout, and together in no other.
    names : dict
        Start of a name there (a pattern) → here.
    configure : callable
        Renamed weights → the baseline that they are of. A KeyError or ValueError says what is
        missing or not as published.
    complete : callable
        Renamed weights → those of the baseline, where more than names differ.
    """

    method: str
    marks: tuple[str, ...]
    names: Mapping[str, str]
    configure: Callable[[Weights], BaselineConfig]
    complete: Callable[[Weights], dict[str, Tensor]] = dict

    def fits(self, weights: Mapping[str, Any]) -> bool:
        """Whether a checkpoint has the names of this layout."""
        return all(any(re.fullmatch(mark, name) for name in weights) for mark in self.marks)

    def renamed(self, name: str) -> str | None:
        """What a parameter is called here; None where the method has none of that name."""
        for pattern, ours in self.names.items():
            found = re.match(pattern, name)
            if found:
                return found.expand(ours) + name[found.end() :]
        return None


def layout_of(weights: Mapping[str, Any]) -> KeyLayout | None:
    """The layout of a checkpoint's names, or None."""
    return next((layout for layout in LAYOUTS if layout.fits(weights)), None)


def _attended(model: str, weights: Weights, **options: Any) -> BaselineConfig:
    """A method with a Linear per instance, an attention over them, and one head."""
    n_classes, hidden = _matrix(weights, "head.weight")
    gate_dim, _ = _matrix(weights, "scores.content.weight")
    _, n_features = _matrix(weights, "embed.0.weight")
    return BaselineConfig(
        model, n_features, n_classes, {"hidden": hidden, "gate_dim": gate_dim, **options}
    )


def _clam_sb(weights: Weights) -> BaselineConfig:
    return _attended("clam_sb", weights, **_gating(weights))


def _clam_mb(weights: Weights) -> BaselineConfig:
    gate_dim, hidden = _matrix(weights, "scores.content.weight")
    n_classes, _ = _matrix(weights, "scores.score.weight")
    _, n_features = _matrix(weights, "embed.0.weight")
    options = {"hidden": hidden, "gate_dim": gate_dim, **_gating(weights)}
    return BaselineConfig("clam_mb", n_features, n_classes, options)


def _gating(weights: Weights) -> dict[str, bool]:
    return {} if "scores.gate.weight" in weights else {"gated": False}


def _ab_mil(weights: Weights) -> BaselineConfig:
    if any(name.startswith("image.") for name in weights):
        raise ValueError("it has convolutions, since it reads images and not features")
    branches, _ = _matrix(weights, "scores.score.weight")
    if branches != 1:
        raise ValueError(f"{branches} attention branches, where the published method has one")
    hidden, pooled = _matrix(weights, "scores.content.weight")
    layers = sorted(_layer(name) for name in weights if re.fullmatch(r"embed\.\d+\.weight", name))
    matrices = [_matrix(weights, f"embed.{layer}.weight") for layer in layers]
    widths = [matrix[0] for matrix in matrices]
    n_features = matrices[0][1] if matrices else pooled
    model = "gated_ab_mil" if "scores.gate.weight" in weights else "ab_mil"
    n_classes = max(_matrix(weights, "head.weight")[0], 2)
    return BaselineConfig(model, n_features, n_classes, {"widths": widths, "hidden": hidden})


def _ab_mil_weights(weights: Weights) -> dict[str, Tensor]:
    """Layers of the embedding counted as here, and a sigmoid's logit as the second of two.

    softmax([0, z]) has sigmoid(z) in its second place.
    """
    layers = sorted({_layer(name) for name in weights if name.startswith("embed.")})
    at = {layer: 3 * index for index, layer in enumerate(layers)}  # Linear, ReLU, Dropout
    named = {
        f"embed.{at[_layer(name)]}.{name.rpartition('.')[2]}"
        if name.startswith("embed.")
        else name: tensor
        for name, tensor in weights.items()
    }
    if len(named["head.weight"]) == 1:
        for name in ("head.weight", "head.bias"):
            named[name] = torch.cat((torch.zeros_like(named[name]), named[name]))
    return named


def _layer(name: str) -> int:
    return int(name.split(".")[1])


def _dtfd(weights: Weights) -> BaselineConfig:
    bias = {"bias": True} if "embed.0.bias" in weights else {}
    return _attended("dtfd_afs", weights, **bias)


def _transmil(weights: Weights) -> BaselineConfig:
    n_classes, hidden = _matrix(weights, "head.weight")
    _, n_features = _matrix(weights, "embed.0.weight")
    heads = len(weights["first.attention.res_conv.weight"])
    return BaselineConfig("transmil", n_features, n_classes, {"hidden": hidden, "heads": heads})


def _transmil_weights(weights: Weights) -> dict[str, Tensor]:
    return {**weights, "class_token": weights["class_token"].flatten()}


def _matrix(weights: Weights, name: str) -> tuple[int, int]:
    """Rows and columns; a matrix is what a Linear has, and a convolution has not."""
    rows, columns = weights[name].shape
    return rows, columns


_ATTENTION = {
    r"attention_net\.0\.": "embed.0.",
    r"attention_net\.[23]\.attention_a\.0\.": "scores.content.",
    r"attention_net\.[23]\.attention_b\.0\.": "scores.gate.",
    r"attention_net\.[23]\.attention_c\.": "scores.score.",
    r"attention_net\.[23]\.module\.0\.": "scores.content.",
    r"attention_net\.[23]\.module\.[23]\.": "scores.score.",
    r"instance_classifiers\.": "instance_classifiers.",
}

_EXTRACTOR = {
    r"feature_extractor(?:_part2)?\.(\d+)\.": r"embed.\1.",
    r"feature_extractor_part1\.": "image.",
}

LAYOUTS: tuple[KeyLayout, ...] = (
    KeyLayout(
        "CLAM-MB",
        (r"attention_net\.0\.weight", r"classifiers\.0\.weight"),
        {**_ATTENTION, r"classifiers\.": "heads."},
        _clam_mb,
    ),
    KeyLayout(
        "CLAM-SB",
        (r"attention_net\.0\.weight", r"classifiers\.weight", r"instance_classifiers\.0\.weight"),
        {**_ATTENTION, r"classifiers\.": "head."},
        _clam_sb,
    ),
    KeyLayout(
        "AB-MIL in CLAM's layout",
        (r"attention_net\.0\.weight", r"classifiers?\.weight"),
        {**_ATTENTION, r"classifiers?\.": "head."},
        _ab_mil,
        _ab_mil_weights,
    ),
    KeyLayout(
        "DTFD-MIL",
        (r"dim_reduction\.fc1\.weight", r"att_classifier\.classifier\.fc\.weight"),
        {
            r"dim_reduction\.fc1\.": "embed.0.",
            r"attention\.attention_V\.0\.": "scores.content.",
            r"attention\.attention_U\.0\.": "scores.gate.",
            r"attention\.attention_weights\.": "scores.score.",
            r"classifier\.fc\.": "head.",
            r"att_classifier\.attention\.attention_V\.0\.": "tier2_scores.content.",
            r"att_classifier\.attention\.attention_U\.0\.": "tier2_scores.gate.",
            r"att_classifier\.attention\.attention_weights\.": "tier2_scores.score.",
            r"att_classifier\.classifier\.fc\.": "tier2_head.",
        },
        _dtfd,
    ),
    KeyLayout(
        "gated AB-MIL",
        (r"attention_V\.0\.weight", r"attention_U\.0\.weight", r"classifier(\.0)?\.weight"),
        {
            **_EXTRACTOR,
            r"attention_V\.0\.": "scores.content.",
            r"attention_U\.0\.": "scores.gate.",
            r"attention_w(?:eights)?\.": "scores.score.",
            r"classifier\.(?:0\.)?": "head.",
        },
        _ab_mil,
        _ab_mil_weights,
    ),
    KeyLayout(
        "AB-MIL",
        (r"attention\.0\.weight", r"attention\.2\.weight", r"classifier(\.0)?\.weight"),
        {
            **_EXTRACTOR,
            r"attention\.0\.": "scores.content.",
            r"attention\.2\.": "scores.score.",
            r"classifier\.(?:0\.)?": "head.",
        },
        _ab_mil,
        _ab_mil_weights,
    ),
    KeyLayout(
        "TransMIL",
        (r"_fc1\.0\.weight", r"pos_layer\.proj\.weight", r"layer1\.attn\.to_qkv\.weight"),
        {
            r"_fc1\.0\.": "embed.0.",
            r"cls_token$": "class_token",
            r"layer1\.norm\.": "first.norm.",
            r"layer1\.attn\.": "first.attention.",
            r"layer2\.norm\.": "second.norm.",
            r"layer2\.attn\.": "second.attention.",
            r"pos_layer\.proj\.": "position.convolutions.0.",
            r"pos_layer\.proj1\.": "position.convolutions.1.",
            r"pos_layer\.proj2\.": "position.convolutions.2.",
            r"norm\.": "norm.",
            r"_fc2\.": "head.",
        },
        _transmil,
        _transmil_weights,
    ),
)
"""In this order, the first that fits counts: CLAM without instance heads is AB-MIL."""

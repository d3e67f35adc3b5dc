"""Baselines on disk: our own safetensors files, and the checkpoints that their authors publish.

A published checkpoint is a pickle. It is read with `weights_only`, which runs none of its code;
`save_baseline` then keeps the weights in a format that cannot hold code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from napari_hagmil.errors import BundleError
from napari_hagmil.files import replacing
from napari_hagmil.models.baselines import CLAMSB, DTFD, make_baseline
from napari_hagmil.models.baselines.dtfd import Distillation
from napari_hagmil.models.checkpoints.weights_only import load_weights_only, one_line
from napari_hagmil.models.interface import BagModel
from napari_hagmil.untrusted import parse_json

SCHEMA = "napari-hagmil/baseline/1"

Model = TypeVar("Model", bound=BagModel)


def save_baseline(model: BagModel, path: str | os.PathLike[str], name: str, **options: Any) -> None:
    """Write a baseline as safetensors; `name` and `options` are those of `make_baseline`."""
    path = Path(path)
    facts = {"n_features": model.n_features, "n_classes": model.n_classes, "options": options}
    metadata = {"schema": SCHEMA, "model": json.dumps({"name": name, **facts})}
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    with replacing(path) as draft:
        draft.write_bytes(safetensors.torch.save(tensors, metadata))


def load_baseline(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> BagModel:
    """Read what `save_baseline` wrote, in eval mode; a `BundleError` when it does not fit."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")  # a pipe would be waited for
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # Types that this torch does not have come as errors of their own.
    except (OSError, ValueError, KeyError, AttributeError, safetensors.SafetensorError) as error:
        raise BundleError(
            path.name,
            f"is not a safetensors file: {one_line(error)}",
            remedy="give one that save_baseline wrote",
        ) from error
    if metadata.get("schema") != SCHEMA:
        raise BundleError(
            path.name,
            f"needs the schema {SCHEMA!r} of a baseline",
            value=repr(metadata.get("schema")),
            remedy="save the model with save_baseline",
        )
    return _model(metadata.get("model", "{}"), tensors, path.name).to(device)


def _model(text: str, tensors: dict[str, Tensor], source: str) -> BagModel:
    """The baseline that `text` describes, with its weights, in eval mode."""
    try:
        facts = parse_json(text)
        with torch.device("meta"):  # no memory for dimensions that the weights do not have
            model = make_baseline(
                facts["name"], facts["n_features"], facts["n_classes"], **facts["options"]
            )
        model.load_state_dict(tensors, assign=True)
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise BundleError(
            source,
            f"cannot become a baseline: {one_line(error)}",
            remedy="save the model again with save_baseline",
        ) from error
    return model.eval()


def load_published_clam(path: str | os.PathLike[str]) -> CLAMSB:
    """CLAM-SB from a checkpoint of its authors' code, in eval mode."""
    weights = load_weights_only(path)
    renamed = _rename(weights, _CLAM, path)
    hidden, n_features = _shape(renamed, "embed.0.weight", path)
    gate_dim, _ = _shape(renamed, "scores.content.weight", path)
    n_classes, _ = _shape(renamed, "head.weight", path)
    model = CLAMSB(n_features, n_classes, hidden=hidden, gate_dim=gate_dim)
    return _filled(model, renamed, path)


def load_published_dtfd(
    path: str | os.PathLike[str], *, distillation: Distillation = "afs"
) -> DTFD:
    """DTFD-MIL from a checkpoint of its authors' code, in eval mode.

    The file does not name its distillation; give it where it is not "afs".
    """
    parts = load_weights_only(path)
    flat = {
        f"{part}.{name}": tensor
        for part, weights in parts.items()
        if isinstance(weights, Mapping)
        for name, tensor in weights.items()
    }
    renamed = _rename(flat, _DTFD, path)
    hidden, n_features = _shape(renamed, "embed.0.weight", path)
    gate_dim, _ = _shape(renamed, "scores.content.weight", path)
    n_classes, _ = _shape(renamed, "head.weight", path)
    model = DTFD(n_features, n_classes, distillation=distillation, hidden=hidden, gate_dim=gate_dim)
    return _filled(model, renamed, path)


_CLAM = {
    r"attention_net\.0\.": "embed.0.",
    r"attention_net\.[23]\.attention_a\.0\.": "scores.content.",
    r"attention_net\.[23]\.attention_b\.0\.": "scores.gate.",
    r"attention_net\.[23]\.attention_c\.": "scores.score.",
    r"classifiers\.": "head.",
    r"instance_classifiers\.": "instance_classifiers.",
}

_DTFD = {
    r"dim_reduction\.fc1\.": "embed.0.",
    r"attention\.attention_V\.0\.": "scores.content.",
    r"attention\.attention_U\.0\.": "scores.gate.",
    r"attention\.attention_weights\.": "scores.score.",
    r"classifier\.fc\.": "head.",
    r"att_classifier\.attention\.attention_V\.0\.": "tier2_scores.content.",
    r"att_classifier\.attention\.attention_U\.0\.": "tier2_scores.gate.",
    r"att_classifier\.attention\.attention_weights\.": "tier2_scores.score.",
    r"att_classifier\.classifier\.fc\.": "tier2_head.",
}
"""Start of a parameter's name there (a pattern) → here; "module." is taken out before."""


def _rename(
    weights: Mapping[str, Any], names: Mapping[str, str], path: str | os.PathLike[str]
) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        plain = re.sub(r"(^|\.)module\.", r"\1", name)
        if plain == "instance_loss_fn.labels":  # a constant of their loss
            continue
        starts = [(re.match(pattern, plain), ours) for pattern, ours in names.items()]
        found = [ours + plain[match.end() :] for match, ours in starts if match]
        if not found or not isinstance(tensor, Tensor):
            raise BundleError(
                Path(path).name,
                f"has the entry {name!r}, which no checkpoint of this method has",
                remedy="take one that the method's authors published",
            )
        renamed[found[0]] = tensor.float()
    return renamed


def _shape(weights: Mapping[str, Tensor], name: str, path: str | os.PathLike[str]) -> list[int]:
    if name not in weights or weights[name].ndim != 2:
        raise BundleError(
            Path(path).name,
            f"lacks the matrix that becomes {name!r} here",
            remedy="take a checkpoint that the method's authors published",
        )
    return list(weights[name].shape)


def _filled(model: Model, weights: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Model:
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise BundleError(
            Path(path).name,
            f"does not fit this method: {one_line(error)}",
            remedy="load it as the method that it was trained as",
        ) from error
    return model.eval()

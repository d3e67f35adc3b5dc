"""Checkpoints as other programs write them, made of small models of ours."""

from __future__ import annotations

from pathlib import Path

import torch

from napari_hagmil.models import IATConfig
from napari_hagmil.models.checkpoints.official import _BLOCK_PARTS, _MODEL_PARTS
from napari_hagmil.models.iat import ADMIN_GAIN, IntegratedAttentionTransformer


def write_official(path: Path, depths: int = 3) -> Path:
    """A Lightning checkpoint with the names of the official HAG-MIL code; "model0" is the finest.

    Its numbers are random: what it computes is compared where the reference's own file is.
    """
    torch.manual_seed(0)
    config = IATConfig(n_features=24, widths=(16, 8), n_classes=2, heads=4, attention="nystrom",
                       legacy_padding=True)  # fmt: skip
    weights = {}
    for index in range(depths):
        for name, tensor in IntegratedAttentionTransformer(config).state_dict().items():
            weights[f"model{index}.{_their_name(name)}"] = tensor
        for block in range(len(config.widths)):
            omega = f"model{index}.layers.{block}.layer.residual_attn.omega"
            weights[omega] = torch.tensor([ADMIN_GAIN])
    torch.save({"state_dict": weights, "epoch": 3, "global_step": 12}, path)
    return path


def _their_name(name: str) -> str:
    prefix, parts = "", _MODEL_PARTS
    if name.startswith("blocks."):
        _, number, name = name.split(".", 2)
        prefix, parts = f"layers.{number}.", _BLOCK_PARTS
    theirs = {ours: their for their, ours in parts.items() if ".module." not in their}
    for ours, their in sorted(theirs.items(), key=lambda pair: -len(pair[0])):
        if name.startswith(ours):
            return prefix + their + name.removeprefix(ours)
    raise AssertionError(name)

"""Weights that training starts from."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from napari_hagmil.models import BagModel, IntegratedAttentionTransformer
from napari_hagmil.models.iat import AttentionBlock


def start_glorot(model: nn.Module) -> None:
    """Draw the weights of all linear layers anew, in place: uniform, biases 0.

    Glorot and Bengio, *Understanding the difficulty of training deep feedforward neural networks*,
    AISTATS 2010, Eq. 16: within ±√(6 / (inputs + outputs)).
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def start_unmixed(stage: BagModel) -> None:
    """Zero the output of self-attention in place, so that instances start unmixed.

    When instances are mixed from the start, each of them carries the class of the slide, and a
    small model can pool any of them: it classifies slides perfectly while its attention points
    anywhere, or away from the lesion. A cascade depends on where attention points. (Zero
    initialisation of a residual branch: Bachlechner et al., *ReZero*, UAI 2021.) A model without
    self-attention stays as it is.
    """
    if not isinstance(stage, IntegratedAttentionTransformer):
        return
    with torch.no_grad():
        for block in stage.blocks:
            attention = cast(AttentionBlock, block).attention
            if attention is not None:
                attention.to_out[0].weight.zero_()
                attention.to_out[0].bias.zero_()

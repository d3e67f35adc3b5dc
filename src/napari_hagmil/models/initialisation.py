"""Where training starts from."""

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
    """Let self-attention begin at nothing, in place: each instance starts as itself alone.

    Mixed from the start, any instance can tell the class of the slide, and a small model
    learns to pool whatever it likes: slides are classified perfectly while attention points
    anywhere, or away from the lesion. A cascade lives on where attention points. (Zero
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

"""Haematoxylin and eosin told apart, as SHELL sees a section.

Macenko et al., *A method for normalizing histology slides for quantitative analysis*, ISBI 2009,
with the reference stains of that paper for every slide: a patch alone does not tell its slide's.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

#: Absorbance of red, green and blue by eosin and by haematoxylin, as unit vectors.
_STAINS = ((0.2159, 0.8012, 0.5581), (0.5626, 0.7201, 0.4062))
#: What counts as full: of eosin, of haematoxylin, and of the mean absorbance (natural logarithm).
_STRONGEST = (1.0308, 1.9705, 1.0)
#: Brightness of the glass, of 255.
_GLASS = 240.0


class HePlanes(nn.Module):
    """RGB → eosin, haematoxylin and mean absorbance, each 0 to 1."""

    mix: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        apart = np.linalg.pinv(np.array(_STAINS, np.float64).T)
        rows = np.vstack([apart, np.full((1, 3), 1 / 3)]) / np.array(_STRONGEST)[:, None]
        self.register_buffer("mix", torch.tensor(rows, dtype=torch.float32)[:, :, None, None])

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) float32, 0 to 255 → the same shape, 0 to 1."""
        absorbed = -torch.log(pixels.clamp(1.0, _GLASS) / _GLASS)
        return F.conv2d(absorbed, self.mix).clamp(0.0, 1.0)

"""TransMIL: a transformer over the bag, with convolutional position encoding."""

from __future__ import annotations

from math import isqrt

import torch
from torch import Tensor, nn

from napari_hagmil.models.baselines.embed import embedding
from napari_hagmil.models.interface import BagModel, BagOutput
from napari_hagmil.models.nystrom import NystromAttention


class TransMIL(BagModel):
    """Transformer-based correlated MIL.

    Shao et al., *TransMIL: Transformer based Correlated Multiple Instance Learning for Whole
    Slide Image Classification*, NeurIPS 2021, Algorithm 1 and 2. With S = ⌈√n⌉, the bag filled
    up to S² by its own first tokens, and a class token t in front::

        H = ReLU(W x)           T = [t, H]
        T = T + Nyström(LN(T))  T = [t, PPEG(T_1 … T_S²)]   T = T + Nyström(LN(T))
        logits = Linear(LN(T)_0)

    The attention is the class token's in the second layer: the exact softmax row that Nyström
    approximates, averaged over the heads; a repeated token's weight counts for its original.

    Parameters
    ----------
    n_features, n_classes : int
    hidden : int
        Length of a token; a multiple of `heads`.
    heads : int
    legacy_padding : bool
        As published, the zeros that pad to a multiple of the landmarks take attention away.
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden: int = 512,
        heads: int = 8,
        legacy_padding: bool = True,
    ) -> None:
        super().__init__(n_features, n_classes)
        self.embed = embedding(n_features, [hidden])
        self.class_token = nn.Parameter(torch.randn(hidden))
        self.first = _Layer(hidden, heads, legacy_padding)
        self.position = PPEG(hidden)
        self.second = _Layer(hidden, heads, legacy_padding)
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, n_classes)

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""
        self.check_bag(features)
        n = len(features)
        side = isqrt(n - 1) + 1
        hidden = self.embed(features)
        hidden = torch.cat((hidden, hidden[: side * side - n]))
        tokens = self.first(torch.cat((self.class_token[None].to(hidden.dtype), hidden)))
        tokens = torch.cat((tokens[:1], self.position(tokens[1:], side)))
        attention = self._attention(tokens, n)
        token = self.norm(self.second(tokens)[0])
        return BagOutput(self.head(token), attention, token)

    def _attention(self, tokens: Tensor, n: int) -> Tensor:
        """Weights of the n instances in the second layer's look from the class token."""
        weights = self.second.attention.row_attention(self.second.norm(tokens)[None], 0)[0]
        own, repeated = weights[1 : n + 1], weights[n + 1 :]
        folded = torch.cat((own[: len(repeated)] + repeated, own[len(repeated) :]))
        return folded / folded.sum()


class PPEG(nn.Module):
    """Pyramid position encoding: depthwise 7 × 7, 5 × 5 and 3 × 3 convolutions, and identity."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(hidden, hidden, size, padding=size // 2, groups=hidden) for size in (7, 5, 3)
        )

    def forward(self, tokens: Tensor, side: int) -> Tensor:
        """(side², hidden) in rows of a square → the same."""
        square = tokens.T.reshape(1, -1, side, side)
        total = square + sum(convolution(square) for convolution in self.convolutions)
        rows: Tensor = total.flatten(2)[0].T
        return rows


class _Layer(nn.Module):
    def __init__(self, hidden: int, heads: int, legacy_padding: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.attention = NystromAttention(
            hidden,
            hidden // heads,
            heads,
            num_landmarks=max(hidden // 2, 1),
            dropout=0.1,
            legacy_padding=legacy_padding,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        attended: Tensor = self.attention(self.norm(tokens)[None])[0]
        return tokens + attended

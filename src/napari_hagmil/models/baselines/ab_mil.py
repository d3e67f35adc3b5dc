"""Attention-based MIL, with plain or gated attention."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from napari_hagmil.models.baselines.embed import embedding
from napari_hagmil.models.interface import BagModel, BagOutput
from napari_hagmil.models.pooling import AttentionScores


class ABMIL(BagModel):
    """Attention-based MIL with plain attention.

    Ilse et al., *Attention-based Deep Multiple Instance Learning*, ICML 2018, Eq. 7 and 8::

        h_i = ReLU(W x_i)      a = softmax_i(wᵀ tanh(V h_i))      z = Σ a_i h_i
        logits = Linear(z)

    Parameters
    ----------
    n_features, n_classes : int
    widths : sequence of int
        One Linear + ReLU each; the paper's for MUSK: (256, 128, 64). None: h_i = x_i.
    hidden : int
        Length of V h; the paper's for MUSK: 64.
    dropout : float
        After each ReLU.
    """

    gated = False

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        widths: Sequence[int] = (512,),
        hidden: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(n_features, n_classes)
        self.embed = embedding(n_features, widths, dropout=dropout)
        pooled = widths[-1] if widths else n_features
        self.scores = AttentionScores(pooled, hidden, gated=self.gated)
        self.head = nn.Linear(pooled, n_classes)

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""
        self.check_bag(features)
        hidden = self.embed(features)
        attention = self.scores(hidden).squeeze(-1).softmax(0)
        pooled = attention @ hidden
        return BagOutput(self.head(pooled), attention, pooled)

    def absorb(self, mean: Tensor, scale: Tensor) -> None:
        """As of every bag model; raises where attention and head see the features themselves."""
        if not len(self.embed):
            raise ValueError(
                f"{type(self).__name__} without widths has no first layer to absorb a mean; give "
                "it widths, or train it on raw features"
            )
        super().absorb(mean, scale)


class GatedABMIL(ABMIL):
    """Attention-based MIL with gated attention.

    Ilse et al., *Attention-based Deep Multiple Instance Learning*, ICML 2018, Eq. 7 and 9: as
    `ABMIL`, with a = softmax_i(wᵀ (tanh(V h_i) ⊙ σ(U h_i))).
    """

    gated = True

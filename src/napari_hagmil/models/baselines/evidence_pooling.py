"""Pooling of the instances that speak most against the first class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_hagmil.models.baselines.embed import embedding
from napari_hagmil.models.interface import BagModel, BagOutput
from napari_hagmil.models.pooling import pool_by_evidence


class EvidencePooling(BagModel):
    """Every instance is classified, and those with the most evidence decide.

    Mean of the k highest, as in Durand et al., *WELDON*, CVPR 2016, and Courtiol et al.,
    *Classification and Disease Localization in Histopathology Using Only Global Labels*, 2018::

        h_i = ReLU(W x_i)      l_i = Linear(h_i)      e_i = log Σ_{c>0} exp l_ic − l_i0
        logits = mean of l_i over the k instances of highest e      a = softmax_i(t e_i), t > 0

    The evidence e of an instance is for any class but the first, which means that nothing was
    found. Attention and contribution to the decision are the same here: a cascade that follows
    the attention follows the evidence.

    Parameters
    ----------
    n_features, n_classes : int
    hidden : int
        Length of h.
    top : int
        k; a smaller bag is taken whole.
    dropout : float
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden: int = 512,
        top: int = 16,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(n_features, n_classes)
        if top < 1:
            raise ValueError(
                f"top is the number of instances that decide, not {top}; give 1 or more"
            )
        self.embed = embedding(n_features, [hidden], dropout=dropout)
        self.head = nn.Linear(hidden, n_classes)
        self.log_sharpness = nn.Parameter(torch.zeros(()))
        self.top = top

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""
        self.check_bag(features)
        hidden = self.embed(features)
        pooled = pool_by_evidence(self.head(hidden), self.top)
        attention = (self.log_sharpness.exp() * pooled.evidence).softmax(0)
        return BagOutput(pooled.logits, attention, hidden[pooled.most].mean(0))

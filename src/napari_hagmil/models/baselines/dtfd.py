"""DTFD-MIL: pseudo-bags, and a second tier over what they distil."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from napari_hagmil.models.baselines.embed import embedding
from napari_hagmil.models.interface import BagLoss, BagModel, BagOutput
from napari_hagmil.models.losses import LossConfig, bag_cross_entropy
from napari_hagmil.models.pooling import AttentionScores

Distillation = Literal["afs", "maxs", "maxmins"]


class DTFD(BagModel):
    """Double-tier feature distillation MIL.

    Zhang et al., *DTFD-MIL: Double-Tier Feature Distillation Multiple Instance Learning for
    Histopathology Whole Slide Image Classification*, CVPR 2022. The bag falls at random into
    pseudo-bags. In each, with gated attention a (tier 1)::

        h_i = ReLU(W x_i)      z = Σ a_i h_i      logits = Linear(z) = U z + b
        p_i = softmax(U a_i h_i)                  Eq. 7: the class activation of an instance

    What a pseudo-bag hands on, without gradient, is z ("afs"), the h of its most activated
    instance ("maxs"), or of the most and the least activated ("maxmins"); gated attention over
    these classifies the bag (tier 2). Activated means 1 − p_i(class 0), which for two classes is
    the paper's probability of the positive class.

    In training mode the grouping is drawn from torch's global generator; in eval mode from
    `seed`, and the logits of `n_groupings` are averaged. The attention of an instance is that of
    its pseudo-bag's share in tier 2 times its own in tier 1.

    Parameters
    ----------
    n_features, n_classes : int
    distillation : "afs", "maxs" or "maxmins"
    hidden, gate_dim : int
        Length of h, and of the hidden layer of both attentions.
    n_groups : int
        Pseudo-bags; fewer when there are fewer instances.
    """

    default_loss = LossConfig(bag_weight=1.0, instance_weight=1.0, instance_loss="none")
    seed = 0
    n_groupings = 5

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        distillation: Distillation = "afs",
        hidden: int = 512,
        gate_dim: int = 128,
        n_groups: int = 4,
        bias: bool = False,
    ) -> None:
        super().__init__(n_features, n_classes)
        if distillation not in ("afs", "maxs", "maxmins"):
            raise ValueError(f"DTFD distils by 'afs', 'maxs' or 'maxmins', not {distillation!r}")
        self.distillation: Distillation = distillation
        self.n_groups = n_groups
        self.embed = embedding(n_features, [hidden], bias=bias)
        self.scores = AttentionScores(hidden, gate_dim)
        self.head = nn.Linear(hidden, n_classes)
        self.tier2_scores = AttentionScores(hidden, gate_dim)
        self.tier2_head = nn.Linear(hidden, n_classes)

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""
        self.check_bag(features)
        hidden = self.embed(features)
        scores = self.scores(hidden).squeeze(-1)
        runs = [self._tiers(hidden, scores, groups).output for groups in self._groupings(hidden)]
        return BagOutput(*(torch.stack(column).mean(0) for column in zip(*runs, strict=True)))

    def loss(self, features: Tensor, label: int, config: LossConfig | None = None) -> BagLoss:
        """Cross-entropy of tier 2 (`bag`) plus the mean one of the pseudo-bags (`instance`)."""
        config = config or self.default_loss
        self.check_bag(features)
        hidden = self.embed(features)
        groups = next(iter(self._groupings(hidden)))
        tiers = self._tiers(hidden, self.scores(hidden).squeeze(-1), groups)
        bag = bag_cross_entropy(tiers.output.logits, label, config.label_smoothing)
        first = [bag_cross_entropy(row, label, config.label_smoothing) for row in tiers.logits]
        instance = torch.stack(first).mean()
        total = config.bag_weight * bag + config.instance_weight * instance
        return BagLoss(total, bag, instance, tiers.output)

    def parts(self) -> list[list[nn.Parameter]]:
        """Return embedding, attention, tier 1's head, and tier 2, which its authors bound apart."""
        parts = (self.embed, self.scores, self.head)
        second = [*self.tier2_scores.parameters(), *self.tier2_head.parameters()]
        return [*(list(part.parameters()) for part in parts), second]

    def _groupings(self, hidden: Tensor) -> list[tuple[Tensor, ...]]:
        """Random partitions of the instances: one in training, `n_groupings` otherwise."""
        n, generator = len(hidden), None
        if not self.training:
            generator = torch.Generator().manual_seed(self.seed)
        rounds = 1 if self.training else self.n_groupings
        orders = [torch.randperm(n, generator=generator).to(hidden.device) for _ in range(rounds)]
        return [order.tensor_split(min(self.n_groups, n)) for order in orders]

    def _tiers(self, hidden: Tensor, scores: Tensor, groups: tuple[Tensor, ...]) -> _Tiers:
        attentions = [scores[group].softmax(0) for group in groups]
        pooled = torch.stack([a @ hidden[g] for a, g in zip(attentions, groups, strict=True)])
        distilled = [
            self._distil(hidden[group], attention, view)
            for group, attention, view in zip(groups, attentions, pooled, strict=True)
        ]
        second = torch.cat(distilled).detach()
        weights = self.tier2_scores(second).squeeze(-1).softmax(0)
        embedded = weights @ second
        shares = weights.reshape(len(groups), -1).sum(1)
        attention = torch.zeros_like(scores)
        attention[torch.cat(groups)] = torch.cat(
            [share * a for share, a in zip(shares, attentions, strict=True)]
        )
        output = BagOutput(self.tier2_head(embedded), attention, embedded)
        return _Tiers(output, self.head(pooled))

    def _distil(self, hidden: Tensor, attention: Tensor, view: Tensor) -> Tensor:
        """Features that one pseudo-bag hands on, (1 or 2, hidden)."""
        if self.distillation == "afs":
            return view[None]
        activation = ((attention[:, None] * hidden) @ self.head.weight.T).softmax(-1)
        order = (1 - activation[:, 0]).argsort(descending=True, stable=True)
        return hidden[order[:1]] if self.distillation == "maxs" else hidden[order[[0, -1]]]


class _Tiers(NamedTuple):
    output: BagOutput
    logits: Tensor  # (groups, classes), of tier 1

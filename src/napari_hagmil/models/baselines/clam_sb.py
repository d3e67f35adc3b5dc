"""CLAM with a single attention branch."""

from __future__ import annotations

from torch import Tensor, nn

from napari_hagmil.models.baselines.embed import embedding
from napari_hagmil.models.interface import BagLoss, BagModel, BagOutput
from napari_hagmil.models.losses import LossConfig, bag_cross_entropy, instance_loss
from napari_hagmil.models.pooling import AttentionScores


class CLAMSB(BagModel):
    """Clustering-constrained attention MIL, single branch.

    Lu et al., *Data-efficient and weakly supervised computational pathology on whole-slide
    images*, Nature Biomedical Engineering 2021::

        h_i = ReLU(W x_i)      a = softmax_i(wᵀ (tanh(V h_i) ⊙ σ(U h_i)))      z = Σ a_i h_i
        logits = Linear(z)     loss = 0.7 CE + 0.3 instance loss

    A binary head per class sees the h of the 8 most and the 8 least attended instances; see
    `losses.instance_loss`.

    Parameters
    ----------
    n_features, n_classes : int
    hidden, gate_dim : int
        Length of h and of V h; CLAM's "small": 512 and 256.
    dropout : float
        After the ReLU and on both branches of the gate.
    """

    default_loss = LossConfig(bag_weight=0.7, instance_weight=0.3, instance_loss="clam", k=8)

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden: int = 512,
        gate_dim: int = 256,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(n_features, n_classes)
        self.embed = embedding(n_features, [hidden], dropout=dropout)
        self.scores = AttentionScores(hidden, gate_dim, dropout=dropout)
        self.head = nn.Linear(hidden, n_classes)
        self.instance_classifiers = nn.ModuleList(nn.Linear(hidden, 2) for _ in range(n_classes))

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""
        return self._run(features)[0]

    def loss(self, features: Tensor, label: int, config: LossConfig | None = None) -> BagLoss:
        """Weighted sum of the bag's cross-entropy and the instance loss."""
        config = config or self.default_loss
        output, hidden, scores = self._run(features)
        bag = bag_cross_entropy(output.logits, label, config.label_smoothing)
        instance = instance_loss(hidden, scores, label, self.instance_classifiers, config)
        total = config.bag_weight * bag + config.instance_weight * instance
        return BagLoss(total, bag, instance, output)

    def _run(self, features: Tensor) -> tuple[BagOutput, Tensor, Tensor]:
        """Output, h (n, hidden) and attention logits (n,)."""
        self.check_bag(features)
        hidden = self.embed(features)
        scores = self.scores(hidden).squeeze(-1)
        attention = scores.softmax(0)
        pooled = attention @ hidden
        return BagOutput(self.head(pooled), attention, pooled), hidden, scores

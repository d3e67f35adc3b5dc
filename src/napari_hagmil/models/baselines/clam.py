"""CLAM, with a single attention branch or with one per class."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from napari_hagmil.models.baselines.embed import embedding
from napari_hagmil.models.interface import BagLoss, BagModel, BagOutput
from napari_hagmil.models.losses import LossConfig, bag_cross_entropy, instance_loss
from napari_hagmil.models.pooling import AttentionScores


class _CLAM(BagModel):
    """What both variants share: embedding, gated attention, instance loss."""

    default_loss = LossConfig(bag_weight=0.7, instance_weight=0.3, instance_loss="clam", k=8)

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden: int = 512,
        gate_dim: int = 256,
        dropout: float = 0.25,
        gated: bool = True,
    ) -> None:
        super().__init__(n_features, n_classes)
        self.embed = embedding(n_features, [hidden], dropout=dropout)
        branches = self._branches()
        self.scores = AttentionScores(
            hidden, gate_dim, gated=gated, dropout=dropout, branches=branches
        )
        self._add_heads(hidden)
        self.instance_classifiers = nn.ModuleList(nn.Linear(hidden, 2) for _ in range(n_classes))

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features)."""
        return self._output(*self._scored(features))

    def loss(self, features: Tensor, label: int, config: LossConfig | None = None) -> BagLoss:
        """Weighted sum of the bag's cross-entropy and the instance loss."""
        config = config or self.default_loss
        hidden, scores = self._scored(features)
        output = self._output(hidden, scores)
        bag = bag_cross_entropy(output.logits, label, config.label_smoothing)
        instance = instance_loss(hidden, scores, label, self.instance_classifiers, config)
        total = config.bag_weight * bag + config.instance_weight * instance
        return BagLoss(total, bag, instance, output)

    def _scored(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return h, (n, hidden), and attention logits, (n, branches)."""
        self.check_bag(features)
        hidden = self.embed(features)
        return hidden, self.scores(hidden)

    @abstractmethod
    def _branches(self) -> int:
        """How many attention branches there are."""

    @abstractmethod
    def _add_heads(self, hidden: int) -> None:
        """Make what classifies the pooled vectors."""

    @abstractmethod
    def _output(self, hidden: Tensor, scores: Tensor) -> BagOutput:
        """Pool and classify h by the attention logits."""


class CLAMSB(_CLAM):
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
    gated : bool
        With the factor σ(U h_i).
    """

    def _branches(self) -> int:
        return 1

    def _add_heads(self, hidden: int) -> None:
        self.head = nn.Linear(hidden, self.n_classes)

    def _scored(self, features: Tensor) -> tuple[Tensor, Tensor]:
        hidden, scores = super()._scored(features)
        return hidden, scores.squeeze(-1)  # one ranking for all classes

    def _output(self, hidden: Tensor, scores: Tensor) -> BagOutput:
        attention = scores.softmax(0)
        pooled = attention @ hidden
        return BagOutput(self.head(pooled), attention, pooled)


class CLAMMB(_CLAM):
    """Clustering-constrained attention MIL, one attention branch per class.

    Lu et al., *Data-efficient and weakly supervised computational pathology on whole-slide
    images*, Nature Biomedical Engineering 2021, Eq. 1 to 3::

        h_i = ReLU(W x_i)      a^c = softmax_i(w_cᵀ (tanh(V h_i) ⊙ σ(U h_i)))
        z^c = Σ a^c_i h_i      logit_c = u_cᵀ z^c + b_c

    The instance loss ranks a class's instances by that class's own branch. The attention and the
    embedding that are returned are those of the predicted class.

    Parameters
    ----------
    n_features, n_classes : int
    hidden, gate_dim : int
        Length of h and of V h; CLAM's "small": 512 and 256.
    dropout : float
        After the ReLU and on both branches of the gate.
    gated : bool
        With the factor σ(U h_i).
    """

    def class_attention(self, features: Tensor) -> Tensor:
        """Attention of every class's branch, (n, n_features) → (n, n_classes)."""
        return self._scored(features)[1].softmax(0)

    def _branches(self) -> int:
        return self.n_classes

    def _add_heads(self, hidden: int) -> None:
        self.heads = nn.ModuleList(nn.Linear(hidden, 1) for _ in range(self.n_classes))

    def _output(self, hidden: Tensor, scores: Tensor) -> BagOutput:
        attention = scores.softmax(0)
        pooled = attention.T @ hidden
        logits = torch.cat([head(view) for head, view in zip(self.heads, pooled, strict=True)])
        predicted = int(logits.argmax())
        return BagOutput(logits, attention[:, predicted], pooled[predicted])

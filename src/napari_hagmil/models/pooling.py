"""Attention pooling, a score per instance and the weighted mean they give; pooling by evidence.

Ilse et al., *Attention-based Deep Multiple Instance Learning*, ICML 2018, Eq. 8 (plain) and
Eq. 9 (gated).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class AttentionScores(nn.Module):
    """Attention logits of instances, (n, d) → (n, branches).

    Gated: s = w (tanh(V g) ⊙ σ(U g)); plain: s = w tanh(V g). The softmax over the instances is
    left to the caller, because the logits are what guides a cascade and colours a map.

    Parameters
    ----------
    n_features, hidden : int
        d, and the length of V g.
    gated : bool
        With the sigmoid branch U.
    dropout : float
        On both branches.
    branches : int
        Scores per instance; one per class in CLAM-MB.
    bias : bool
        Of V, U and w.
    """

    def __init__(
        self,
        n_features: int,
        hidden: int = 256,
        *,
        gated: bool = True,
        dropout: float = 0.0,
        branches: int = 1,
    ) -> None:
        super().__init__()
        self.content = nn.Linear(n_features, hidden)
        self.gate = nn.Linear(n_features, hidden) if gated else None
        self.score = nn.Linear(hidden, branches)
        self.dropout = nn.Dropout(dropout)

    def forward(self, instances: Tensor) -> Tensor:
        """(n, d) → (n, branches)."""
        hidden = self.dropout(self.content(instances).tanh())
        if self.gate is not None:
            hidden = hidden * self.dropout(self.gate(instances).sigmoid())
        scores: Tensor = self.score(hidden)
        return scores


def softmax_pool(scores: Tensor, instances: Tensor) -> Tensor:
    """Weighted mean Σ softmax(s)_i h_i, (n,) and (n, d) → (d,)."""
    return scores.softmax(0) @ instances


class PooledEvidence(NamedTuple):
    """What the instances with most evidence say.

    Attributes
    ----------
    logits : (classes,)
        Their mean.
    evidence : (n,)
        Of every instance, for any class but the first.
    most : (k,)
        Their places.
    """

    logits: Tensor
    evidence: Tensor
    most: Tensor


def pool_by_evidence(logits: Tensor, top: int) -> PooledEvidence:
    """Pool the class logits of instances, (n, classes): the `top` of most evidence decide.

    The evidence of an instance is log Σ_{c>0} exp l_c − l_0: the first class means that nothing
    was found.
    """
    evidence = logits[:, 1:].logsumexp(1) - logits[:, 0]
    most = evidence.topk(min(top, len(evidence))).indices
    return PooledEvidence(logits[most].mean(0), evidence, most)

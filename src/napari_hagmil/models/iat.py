"""The integrated attention transformer: one depth of HAG-MIL.

Xiong et al., *Diagnose Like a Pathologist: Transformer-Enabled Hierarchical Attention-Guided
Multiple Instance Learning for Whole Slide Image Classification*, IJCAI 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log, sqrt
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from napari_hagmil.models.interface import BagLoss, BagModel, BagOutput
from napari_hagmil.models.losses import (
    LossConfig,
    bag_cross_entropy,
    instance_loss,
    patch_loss,
)
from napari_hagmil.models.nystrom import AttentionKind, NystromAttention
from napari_hagmil.models.pooling import AttentionScores, pool_by_evidence, softmax_pool
from napari_hagmil.models.rowwise import rowwise

Pooling = Literal["aggregation", "class_token", "evidence"]
Norms = Literal["official", "paper", "none"]
ScoredTokens = Literal["mixed", "projected"]
PatchHead = Literal["binary", "classes"]
TokenAttention = Literal["auxiliary", "patch_loss"]

ADMIN_GAIN = sqrt(9 / log(9) - 1)
"""Weight of the residual, 1.7595671: sqrt((R + 1) / ln(R + 1) − 1), R = 8 (Admin, Liu 2020)."""


@dataclass(frozen=True, slots=True)
class IATConfig:
    """Dimensions and choices of an `IntegratedAttentionTransformer`; the paper's by default.

    Attributes
    ----------
    n_features : int
        Of an instance: what the encoder gives.
    widths : tuple of int
        One block each, chained; multiples of `heads`.
    n_classes : int
    heads : int
        Of the self-attention.
    landmarks : int or None
        None: half the width of the block.
    instance_dim, gate_dim : int
        Length of g, which the instance classifiers see, and of the hidden layer of its scores.
    bag_dim : int or None
        Length of the bag's embedding; None: the last width.
    attention_dropout, gate_dropout : float
        After the self-attention; on g and in the scores.
    attention : "auto", "nystrom" or "exact"
        See `NystromAttention`.
    legacy_padding : bool
        See `NystromAttention`; True for weights trained with the official code.
    pinv_iterations : int
    residual_kernel : int
        Odd length of the convolution over the values.
    pooling : "aggregation", "class_token" or "evidence"
        How a block's view of the bag arises: the attended instances, or a learned token that
        goes through the blocks with the instances (Table 3). With a token only the last block
        has attention scores, which the cascade needs and the prediction does not. "evidence" is
        ours: every instance has a view of its own and is classified; those that speak most
        against the first class decide, and are attended to, see `EvidencePooling`.
    top : int
        With "evidence": how many decide; a smaller bag is taken whole.
    gated : bool
        Gated or plain attention scores (Table 3).
    token_attention : "auxiliary" or "patch_loss"
        What trains the attention beside a class token, which the paper leaves open: a bag loss
        of its own, or nothing but the patch loss.
    patch_head : "binary" or "classes"
        What the instance loss classifies patches with: a binary head per class, as CLAM and the
        official code, or one head of all classes, as the paper's Eq. 7.
    norms : "official", "paper" or "none"
        Layer norms around the pooling. "official": after each projection (Eq. 8) and on the
        pooled vector; "paper": not on the pooled vector (Eq. 11 has none); "none": neither, so
        that lengths of features and of the pooled vector reach the classifier.
    self_attention : bool
        False leaves the transformer layer out (ablation).
    branch_dropout : float
        Chance in training that a block's self-attention is left out for a bag (stochastic depth,
        Huang et al. 2016): the scores must then rank instances by their own features, not by
        what self-attention mixed in.
    scored : "mixed" or "projected"
        Whether attention scores see instances after self-attention, as in the paper, or before.
    sharpness : float
        Factor of the attention logits.
    """

    n_features: int = 1024
    widths: tuple[int, ...] = (1024, 1536, 512, 1024)
    n_classes: int = 2
    heads: int = 8
    landmarks: int | None = None
    instance_dim: int = 512
    gate_dim: int = 256
    bag_dim: int | None = None
    attention_dropout: float = 0.3
    gate_dropout: float = 0.25
    attention: AttentionKind = "auto"
    legacy_padding: bool = False
    pinv_iterations: int = 6
    residual_kernel: int = 33
    pooling: Pooling = "aggregation"
    gated: bool = True
    token_attention: TokenAttention = "auxiliary"
    patch_head: PatchHead = "binary"
    norms: Norms = "official"
    self_attention: bool = True
    branch_dropout: float = 0.0
    scored: ScoredTokens = "mixed"
    sharpness: float = 1.0
    top: int = 12

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        for rule, value in self._broken_rules():
            raise ValueError(f"IATConfig needs {rule}, not {value!r}")

    def _broken_rules(self) -> list[tuple[str, object]]:
        sizes = (self.n_features, self.n_classes, self.heads, self.instance_dim, self.gate_dim)
        dropouts = (self.attention_dropout, self.gate_dropout, self.branch_dropout)
        checks: list[tuple[bool, str, object]] = [
            (min(sizes) >= 1, "positive dimensions", sizes),
            (bool(self.widths), "at least one width", self.widths),
            (self.landmarks is None or self.landmarks >= 1, "positive landmarks", self.landmarks),
            (self.bag_dim is None or self.bag_dim >= 1, "a positive bag_dim", self.bag_dim),
            (
                self.residual_kernel > 0 and self.residual_kernel % 2 == 1,
                "an odd residual_kernel",
                self.residual_kernel,
            ),
            (all(0 <= p < 1 for p in dropouts), "dropouts from 0 to below 1", dropouts),
            (1 <= self.pinv_iterations <= 100, "1 to 100 pinv_iterations", self.pinv_iterations),
            (self.top >= 1, "a top of 1 or more", self.top),
            (self.sharpness > 0, "a positive sharpness", self.sharpness),
            *(
                (getattr(self, name) in get_args(kind), f"a known {name}", getattr(self, name))
                for name, kind in _KINDS.items()
            ),
        ]
        if self.heads >= 1:
            bad = [w for w in self.widths if w < 1 or w % self.heads]
            checks.append((not bad, f"widths that are multiples of heads={self.heads}", bad))
        return [(rule, value) for holds, rule, value in checks if not holds]


_KINDS = {
    "attention": AttentionKind,
    "pooling": Pooling,
    "token_attention": TokenAttention,
    "patch_head": PatchHead,
    "norms": Norms,
    "scored": ScoredTokens,
}

ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "class_token_plain": {"pooling": "class_token", "gated": False},
    "class_token_gated": {"pooling": "class_token", "gated": True},
    "class_token_plain_patch_loss": {
        "pooling": "class_token", "gated": False, "token_attention": "patch_loss",
    },
    "class_token_gated_patch_loss": {
        "pooling": "class_token", "gated": True, "token_attention": "patch_loss",
    },
    "aggregation_plain": {"pooling": "aggregation", "gated": False},
    "aggregation_gated": {"pooling": "aggregation", "gated": True},
}  # fmt: skip
"""HAG-MIL's Table 3: row → its fields of `IATConfig`; the last row is the method itself.

The rows differ in how the bag vector arises and in which attention scores guide the cascade. In
the class-token rows (section 4.4) the bag vector is the token's, and the attention that the
cascade needs comes from an aggregation module in the final layer. The paper does not say what
trains that module; both readings are here: a bag loss of its own, or the patch loss alone.
"""


def ablated(config: IATConfig, name: str) -> IATConfig:
    """Return the configuration of one row of the table, all else as it is."""
    if name not in ABLATIONS:
        raise ValueError(f"there is no ablation {name!r}; choose one of {', '.join(ABLATIONS)}")
    return replace(config, **ABLATIONS[name])


_NOTHING = torch.empty(0)


class BlockOutput(NamedTuple):
    """The output of one block.

    Attributes
    ----------
    scores : (n,)
        Attention logits of the instances: what guides the next depth, in the last block.
    instances : (n, instance_dim)
        g, which the instance classifiers see.
    embedding : (bag_dim,)
        r, the block's view of the bag: of the attended instances, or of the class token; with
        evidence pooling of each instance, (n, bag_dim).
    attended : (bag_dim,)
        r of the attended instances; the same without a class token.

    Scores, instances and `attended` are empty where a block has no scores.
    """

    scores: Tensor
    instances: Tensor
    embedding: Tensor
    attended: Tensor


class AttentionBlock(nn.Module):
    """One block: project, attend, score, pool.

    With x the previous block's instances::

        h = GELU(LN(Linear(x)))
        h = 1.7595671 h + Dropout(Nyström(LN₁(h)))
        g = Dropout(GELU(Linear(LN₂(h))))
        s = AttentionScores(g)
        z = LN₂(softmax(s)ᵀ h)
        r = GELU(LN(Linear(z)))

    With a class token t among the tokens, r is made of LN₂(t) instead of z.

    Parameters
    ----------
    n_features, width : int
        Of the tokens it gets and gives.
    config : IATConfig
    scores : bool
        Whether it scores the instances; with a class token only the last block does.
    """

    def __init__(
        self, n_features: int, width: int, config: IATConfig, *, scores: bool = True
    ) -> None:
        super().__init__()
        self.config = config
        self.has_token = config.pooling == "class_token"
        norm = nn.Identity if config.norms == "none" else nn.LayerNorm
        self.project = nn.Sequential(nn.Linear(n_features, width), norm(width), nn.GELU())
        self.attention_norm = nn.LayerNorm(width)
        self.attention = _self_attention(width, config) if config.self_attention else None
        self.norm = nn.LayerNorm(width)
        self.instance: nn.Sequential | None = None
        self.scores: AttentionScores | None = None
        if scores:
            self.instance, self.scores = _scoring(width, config)
        bag_dim = config.bag_dim or config.widths[-1]
        self.to_bag = nn.Sequential(nn.Linear(width, bag_dim), norm(bag_dim), nn.GELU())

    def forward(self, tokens: Tensor) -> tuple[Tensor, BlockOutput]:
        """(n, previous width) → the next tokens (n, width), and the block's output.

        With a class token, it is the first of the tokens, and no instance.
        """
        (projected,) = rowwise(lambda rows: (self.project(rows),), tokens)
        hidden = self._mixed(projected)
        first = int(self.has_token)
        scores = instances = attended = _NOTHING
        if self.scores is not None:
            scored = projected if self.config.scored == "projected" else hidden
            scores, instances = rowwise(self.score, scored[first:])
            attended = self.view(softmax_pool(scores, hidden[first:]))
        if self.config.pooling == "evidence":
            embedding = self.view(hidden)
        else:
            embedding = self.view(hidden[0]) if self.has_token else attended
        return hidden, BlockOutput(scores, instances, embedding, attended)

    def _mixed(self, projected: Tensor) -> Tensor:
        """The residual stream after self-attention, (n, width)."""
        dropped = self.training and float(torch.rand(())) < self.config.branch_dropout
        if self.attention is None or dropped:
            return projected * ADMIN_GAIN
        attended: Tensor = self.attention(self.attention_norm(projected)[None])[0]
        if self.config.scored == "projected":
            return attended.to(projected.dtype) + projected * ADMIN_GAIN
        # In place: both are new here, and neither is needed for a gradient. Under autocast the
        # residual stream stays float32.
        mixed: Tensor = attended.to(projected.dtype).add_(projected, alpha=ADMIN_GAIN)
        return mixed

    def view(self, pooled: Tensor) -> Tensor:
        """Turn pooled vectors into the block's views of the bag, (…, width) → (…, bag_dim)."""
        if self.config.norms == "official":
            pooled = self.norm(pooled)
        view: Tensor = self.to_bag(pooled)
        return view

    def score(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Attention logits (n,) and g (n, instance_dim) of tokens, (n, width)."""
        assert self.instance is not None
        assert self.scores is not None
        instances = self.instance(self.norm(rows))
        return self.scores(instances).squeeze(-1) * self.config.sharpness, instances


def _scoring(width: int, config: IATConfig) -> tuple[nn.Sequential, AttentionScores]:
    """What turns normed tokens into g, and g into attention logits."""
    dim, dropout = config.instance_dim, config.gate_dropout
    instance = nn.Sequential(nn.Linear(width, dim), nn.GELU(), nn.Dropout(dropout))
    return instance, AttentionScores(dim, config.gate_dim, gated=config.gated, dropout=dropout)


def _self_attention(width: int, config: IATConfig) -> NystromAttention:
    return NystromAttention(
        width,
        width // config.heads,
        config.heads,
        config.landmarks or max(width // 2, 1),
        config.pinv_iterations,
        residual_conv_kernel=config.residual_kernel,
        dropout=config.attention_dropout,
        attention=config.attention,
        legacy_padding=config.legacy_padding,
    )


class IntegratedAttentionTransformer(BagModel):
    """Chained attention blocks whose views of the bag are added up and classified.

    bag = Σ w_i r_i + b; logits = Linear(bag); attention = softmax of the last block's scores
    (HAG-MIL, Eqs. 8–12).

    Parameters
    ----------
    config : IATConfig
    """

    default_loss = LossConfig()

    def __init__(self, config: IATConfig | None = None) -> None:
        config = config or IATConfig()
        super().__init__(config.n_features, config.n_classes)
        self.config = config
        bag_dim = config.bag_dim or config.widths[-1]
        widths = (config.n_features, *config.widths)
        has_token, last = config.pooling == "class_token", len(config.widths) - 1
        scored = {"aggregation": range(last + 1), "class_token": (last,), "evidence": ()}
        self.blocks = nn.ModuleList(
            AttentionBlock(a, b, config, scores=i in scored[config.pooling])
            for i, (a, b) in enumerate(pairwise(widths))
        )
        self.combine = nn.Linear(len(config.widths), 1)
        self.head = nn.Linear(bag_dim, config.n_classes)
        self.instance_classifiers, self.patch_classifier = _patch_heads(config)
        self.log_sharpness: nn.Parameter | None = None
        if config.pooling == "evidence":
            self.log_sharpness = nn.Parameter(torch.zeros(()))
        self.class_token: nn.Parameter | None = None
        self.attended_head: nn.Linear | None = None
        if has_token:
            self.class_token = nn.Parameter(torch.randn(config.n_features) * 0.02)
            if config.token_attention == "auxiliary":
                self.attended_head = nn.Linear(bag_dim, config.n_classes)

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features), n ≥ 1."""
        return self._run(features, keep_instances=False)[0]

    def forward_blocks(self, features: Tensor) -> tuple[BagOutput, tuple[BlockOutput, ...]]:
        """Classify, and return each block's attention logits, instances and view of the bag too."""
        return self._run(features, keep_instances=True)

    def _run(
        self, features: Tensor, *, keep_instances: bool
    ) -> tuple[BagOutput, tuple[BlockOutput, ...]]:
        self.check_bag(features)
        tokens = features
        if self.class_token is not None:
            tokens = torch.cat((self.class_token[None].to(features.dtype), features))
        outputs: list[BlockOutput] = []
        for block in self.blocks:
            tokens, output = block(tokens)
            outputs.append(output if keep_instances else output._replace(instances=_NOTHING))
        views = torch.stack([output.embedding for output in outputs], dim=-1)
        embedding = self.combine(views).squeeze(-1)
        if self.log_sharpness is not None:
            pooled = pool_by_evidence(self.head(embedding), self.config.top)
            attention = (self.log_sharpness.exp() * pooled.evidence).softmax(0)
            output = BagOutput(pooled.logits, attention, embedding[pooled.most].mean(0))
            return output, tuple(outputs)
        attention = outputs[-1].scores.softmax(0)
        return BagOutput(self.head(embedding), attention, embedding), tuple(outputs)

    def absorb(self, mean: Tensor, scale: Tensor) -> None:
        """Absorb a standardisation, see `BagModel.absorb`; a class token moves with the bag."""
        super().absorb(mean, scale)
        if self.class_token is not None:
            with torch.no_grad():
                self.class_token.mul_(scale).add_(mean)

    def loss(self, features: Tensor, label: int, config: LossConfig | None = None) -> BagLoss:
        """Cross-entropy of the bag plus λ times the loss of its top patches, HAG-MIL Eq. 7."""
        config = config or self.default_loss
        output, blocks = self.forward_blocks(features)
        bag = bag_cross_entropy(output.logits, label, config.label_smoothing)
        if self.attended_head is not None:
            attended = self.attended_head(blocks[-1].attended)
            bag = bag + bag_cross_entropy(attended, label, config.label_smoothing)
        instance = self._instance_loss(blocks[-1], label, config)
        total = config.bag_weight * bag + config.instance_weight * instance
        return BagLoss(total, bag, instance, output)

    def _instance_loss(self, last: BlockOutput, label: int, config: LossConfig) -> Tensor:
        if config.instance_loss == "none":
            return last.scores.new_zeros(())
        needs = "classes" if config.instance_loss == "paper" else "binary"
        if self.config.patch_head != needs:
            raise ValueError(
                f"the instance loss {config.instance_loss!r} needs an IAT with "
                f"patch_head={needs!r}, not {self.config.patch_head!r}"
            )
        if self.patch_classifier is not None:
            return patch_loss(last.instances, last.scores, label, self.patch_classifier, config.k)
        assert self.instance_classifiers is not None
        return instance_loss(last.instances, last.scores, label, self.instance_classifiers, config)


def _patch_heads(config: IATConfig) -> tuple[nn.ModuleList | None, nn.Linear | None]:
    """A binary head per class, or one head of all classes."""
    if config.patch_head == "classes":
        return None, nn.Linear(config.instance_dim, config.n_classes)
    heads = (nn.Linear(config.instance_dim, 2) for _ in range(config.n_classes))
    return nn.ModuleList(heads), None

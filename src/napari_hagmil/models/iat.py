"""The integrated attention transformer: one depth of HAG-MIL.

Xiong et al., *Diagnose Like a Pathologist: Transformer-Enabled Hierarchical Attention-Guided
Multiple Instance Learning for Whole Slide Image Classification*, IJCAI 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from napari_hagmil.models.interface import BagLoss, BagModel, BagOutput
from napari_hagmil.models.losses import LossConfig, bag_cross_entropy, instance_loss
from napari_hagmil.models.nystrom import AttentionKind, NystromAttention
from napari_hagmil.models.pooling import AttentionScores, softmax_pool
from napari_hagmil.models.rowwise import rowwise

Pooling = Literal["aggregation", "class_token"]

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
    attention : "nystrom" or "exact"
    legacy_padding : bool
        See `NystromAttention`; True for weights trained with the official code.
    pinv_iterations : int
    residual_kernel : int
        Odd length of the convolution over the values.
    pooling : "aggregation" or "class_token"
        How a block's view of the bag arises: the attended instances, or a learned token that
        goes through the blocks with the instances and reads the attended ones (ablation).
    gated : bool
        Gated or plain attention scores (ablation).
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
    attention: AttentionKind = "nystrom"
    legacy_padding: bool = False
    pinv_iterations: int = 6
    residual_kernel: int = 33
    pooling: Pooling = "aggregation"
    gated: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        for rule, value in self._broken_rules():
            raise ValueError(f"IATConfig needs {rule}, not {value!r}")

    def _broken_rules(self) -> list[tuple[str, object]]:
        sizes = (self.n_features, self.n_classes, self.heads, self.instance_dim, self.gate_dim)
        dropouts = (self.attention_dropout, self.gate_dropout)
        checks: list[tuple[bool, str, object]] = [
            (min(sizes) >= 1, "positive dimensions", sizes),
            (bool(self.widths), "at least one width", self.widths),
            (self.landmarks is None or self.landmarks >= 1, "positive landmarks", self.landmarks),
            (self.bag_dim is None or self.bag_dim >= 1, "a positive bag_dim", self.bag_dim),
            (self.residual_kernel % 2 == 1, "an odd residual_kernel", self.residual_kernel),
            (all(0 <= p < 1 for p in dropouts), "dropouts from 0 to below 1", dropouts),
            (self.pinv_iterations >= 1, "pinv_iterations of at least 1", self.pinv_iterations),
            (self.attention in ("nystrom", "exact"), "a known attention", self.attention),
            (self.pooling in ("aggregation", "class_token"), "a known pooling", self.pooling),
        ]
        if self.heads >= 1:
            bad = [w for w in self.widths if w < 1 or w % self.heads]
            checks.append((not bad, f"widths that are multiples of heads={self.heads}", bad))
        return [(rule, value) for holds, rule, value in checks if not holds]


_NOTHING = torch.empty(0)


class BlockOutput(NamedTuple):
    """What one block says of the bag.

    Attributes
    ----------
    scores : (n,)
        Attention logits of the instances: what guides the next depth, in the last block.
    instances : (n, instance_dim)
        g, which the instance classifiers see.
    embedding : (bag_dim,)
        r, the block's view of the bag.
    """

    scores: Tensor
    instances: Tensor
    embedding: Tensor


class AttentionBlock(nn.Module):
    """One block: project, attend, score, pool.

    With x the previous block's instances::

        h = GELU(LN(Linear(x)))
        h = 1.7595671 h + Dropout(Nyström(LN₁(h)))
        g = Dropout(GELU(Linear(LN₂(h))))
        s = AttentionScores(g)
        z = LN₂(softmax(s)ᵀ h)              with a class token t: LN₂(t + softmax(s)ᵀ h)
        r = GELU(LN(Linear(z)))
    """

    def __init__(self, n_features: int, width: int, config: IATConfig) -> None:
        super().__init__()
        bag_dim = config.bag_dim or config.widths[-1]
        self.has_token = config.pooling == "class_token"
        self.project = nn.Sequential(nn.Linear(n_features, width), nn.LayerNorm(width), nn.GELU())
        self.attention_norm = nn.LayerNorm(width)
        self.attention = NystromAttention(
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
        self.norm = nn.LayerNorm(width)
        self.instance = nn.Sequential(
            nn.Linear(width, config.instance_dim), nn.GELU(), nn.Dropout(config.gate_dropout)
        )
        self.scores = AttentionScores(
            config.instance_dim, config.gate_dim, gated=config.gated, dropout=config.gate_dropout
        )
        self.to_bag = nn.Sequential(nn.Linear(width, bag_dim), nn.LayerNorm(bag_dim), nn.GELU())

    def forward(self, tokens: Tensor) -> tuple[Tensor, BlockOutput]:
        """(n, previous width) → the next tokens (n, width), and the block's output.

        With a class token, it is the first of the tokens, and no instance.
        """
        (hidden,) = rowwise(lambda rows: (self.project(rows),), tokens)
        attended = self.attention(self.attention_norm(hidden)[None])[0]
        # In place: both are new here, and neither is needed for a gradient. Under autocast the
        # residual stream stays float32.
        hidden = attended.to(hidden.dtype).add_(hidden, alpha=ADMIN_GAIN)
        patches = hidden[1:] if self.has_token else hidden
        scores, instances = rowwise(self._score, patches)
        pooled = softmax_pool(scores, patches)
        if self.has_token:
            pooled = pooled + hidden[0]
        return hidden, BlockOutput(scores, instances, self.to_bag(self.norm(pooled)))

    def _score(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        instances = self.instance(self.norm(rows))
        return self.scores(instances).squeeze(-1), instances


class IntegratedAttentionTransformer(BagModel):
    """Chained attention blocks whose views of the bag are added up and classified.

    bag = Σ w_i r_i + b; logits = Linear(bag); attention = softmax of the last block's scores.

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
        self.blocks = nn.ModuleList(AttentionBlock(a, b, config) for a, b in pairwise(widths))
        self.combine = nn.Linear(len(config.widths), 1)
        self.head = nn.Linear(bag_dim, config.n_classes)
        self.instance_classifiers = nn.ModuleList(
            nn.Linear(config.instance_dim, 2) for _ in range(config.n_classes)
        )
        self.class_token: nn.Parameter | None = None
        if config.pooling == "class_token":
            self.class_token = nn.Parameter(torch.randn(config.n_features) * 0.02)

    def forward(self, features: Tensor) -> BagOutput:
        """Classify one bag of features, (n, n_features), n ≥ 1."""
        return self._run(features, keep_instances=False)[0]

    def forward_blocks(self, features: Tensor) -> tuple[BagOutput, tuple[BlockOutput, ...]]:
        """Classify, and tell each block's attention logits, instances and view of the bag too."""
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
        attention = outputs[-1].scores.softmax(0)
        return BagOutput(self.head(embedding), attention, embedding), tuple(outputs)

    def absorb(self, mean: Tensor, scale: Tensor) -> None:
        """Absorb a standardisation, see `BagModel.absorb`; a class token moves with the bag."""
        super().absorb(mean, scale)
        if self.class_token is not None:
            with torch.no_grad():
                self.class_token.mul_(scale).add_(mean)

    def loss(self, features: Tensor, label: int, config: LossConfig | None = None) -> BagLoss:
        """Cross-entropy of the bag plus the instance loss on the last block, HAG-MIL Eq. 13–15."""
        config = config or self.default_loss
        output, blocks = self.forward_blocks(features)
        bag = bag_cross_entropy(output.logits, label, config.label_smoothing)
        last = blocks[-1]
        instance = instance_loss(
            last.instances, last.scores, label, self.instance_classifiers, config
        )
        total = config.bag_weight * bag + config.instance_weight * instance
        return BagLoss(total, bag, instance, output)

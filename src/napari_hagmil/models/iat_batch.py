"""The loss of several small bags at once: a step of few instances costs mostly its calls.

The same numbers as of one bag after the other, up to rounding; dropout draws others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_hagmil.models.iat import ADMIN_GAIN, AttentionBlock, IntegratedAttentionTransformer
from napari_hagmil.models.interface import BagModel
from napari_hagmil.models.losses import LossConfig, instance_losses, most_and_least
from napari_hagmil.models.packed import PackedBags

SMALL = 1000
"""Instances up to which bags are taken together. Larger ones cost what they compute."""


class BatchLoss(NamedTuple):
    """Losses of several bags.

    Attributes
    ----------
    totals : (bags,)
        See `BagLoss`.
    attention : (bags, longest)
        Of each instance; 0 where a bag has no more.
    """

    totals: Tensor
    attention: Tensor


def takes_together(model: BagModel, n: int, loss: LossConfig) -> bool:
    """Whether a bag of n instances can be one of several for `batch_losses`."""
    if not isinstance(model, IntegratedAttentionTransformer) or n > SMALL:
        return False
    config = model.config
    plain = config.pooling == "aggregation" and not config.branch_dropout
    mixing = [block.attention for block in _blocks(model) if block.attention is not None]
    exact = all(attention.is_exact(n) for attention in mixing)
    return plain and exact and loss.endpoint is None and loss.instance_loss != "paper"


def batch_losses(
    model: BagModel, features: Sequence[Tensor], labels: Sequence[int], config: LossConfig
) -> BatchLoss:
    """Training losses of some bags, as `IntegratedAttentionTransformer.loss` has them of each.

    Parameters
    ----------
    model : IntegratedAttentionTransformer
        One that `takes_together` every bag.
    features : sequence of (n, n_features)
    labels : sequence of int
    config : LossConfig
    """
    assert isinstance(model, IntegratedAttentionTransformer)
    for bag in features:
        model.check_bag(bag)
    bags = PackedBags.of([len(bag) for bag in features], features[0].device)
    tokens, views = torch.cat(list(features)), []
    for block in _blocks(model):
        tokens, scores, instances, attention, view = _through(block, tokens, bags)
        views.append(view)
    embedding = model.combine(torch.stack(views, dim=-1)).squeeze(-1)
    target = torch.tensor(labels, device=tokens.device)
    totals = config.bag_weight * F.cross_entropy(
        model.head(embedding), target, label_smoothing=config.label_smoothing, reduction="none"
    )
    if config.instance_loss != "none":
        heads = model.instance_classifiers
        assert heads is not None, "the instance loss 'clam' needs patch_head='binary'"
        rows, counts = most_and_least(scores, bags, config.k)
        own = instance_losses(instances[rows], counts, target, heads, config)
        totals = totals + config.instance_weight * own
    return BatchLoss(totals, attention)


def _blocks(model: IntegratedAttentionTransformer) -> list[AttentionBlock]:
    return cast("list[AttentionBlock]", list(model.blocks))


def _through(block: AttentionBlock, tokens: Tensor, bags: PackedBags) -> tuple[Tensor, ...]:
    """The next tokens, scores, instances, attention and views of the bags, of one block."""
    projected = block.project(tokens)
    hidden = projected * ADMIN_GAIN
    if block.attention is not None:
        apart = bags.padded(block.attention_norm(projected))
        hidden = hidden + bags.packed(block.attention(apart, bags.mask)).to(hidden.dtype)
    scored = projected if block.config.scored == "projected" else hidden
    scores, instances = block.score(scored)
    attention = bags.padded(scores, -torch.inf).softmax(1)
    pooled = (attention[:, None] @ bags.padded(hidden))[:, 0]
    return hidden, scores, instances, attention, block.view(pooled)

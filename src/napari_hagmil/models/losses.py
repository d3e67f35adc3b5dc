"""Losses of a bag: cross-entropy, the smooth top-1 SVM, and the instance losses built on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_hagmil.models.endpoint import Endpoint
from napari_hagmil.models.packed import PackedBags

InstanceLoss = Literal["clam", "paper", "none"]


@dataclass(frozen=True, slots=True)
class LossConfig:
    """How a bag's loss is put together: bag_weight · CE + instance_weight · instance loss.

    Attributes
    ----------
    bag_weight, instance_weight : float
        HAG-MIL: 1 and λ = 1; its official code 0.5 and 0.5; CLAM 0.7 and 0.3.
    label_smoothing : float
        Of the cross-entropy; HAG-MIL: 0.1, and 0 at the finest depth.
    instance_loss : "clam", "paper" or "none"
        "clam": `instance_loss`; "paper": `patch_loss`.
    k : int
        Instances per side with "clam", patches of highest attention with "paper".
    subtyping : bool
        With "clam": classes exclude each other, so the other classes' top instances are
        negatives.
    endpoint : Endpoint, optional
        What is learned instead of classes, by a loss of its own: all else plays no part then.
    """

    bag_weight: float = 1.0
    instance_weight: float = 1.0
    label_smoothing: float = 0.0
    instance_loss: InstanceLoss = "clam"
    k: int = 8
    subtyping: bool = False
    endpoint: Endpoint | None = None


def bag_cross_entropy(logits: Tensor, label: int, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of one bag, logits (classes,) → ()."""
    target = torch.tensor([label], device=logits.device)
    return F.cross_entropy(logits[None], target, label_smoothing=label_smoothing)


def smooth_top1_svm(
    scores: Tensor, labels: Tensor, *, alpha: float = 1.0, tau: float = 1.0
) -> Tensor:
    """Smooth top-1 SVM, mean over the batch, (b, classes) and (b,) → ().

    Berrada et al., *Smooth Loss Functions for Deep Top-k Classification*, ICLR 2018, k = 1 in
    closed form::

        L(x, y) = τ logΣ_j exp((x_j + α [j ≠ y]) / τ) − x_y

    `tau` → 0 gives the multi-class hinge loss with margin `alpha`.
    """
    return _smooth_top1_svms(scores, labels, alpha=alpha, tau=tau).mean()


def _smooth_top1_svms(
    scores: Tensor, labels: Tensor, *, alpha: float = 1.0, tau: float = 1.0
) -> Tensor:
    """Of each row of its own, (…, classes) and (…) → (…)."""
    wrong = 1 - F.one_hot(labels, scores.shape[-1]).to(scores.dtype)
    upper = tau * ((scores + alpha * wrong) / tau).logsumexp(-1)
    return upper - scores.gather(-1, labels[..., None]).squeeze(-1)


def instance_loss(
    instances: Tensor,
    scores: Tensor,
    label: int,
    classifiers: Sequence[nn.Module] | nn.ModuleList,
    config: LossConfig,
) -> Tensor:
    """Loss of the most and least attended instances, by one binary head per class.

    Pseudo-labels of Lu et al., Nature BME 2021, and of the official HAG-MIL code: the top k are
    positives of the bag's class, the bottom k its negatives; with subtyping the top k are
    negatives of every other class, and the sum is averaged over the classes. k is at most
    n // 2, so that no instance is both: a bag of one has no instance loss.

    Parameters
    ----------
    instances : (n, d)
    scores : (n,) or (n, classes)
        Attention, or its logits; a column per class ranks for each class by its own.
    label : int
    classifiers : one module (k, d) → (k, 2) per class
    config : LossConfig

    Returns
    -------
    ()
    """
    k = min(config.k, len(instances) // 2)
    if k == 0 or config.instance_loss == "none":
        return instances.new_zeros(())
    scores = scores if scores.ndim == 2 else scores[:, None].expand(-1, len(classifiers))
    order = scores.argsort(dim=0, descending=True, stable=True)
    top, bottom = instances[order[:k, label]], instances[order[-k:, label]]
    both = torch.cat((top, bottom))
    pseudo = torch.cat((_labels(top, 1), _labels(bottom, 0)))
    total = smooth_top1_svm(classifiers[label](both), pseudo)
    if not config.subtyping:
        return total
    for other in (c for c in range(len(classifiers)) if c != label):
        top = instances[order[:k, other]]
        total = total + smooth_top1_svm(classifiers[other](top), _labels(top, 0))
    return total / len(classifiers)


def instance_losses(
    picked: Tensor,
    counts: Tensor,
    labels: Tensor,
    classifiers: nn.ModuleList,
    config: LossConfig,
) -> Tensor:
    """`instance_loss` of several bags at once, → (bags,).

    Parameters
    ----------
    picked : (bags, 2k, d)
        The instances of most and of least attention, k of each; see `most_and_least`.
    counts, labels : (bags,) int64
        How many of each k count.
    classifiers, config
        See `instance_loss`.
    """
    k = picked.shape[1] // 2
    if k == 0:
        return picked.new_zeros(len(labels))
    valid = torch.arange(k, device=counts.device) < counts[:, None]
    at_least_one = counts.clamp_min(1)
    # A head that no bag asks for must have no gradient, not one of 0: the optimiser would let its
    # weights decay.
    asked = set(range(len(classifiers)) if config.subtyping else labels[counts > 0].tolist())
    heads = sorted(asked)
    said = torch.stack([classifiers[c](picked) for c in heads])  # (heads, bags, 2k, 2)
    place = torch.tensor([heads.index(c) if c in asked else 0 for c in labels.tolist()])
    own = said[place.to(labels.device), torch.arange(len(labels), device=labels.device)]
    ones, zeros = (labels.new_full((len(labels), k), sign) for sign in (1, 0))
    each = _smooth_top1_svms(own, torch.cat((ones, zeros), dim=1)).view(-1, 2, k)
    total: Tensor = (each * valid[:, None]).sum((1, 2)) / (2 * at_least_one)
    if not config.subtyping:
        return total
    against = _smooth_top1_svms(said[:, :, :k], zeros.expand(len(said), -1, -1)) * valid
    others = F.one_hot(labels, len(said)).T == 0
    return (total + (against.sum(2) / at_least_one * others).sum(0)) / len(said)


def most_and_least(scores: Tensor, bags: PackedBags, k: int) -> tuple[Tensor, Tensor]:
    """Rows of the instances of most and of least attention, (bags, 2k), and how many count.

    Of a bag of less than 2k the first n // 2 of each; the others are some row of the bag. No bag
    counts more than half of the longest, to which k is brought down.
    """
    k = min(k, bags.mask.shape[1] // 2)
    order = bags.padded(scores.detach(), -torch.inf).argsort(dim=1, descending=True, stable=True)
    counts = (bags.sizes // 2).clamp_max(k)
    ranks = torch.arange(k, device=scores.device).expand(len(counts), -1)
    last = bags.sizes[:, None] - 1
    most, least = ranks.minimum(last), (last + 1 - counts[:, None] + ranks).minimum(last)
    return bags.first[:, None] + order.gather(1, torch.cat((most, least), dim=1)), counts


def patch_loss(
    instances: Tensor, scores: Tensor, label: int, classifier: nn.Module, k: int
) -> Tensor:
    """Loss of the k most attended patches under the slide's label, by one head of C classes.

    The second term of HAG-MIL's Eq. 7: the smooth top-1 SVM between the class distributions of
    the k patches of highest attention and k times the slide's label Y. Since one head answers for
    all classes, it has to tell the top patches of one class from those of another; a head that
    says the same of every patch pays for it. k is at most n // 2, as in `instance_loss`.

    Parameters
    ----------
    instances : (n, d)
    scores : (n,)
        Attention, or its logits.
    label : int
    classifier : module (k, d) → (k, classes)
    k : int

    Returns
    -------
    ()
    """
    k = min(k, len(instances) // 2)
    if k == 0:
        return instances.new_zeros(())
    top = instances[scores.argsort(descending=True, stable=True)[:k]]
    return smooth_top1_svm(classifier(top), _labels(top, label))


def _labels(instances: Tensor, value: int) -> Tensor:
    return torch.full((len(instances),), value, dtype=torch.long, device=instances.device)

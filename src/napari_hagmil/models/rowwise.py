"""Row-wise functions of a large bag, without keeping all their intermediate results."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LARGE = 2048
"""Rows from which saving memory is worth the extra time."""

RowFunction = Callable[[Tensor], tuple[Tensor, ...]]


def rowwise(function: RowFunction, rows: Tensor) -> tuple[Tensor, ...]:
    """Apply a function that treats every row alike, (n, d) → tuple of (n, …): the same numbers.

    Of a large bag, without a gradient: a slice at a time. With one: intermediate results are
    computed again in the backward pass.
    """
    if len(rows) <= LARGE:
        return function(rows)
    if torch.is_grad_enabled():
        results: tuple[Tensor, ...] = checkpoint(function, rows, use_reentrant=False)
        return results
    results = ()
    for start in range(0, len(rows), LARGE):
        parts = function(rows[start : start + LARGE])
        results = results or tuple(p.new_empty(len(rows), *p.shape[1:]) for p in parts)
        for result, part in zip(results, parts, strict=True):
            result[start : start + LARGE] = part
    return results

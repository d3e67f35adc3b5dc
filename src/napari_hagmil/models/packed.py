"""Bags behind one another in one matrix, and padded to the longest where they must be apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PackedBags:
    """Where the instances of several bags lie.

    What treats every instance alike is done on the packed matrix, which has no padding.

    Attributes
    ----------
    sizes : (bags,) int64
        Instances of each bag.
    first : (bags,) int64
        Row of the packed matrix that each bag begins at.
    mask : (bags, longest) bool
        True where the padded form has an instance.
    places : (rows,) int64
        Of each packed row, its place in the padded form, counted through.
    """

    sizes: Tensor
    first: Tensor
    mask: Tensor
    places: Tensor

    @classmethod
    def of(cls, sizes: Sequence[int], device: torch.device) -> PackedBags:
        """Lay out bags of these sizes, 1 or more each."""
        counts = torch.tensor(sizes, device=device)
        mask = torch.arange(max(sizes), device=device) < counts[:, None]
        return cls(counts, counts.cumsum(0) - counts, mask, mask.flatten().nonzero()[:, 0])

    def padded(self, rows: Tensor, blank: float = 0.0) -> Tensor:
        """(rows, …) → (bags, longest, …), `blank` where a bag has no more instances."""
        whole = rows.new_full((self.mask.numel(), *rows.shape[1:]), blank)
        filled = whole.index_copy(0, self.places, rows)
        return filled.view(*self.mask.shape, *rows.shape[1:])

    def packed(self, padded: Tensor) -> Tensor:
        """(bags, longest, …) → (rows, …)."""
        return padded.flatten(0, 1).index_select(0, self.places)

"""Encode patches in batches that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.process import is_out_of_memory

EncodeBatch = Callable[[NDArray[np.uint8]], torch.Tensor]
"""(n, side, side, 3) RGB → (n, n_features)."""

_log = logging.getLogger(__name__)


class Batching:
    """Encodes patches batch by batch; when memory runs out, the batch is halved.

    Parameters
    ----------
    size : int
        Patches per batch, to begin with.

    Attributes
    ----------
    size : int
        Patches per batch now. It stays halved: what did not fit once does not fit the next time.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, encode: EncodeBatch, patches: NDArray[np.uint8]) -> torch.Tensor:
        """(n, side, side, 3) → (n, n_features), n ≥ 1; raises when not even one patch fits."""
        features: list[torch.Tensor] = []
        done = 0
        while done < len(patches):
            try:
                features.append(encode(patches[done : done + self.size]))
            except Exception as error:  # onnxruntime's have no other common base
                if self.size == 1 or not is_out_of_memory(error):
                    raise
                self._shrink()
                continue
            done += len(features[-1])
        return torch.cat(features)

    def _shrink(self) -> None:
        self.size //= 2
        _log.warning("memory is short: the encoder takes %d patches at a time now", self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

"""The interface of an encoder."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray


@runtime_checkable
class Encoder(Protocol):
    """Turns patches into feature vectors.

    Attributes
    ----------
    name : str
        The key in the registry.
    weights_sha256 : str
        SHA-256 of the weights; features of other weights are other features.
    n_features : int
        Length of a feature vector.
    patch_size : int
        Side of the square patches that it takes, px.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def weights_sha256(self) -> str: ...  # noqa: D102
    @property
    def n_features(self) -> int: ...  # noqa: D102
    @property
    def patch_size(self) -> int: ...  # noqa: D102

    def __call__(self, patches: NDArray[np.uint8]) -> torch.Tensor:
        """(n, patch_size, patch_size, 3) RGB → (n, n_features) float32 on the CPU."""
        ...

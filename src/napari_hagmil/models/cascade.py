"""A cascade: one integrated attention transformer per depth."""

from __future__ import annotations

from typing import cast

from torch import nn

from napari_hagmil.models.config import BundleConfig
from napari_hagmil.models.iat import IntegratedAttentionTransformer


class CascadeModel(nn.Module):
    """The models of all depths, and what they were made for.

    It has no forward: which instances reach the next depth is the cascade's business.

    Parameters
    ----------
    config : BundleConfig

    Attributes
    ----------
    stages : nn.ModuleList of IntegratedAttentionTransformer
        0 = coarsest.
    sha256 : str
        Of the weights file it was loaded from, or last saved to; "" before.
    """

    def __init__(self, config: BundleConfig) -> None:
        super().__init__()
        self.config = config
        self.sha256 = ""
        self.stages = nn.ModuleList(IntegratedAttentionTransformer(c) for c in config.stages)

    def stage(self, depth: int) -> IntegratedAttentionTransformer:
        """Return the model of one depth, typed."""
        return cast(IntegratedAttentionTransformer, self.stages[depth])

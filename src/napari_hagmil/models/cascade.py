"""A cascade: one bag model per depth, in the paper an integrated attention transformer."""

from __future__ import annotations

from typing import TypeVar, cast

from torch import nn

from napari_hagmil.models.config import BundleConfig
from napari_hagmil.models.interface import BagModel
from napari_hagmil.models.stage import build_stage

T = TypeVar("T")


class CascadeModel(nn.Module):
    """The models of all depths, and what they were made for.

    It has no forward: `cascade.descend` chooses the instances that reach the next depth.

    Parameters
    ----------
    config : BundleConfig

    Attributes
    ----------
    stages : nn.ModuleList of BagModel
        0 = coarsest; integrated attention transformers unless the config says otherwise.
    sha256 : str
        Of the weights file it was loaded from, or last saved to; "" before.
    """

    def __init__(self, config: BundleConfig) -> None:
        super().__init__()
        self.config = config
        self.sha256 = ""
        self.stages = nn.ModuleList(build_stage(stage) for stage in config.stages)

    @property
    def depth_weights(self) -> tuple[float, ...]:
        """How much each depth counts in the decision; empty: the finest decides alone."""
        return self.config.depth_weights

    @property
    def temperatures(self) -> tuple[float, ...]:
        """What the decision's logits are divided by at each depth; empty: by nothing."""
        known = self.config.confidence
        return known.temperatures if known else ()

    def stage(self, depth: int) -> BagModel:
        """Return the model of one depth, typed."""
        return cast(BagModel, self.stages[depth])

    def tissue_of(self, nodes: tuple[T, ...]) -> tuple[T, ...] | None:
        """The tissue that a cascade keeps to: `nodes`, by depth; None where it reads glass too."""
        return nodes if self.config.children == "tissue" else None

"""The model of one depth, made from its configuration: the paper's transformer or a baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from napari_hagmil.models.baselines import BASELINES, make_baseline
from napari_hagmil.models.iat import IATConfig, IntegratedAttentionTransformer
from napari_hagmil.models.interface import BagModel


@dataclass(frozen=True, slots=True)
class BaselineConfig:
    """A baseline as the model of a depth.

    Attributes
    ----------
    model : str
        Its name in `BASELINES`.
    n_features, n_classes : int
    options : dict
        Of its constructor, for instance {"hidden": 128}.
    """

    model: str
    n_features: int
    n_classes: int = 2
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model not in BASELINES or min(self.n_features, self.n_classes) < 1:
            raise ValueError(
                f"BaselineConfig needs one of {', '.join(BASELINES)} with positive dimensions, not "
                f"{self.model!r} with {self.n_features} features and {self.n_classes} classes"
            )


StageConfig = IATConfig | BaselineConfig


def build_stage(config: StageConfig) -> BagModel:
    """Make the untrained model of a depth.

    Raises
    ------
    ValueError
        When a baseline has no such options.
    """
    if isinstance(config, IATConfig):
        return IntegratedAttentionTransformer(config)
    try:
        return make_baseline(config.model, config.n_features, config.n_classes, **config.options)
    except TypeError as error:
        raise ValueError(f"{config.model} cannot be made with {config.options}: {error}") from error

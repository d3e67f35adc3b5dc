"""The ablations of HAG-MIL's Table 3: how a block's view of the bag arises, and its attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from napari_hagmil.models.iat import IATConfig, Pooling

ABLATIONS: Mapping[str, tuple[Pooling, bool]] = {
    "class_token_plain": ("class_token", False),
    "class_token_gated": ("class_token", True),
    "aggregation_plain": ("aggregation", False),
    "aggregation_gated": ("aggregation", True),
}
"""Row of the table → `IATConfig.pooling`, `IATConfig.gated`; the last one is the method."""


def ablated(config: IATConfig, name: str) -> IATConfig:
    """Return the configuration of one row of the table, all else as it is."""
    if name not in ABLATIONS:
        raise ValueError(f"there is no ablation {name!r}; choose one of {', '.join(ABLATIONS)}")
    pooling, gated = ABLATIONS[name]
    return replace(config, pooling=pooling, gated=gated)

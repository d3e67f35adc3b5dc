"""HAG-MIL's Table 3: how the bag vector arises, and which attention scores guide the cascade.

In the class-token rows (section 4.4) the bag vector is the token's, and the attention that the
cascade needs comes from an aggregation module in the final layer. What trains that module, if not
the bag's loss, the paper leaves open. Two readings: a bag loss of its own, or the patch loss alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from napari_hagmil.models.iat import IATConfig

ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "class_token_plain": {"pooling": "class_token", "gated": False},
    "class_token_gated": {"pooling": "class_token", "gated": True},
    "class_token_plain_patch_loss": {
        "pooling": "class_token", "gated": False, "token_attention": "patch_loss",
    },
    "class_token_gated_patch_loss": {
        "pooling": "class_token", "gated": True, "token_attention": "patch_loss",
    },
    "aggregation_plain": {"pooling": "aggregation", "gated": False},
    "aggregation_gated": {"pooling": "aggregation", "gated": True},
}  # fmt: skip
"""Row of the table → its fields of `IATConfig`; the last one is the method itself."""


def ablated(config: IATConfig, name: str) -> IATConfig:
    """Return the configuration of one row of the table, all else as it is."""
    if name not in ABLATIONS:
        raise ValueError(f"there is no ablation {name!r}; choose one of {', '.join(ABLATIONS)}")
    return replace(config, **ABLATIONS[name])

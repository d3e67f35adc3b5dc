"""Any checkpoint of other code, converted to a bundle by what its weights are called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_hagmil.errors import BundleError, Remedy
from napari_hagmil.models.cascade import CascadeModel
from napari_hagmil.models.checkpoints.official import (
    OfficialFacts,
    convert_official,
    is_official,
)
from napari_hagmil.models.checkpoints.published import (
    PublishedFacts,
    convert_published,
    is_published,
)
from napari_hagmil.models.checkpoints.weights_only import load_weights_only

#: What these facts are called where depths have a µm per pixel each.
_OF_OFFICIAL = {"mpp": "finest_mpp"}


def convert_checkpoint(
    checkpoint: str | os.PathLike[str], out: str | os.PathLike[str], facts: Mapping[str, Any]
) -> CascadeModel:
    """Make a bundle of a checkpoint of HAG-MIL, CLAM, AB-MIL, DTFD-MIL or TransMIL.

    Parameters
    ----------
    checkpoint, out : path
        As of `convert_official` and `convert_published`.
    facts : mapping
        Fields of `PublishedFacts` that are known. For a checkpoint of the official HAG-MIL, whose
        depths are in the paper, all may be missing; `mpp` is that of its finest depth.

    Raises
    ------
    BundleError
        When it is none of these, facts are missing, or one means nothing for the method.
    """
    content = load_weights_only(checkpoint)
    if is_published(content) or not is_official(content):
        return convert_published(checkpoint, out, PublishedFacts(**facts))
    named = {_OF_OFFICIAL.get(name, name): value for name, value in facts.items()}
    unknown = [name for name in named if name not in OfficialFacts.__dataclass_fields__]
    if unknown:
        raise BundleError(
            f"the checkpoint {Path(checkpoint).name}",
            f"is not of a method that takes {', '.join(unknown)}",
            remedy=Remedy(
                library="leave these facts out",
                command_line=f"leave out --{unknown[0].replace('_', '-')}",
            ),
        )
    return convert_official(checkpoint, out, OfficialFacts(**named))

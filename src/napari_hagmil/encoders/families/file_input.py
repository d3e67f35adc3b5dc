"""What the patches of an encoder file must be: the facts in the ``.json`` beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from napari_hagmil.errors import EncoderError
from napari_hagmil.untrusted import read_json

_FACTS_BYTES = 2**16
_LARGEST = 4096


@dataclass(frozen=True, slots=True)
class FileInput:
    """What an encoder file takes.

    Attributes
    ----------
    patch_size : int
        Side of a patch, px.
    mean, std : (3,) float
        Of the normalisation, in units of a byte: x = (RGB − mean) / std.
    mpp : tuple of float
        µm per pixel that it is meant for; empty where the file does not say.
    """

    patch_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mpp: tuple[float, ...] = ()


def read_file_input(path: Path) -> FileInput:
    """Read ``NAME.EXT.json`` beside an encoder file ``NAME.EXT``.

    Raises
    ------
    EncoderError
        When it is not there, or does not say what it should.
    """
    beside = path.with_name(f"{path.name}.json")
    try:
        return _checked(dict(read_json(beside, limit=_FACTS_BYTES)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(
            f"encoder {path.name}",
            f"needs patch_size, mean and std (0 to 1), and may have mpp, in {beside.name}",
            remedy='write {"patch_size": 224, "mean": [0.485, …], "std": [0.229, …]} there',
        ) from error


def _checked(facts: dict[str, Any]) -> FileInput:
    mpp = facts.get("mpp", [])
    mpp = [mpp] if isinstance(mpp, int | float) else list(mpp)
    values = [*facts["mean"], *facts["std"], facts["patch_size"], *mpp]
    good = [len(facts[key]) for key in ("mean", "std")] == [3, 3]
    good = good and all(type(value) in (int, float) for value in values)
    good = good and min(*facts["std"], *mpp) > 0 and len(mpp) < 100
    if not (good and 0 < facts["patch_size"] <= _LARGEST):
        raise ValueError("values out of range")
    mean, std = (in_bytes(facts[key]) for key in ("mean", "std"))
    return FileInput(int(facts["patch_size"]), mean, std, tuple(map(float, mpp)))


def in_bytes(shares: tuple[float, float, float] | list[float]) -> tuple[float, float, float]:
    """Means or deviations as shares of the largest value, 0 to 1, in units of a byte."""
    red, green, blue = (255.0 * float(share) for share in shares)
    return red, green, blue


def measured_width(name: str, encode: Callable[[], torch.Tensor], side: int) -> int:
    """Length of the features that an encoder file gives, from its answer to two patches.

    Raises
    ------
    EncoderError
        When it does not take them, or does not give a vector for each.
    """
    try:
        features = encode()
        shape = tuple(features.shape)
    except Exception as error:  # whatever the file's program raises
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncoderError(
            f"encoder {name}",
            f"does not take two patches of {side} px: {said:.200}",
            remedy="export it with any number of patches, and check patch_size",
        ) from error
    if len(shape) != 2 or shape[0] != 2:
        raise EncoderError(
            f"encoder {name}",
            f"gives features of the shape {shape} for two patches",
            remedy="export it with one vector per patch",
        )
    return int(shape[1])

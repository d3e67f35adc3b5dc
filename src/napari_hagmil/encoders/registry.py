"""The encoders, by name."""

from __future__ import annotations

from collections.abc import Callable

import torch

from napari_hagmil.encoders.efficientnet import EfficientNetLite0
from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.encoders.resnet import ResNet50Layer3
from napari_hagmil.errors import EncoderError

ENCODERS: dict[str, Callable[[torch.device], Encoder]] = {
    "efficientnet-lite0": EfficientNetLite0,
    "resnet50-layer3": ResNet50Layer3,
}


def load_encoder(name: str, *, device: torch.device | str = "cpu") -> Encoder:
    """The encoder of that name, ready on a device.

    Raises
    ------
    EncoderError
        When the name is unknown or its weights are not there.
    """
    if name not in ENCODERS:
        raise EncoderError(
            f"encoder {name!r}",
            "is not known",
            remedy=f"use one of {', '.join(sorted(ENCODERS))}",
        )
    return ENCODERS[name](torch.device(device))

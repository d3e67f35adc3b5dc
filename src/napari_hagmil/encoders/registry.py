"""The encoders, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from napari_hagmil.encoders.families.efficientnet import EfficientNetLite0
from napari_hagmil.encoders.families.hugging_face import HuggingFaceEncoder
from napari_hagmil.encoders.families.lazyslide import LazySlideEncoder
from napari_hagmil.encoders.families.onnx_file import OnnxFileEncoder
from napari_hagmil.encoders.families.resnet import ResNet50Layer3
from napari_hagmil.encoders.families.shell import Lite0Shell
from napari_hagmil.encoders.families.timm_networks import TimmEncoder
from napari_hagmil.encoders.families.torch_file import EXPORTED, SCRIPTED, TorchFileEncoder
from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.encoders.weights import weights_folder
from napari_hagmil.errors import EncoderError

MakeEncoder = Callable[[torch.device, Path | None], Encoder]
"""(device, file of the weights or None) → encoder."""

ENCODERS: dict[str, MakeEncoder] = {
    "efficientnet-lite0": lambda device, _: EfficientNetLite0(device),
    "resnet50-layer3": ResNet50Layer3,
    "swin-large": partial(TimmEncoder, name="swin-large"),
    "lite0+shell": Lite0Shell,
}

FAMILIES: dict[str, Callable[[str], MakeEncoder]] = {
    "timm": lambda model: partial(TimmEncoder, model=model),
    "hf": lambda model: partial(HuggingFaceEncoder, model=model),
    "lazyslide": lambda key: partial(LazySlideEncoder, key=key),
}
"""FAMILY:NAME: what makes the encoder of that name."""

FILES = (".onnx", EXPORTED, *SCRIPTED)
"""What files that are encoders end in."""


def is_known(name: str) -> bool:
    """Whether a name is one of an encoder, of a family, or of a file that is an encoder."""
    family, colon, model = name.partition(":")
    return name in ENCODERS or bool(colon and model and family in FAMILIES) or _is_file(name)


def load_encoder(name: str, *, device: torch.device | str = "cpu") -> Encoder:
    """The encoder of that name, ready on a device.

    Parameters
    ----------
    name : str
        One of `ENCODERS`, ``timm:NAME``, ``hf:OWNER/NAME``, ``lazyslide:KEY``, or a file that is an
        encoder (.onnx; .pt2 and TorchScript, which must be allowed), by path or as it is called in
        `weights_folder()`. ``NAME=FILE`` says which file or folder has the weights.
    device : torch.device or str

    Raises
    ------
    EncoderError
        When the name is unknown, its weights are not there, or it runs code that the user did not
        allow. Nothing is downloaded.
    """
    name, _, file = name.partition("=")
    if not is_known(name):
        families = ", ".join(f"{family}:NAME" for family in FAMILIES)
        raise EncoderError(
            f"encoder {name!r}",
            "is not known",
            remedy=f"use one of {', '.join(sorted(ENCODERS))}, {families}, or a file: "
            f"{', '.join(FILES)}",
        )
    device = torch.device(device)
    if _is_file(name):
        path = _found(Path(file or name))
        return OnnxFileEncoder(path) if path.suffix == ".onnx" else TorchFileEncoder(path, device)
    family, _, model = name.partition(":")
    make = ENCODERS.get(name) or FAMILIES[family](model)
    return make(device, _found(Path(file)) if file else None)


def _is_file(name: str) -> bool:
    return Path(name).suffix in FILES and name.partition(":")[0] not in FAMILIES


def _found(path: Path) -> Path:
    for place in (path, weights_folder() / path.name):
        if place.exists():
            return place
    raise EncoderError(
        f"encoder file {path}",
        f"is neither there nor in {weights_folder()}",
        remedy="check the path",
    )

"""Networks in the layout of the Hugging Face hub: ``hf:OWNER/NAME``, from a folder on this machine.

A folder has ``config.json`` and ``model.safetensors`` (or ``pytorch_model.bin``). Where its config
is timm's, timm makes the network; otherwise transformers does, and ``preprocessor_config.json``
says how images are prepared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_hagmil.encoders.families.file_input import in_bytes, measured_width
from napari_hagmil.encoders.families.libraries import library, local_only, silent
from napari_hagmil.encoders.network import EncoderNetwork, NetworkEncoder
from napari_hagmil.encoders.weights import (
    fill_network,
    read_weights,
    weights_folder,
    weights_sha256,
)
from napari_hagmil.errors import EncoderError, Remedy
from napari_hagmil.permission import require_trust
from napari_hagmil.untrusted import read_json

CONFIG, IMAGES = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_DOCUMENT_BYTES = 2**22


class HuggingFaceEncoder(NetworkEncoder):
    """A network of a hub's folder; normalisation and input size are those the folder states.

    Of a transformer the class token is taken, of a model of images and text the image's vector, of
    others the pooled output.

    Parameters
    ----------
    device : torch.device
    folder : Path, optional
        By default the folder that MODEL names, ``OWNER--NAME`` in `weights_folder()`, or what the
        hub's own cache has of it.
    model : str
        OWNER/NAME, or a folder.

    Raises
    ------
    EncoderError
        When nothing of it is on this machine, a library is missing, or the folder is not as said.
        Nothing is downloaded.
    """

    def __init__(self, device: torch.device, folder: Path | None = None, *, model: str) -> None:
        place = Path(model)
        name = f"hf:{place.name if place.is_dir() else model}"
        folder = folder or _folder(name, model)
        with local_only():
            made = _of_timm(name, folder) if _is_timm(name, folder) else _made(name, folder)
        blank = torch.zeros((2, 3, made.patch_size, made.patch_size))
        with torch.no_grad():
            width = measured_width(name, lambda: made.network(blank), made.patch_size)
        parts = EncoderNetwork(
            name=name,
            weights_sha256=_sha256(folder),
            n_features=width,
            patch_size=made.patch_size,
            network=made.network,
            mean=made.mean,
            std=made.std,
        )
        super().__init__(parts, device)


@dataclass(frozen=True)
class _Made:
    """A network and how it is fed: mean and std in units of a byte."""

    network: nn.Module
    patch_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def repository_folder(model: str) -> Path:
    """Where a repository that was downloaded for us lies."""
    return weights_folder() / model.replace("/", "--")


def _folder(name: str, model: str) -> Path:
    for place in (Path(model), repository_folder(model)):
        if (place / CONFIG).is_file():
            return place
    cached = _cached(model)
    if cached is not None:
        return cached
    raise EncoderError(
        f"encoder {name}",
        f"is not on this machine: neither in {weights_folder()} nor in the hub's cache",
        remedy=Remedy(
            f"give the folder that has it: {name}=FOLDER",
            command_line=f"run napari-hagmil models --download {name}, or name its folder: "
            f"{name}=FOLDER",
        ),
    )


def _cached(model: str) -> Path | None:
    """What the hub's own cache has of a repository."""
    try:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(model, CONFIG)
    except (ImportError, ValueError):  # a ValueError of what is no OWNER/NAME
        return None
    return Path(found).parent if isinstance(found, str) else None


def _sha256(folder: Path) -> str:
    """Of the weights; of several files, of their hashes in order."""
    for name in WEIGHTS:
        if (folder / name).is_file():
            return weights_sha256(folder / name)
    parts = [weights_sha256(path) for path in sorted(folder.glob("*.safetensors"))]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _document(name: str, path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path, limit=_DOCUMENT_BYTES))
    except (OSError, ValueError, TypeError) as error:
        raise EncoderError(
            f"encoder {name}",
            f"has no readable {path.name} in {path.parent}",
            remedy="take the whole folder of the repository",
        ) from error


def _is_timm(name: str, folder: Path) -> bool:
    config = _document(name, folder / CONFIG)
    return "architecture" in config and "model_type" not in config


def _of_timm(name: str, folder: Path) -> _Made:
    timm = library("timm", name, extra="encoders")
    data = library("timm.data", name, extra="encoders")
    weights = next((folder / each for each in WEIGHTS if (folder / each).is_file()), None)
    if weights is None:
        raise _broken(name, folder, f"it has no {WEIGHTS[0]}")
    try:
        network = timm.create_model(f"local-dir:{folder}", pretrained=False, num_classes=0)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _broken(name, folder, str(error)) from error
    fill_network(network, read_weights(weights, remedy="download the folder again"), weights)
    facts = data.resolve_model_data_config(network)
    mean, std = in_bytes(facts["mean"]), in_bytes(facts["std"])
    return _Made(_frozen(network), int(facts["input_size"][-1]), mean, std)


def _made(name: str, folder: Path) -> _Made:
    transformers = library("transformers", name, extra="encoders")
    config = _document(name, folder / CONFIG)
    images = _document(name, folder / IMAGES)
    is_code = "auto_map" in config
    if is_code:
        require_trust(f"encoder {name}")
    try:
        with silent():
            network = transformers.AutoModel.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=is_code, dtype=torch.float32
            )
    except Exception as error:  # a repository's code raises anything
        raise _broken(name, folder, str(error)) from error
    side, mean, std = _input(name, images)
    return _Made(_OneVector(_frozen(network)), side, mean, std)


def _frozen(network: Any) -> nn.Module:
    module: nn.Module = network.eval().requires_grad_(False)
    return module


def _input(
    name: str, images: Mapping[str, Any]
) -> tuple[int, tuple[float, float, float], tuple[float, float, float]]:
    """Side, mean and std of a ``preprocessor_config.json``; a crop is what a patch is."""
    try:
        crop = images.get("crop_size") if images.get("do_center_crop") else None
        side = _side(crop or images["size"])
        factor = float(images.get("rescale_factor", 1 / 255))
        scale = 1 / (factor * 255) if images.get("do_rescale", True) else 1.0
        mean, std = images.get("image_mean", _IMAGENET[0]), images.get("image_std", _IMAGENET[1])
        if not images.get("do_normalize", True):
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        mean, std = ([scale * each for each in values] for values in (mean, std))
        if not (0 < side <= 4096 and min(std) > 0):
            raise ValueError("values out of range")
        return side, in_bytes(mean), in_bytes(std)
    except (ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        raise EncoderError(
            f"encoder {name}",
            f"does not say its input size and normalisation in {IMAGES}",
            remedy="take the whole folder of the repository",
        ) from error


def _side(size: Any) -> int:
    if isinstance(size, int):
        return size
    return int(size["shortest_edge"] if "shortest_edge" in size else size["height"])


class _OneVector(nn.Module):
    """A network of transformers that gives one vector per image."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._is_paired = hasattr(network, "get_image_features")
        self._has_class_token = any(
            each.rpartition(".")[2] in ("cls_token", "class_embedding")
            for each, _ in network.named_parameters()
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) → (n, d)."""
        network: Any = self.network
        if self._is_paired:
            features = network.get_image_features(pixel_values=images)
            vector: torch.Tensor = getattr(features, "pooler_output", features)
            return vector
        found = network(pixel_values=images)
        tokens: torch.Tensor = found.last_hidden_state
        if self._has_class_token and tokens.ndim == 3:
            return tokens[:, 0]
        pooled = getattr(found, "pooler_output", None)
        if pooled is not None:
            flat: torch.Tensor = pooled.flatten(1)
            return flat
        return tokens.mean(1) if tokens.ndim == 3 else tokens.mean((2, 3))


def _broken(name: str, folder: Path, why: str) -> EncoderError:
    said = " ".join(why.split())[:200]
    return EncoderError(
        f"encoder {name}",
        f"cannot be made of {folder}: {said}",
        remedy="take the whole folder of the repository again, or another encoder",
    )

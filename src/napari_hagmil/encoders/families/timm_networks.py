"""Networks of timm, with weights from a file: ``timm:NAME``, and the paper's Swin-L.

Liu et al., *Swin Transformer*, ICCV 2021: 1536 features of a patch of 224 px.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_hagmil.encoders.families.file_input import in_bytes
from napari_hagmil.encoders.families.libraries import library
from napari_hagmil.encoders.network import EncoderNetwork, NetworkEncoder
from napari_hagmil.encoders.weights import (
    fill_network,
    read_weights,
    weights_folder,
    weights_sha256,
)
from napari_hagmil.errors import EncoderError, Remedy

#: What timm calls the Swin-L that the paper used for its own cohort.
SWIN_LARGE = "swin_large_patch4_window7_224"

_ENDS = (".safetensors", ".pth", ".pt", ".bin")


class TimmEncoder(NetworkEncoder):
    """A network of timm without its classifier; normalisation and input size are timm's for it.

    Parameters
    ----------
    device : torch.device
        Where it runs.
    weights : Path, optional
        A state dict in timm's layout; by default NAME.safetensors or NAME.pth in
        `weights_folder()`.
    model : str
        What timm calls it.
    name : str, optional
        What we call it; ``timm:MODEL`` if not given.

    Raises
    ------
    EncoderError
        When timm is not installed or has no such network, and when there are no weights, or they
        are another network's. Nothing is downloaded.
    """

    def __init__(
        self,
        device: torch.device,
        weights: Path | None = None,
        *,
        model: str = SWIN_LARGE,
        name: str = "",
    ) -> None:
        name = name or f"timm:{model}"
        network, data = _network(name, model)
        weights = weights or _find(name, model, network)
        fill_network(network, read_weights(weights, remedy=_source(network)), weights)
        parts = EncoderNetwork(
            name=name,
            weights_sha256=weights_sha256(weights),
            n_features=int(network.num_features),
            patch_size=int(data["input_size"][-1]),
            network=network,
            mean=in_bytes(data["mean"]),
            std=in_bytes(data["std"]),
        )
        super().__init__(parts, device)


def _network(name: str, model: str) -> tuple[Any, dict[str, Any]]:
    timm = library("timm", name, extra="encoders")
    data = library("timm.data", name, extra="encoders")
    if not timm.is_model(model):
        raise EncoderError(
            f"encoder {name}",
            f"is not among the networks of timm {timm.__version__}",
            remedy="choose one that timm.list_models() names",
        )
    network = timm.create_model(model, pretrained=False, num_classes=0)
    return network.eval(), data.resolve_model_data_config(network)


def timm_source(name: str, model: str) -> tuple[str, str]:
    """Where timm says that a network's weights are: a repository of the hub, or else a URL.

    Raises
    ------
    EncoderError
        When timm is not installed, has no such network, or says neither.
    """
    timm = library("timm", name, extra="encoders")
    facts = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    repository, url = getattr(facts, "hf_hub_id", None), getattr(facts, "url", None)
    if not (repository or url):
        raise EncoderError(
            f"encoder {name}",
            f"is not among the networks with weights of timm {timm.__version__}",
            remedy="choose one that timm.list_pretrained() names",
        )
    return str(repository or ""), str(url or "")


def _find(name: str, model: str, network: Any) -> Path:
    folder = weights_folder()
    for end in _ENDS:
        if (folder / f"{model}{end}").is_file():
            return folder / f"{model}{end}"
    raise EncoderError(
        f"encoder {name}",
        f"needs its weights, and {folder} has no {model}.safetensors or .pth",
        remedy=Remedy(
            f"{_source(network)} and put it there, or name the file: {name}=FILE",
            command_line=f"run napari-hagmil models --download {name} ({_source(network)}), or "
            f"name the file: --encoder {name}=FILE",
        ),
    )


def _source(network: Any) -> str:
    facts = network.pretrained_cfg
    place = f"huggingface.co/{facts['hf_hub_id']}" if facts.get("hf_hub_id") else facts.get("url")
    return f"download model.safetensors of {place}" if place else "get a file of its weights"

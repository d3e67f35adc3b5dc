"""Weights that do not ship with the package: where they are, and how they are read."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from napari_hagmil.errors import EncoderError
from napari_hagmil.untrusted import read_json

#: In `weights_folder()`: what was downloaded, from where, with which hash.
RECORD = "downloads.json"


def weights_folder() -> Path:
    """Folder of weights that do not come with the package: HAGMIL_WEIGHTS, or a cache."""
    default = Path.home() / ".cache" / "napari-hagmil" / "weights"
    return Path(os.environ.get("HAGMIL_WEIGHTS") or default)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_sha256(path: Path) -> str:
    """SHA-256 of a file of weights, which must be what was downloaded, where that is on record.

    Raises
    ------
    EncoderError
        When it is not.
    """
    found = file_sha256(path)
    kept = downloaded(path)
    if kept and kept["sha256"] != found:
        raise EncoderError(
            f"encoder weights {path}",
            f"are not what was downloaded from {kept['host']}: sha256 {str(kept['sha256'])[:12]}…",
            value=f"{found[:12]}…",
            remedy="remove the file and download it again",
        )
    return found


def downloaded(path: Path) -> dict[str, Any]:
    """What is on record of a file in `weights_folder()`: host, address, sha256; or nothing."""
    try:
        place = path.resolve().relative_to(weights_folder().resolve()).as_posix()
        kept = read_json(weights_folder() / RECORD, limit=2**22)[place]
        return {key: str(kept[key]) for key in ("host", "address", "sha256")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def read_weights(path: Path, *, remedy: str) -> dict[str, torch.Tensor]:
    """A state dict from .safetensors or .pth, without running code of the file.

    Raises
    ------
    EncoderError
        When it cannot be read, or is no plain state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise EncoderError(
            f"encoder weights {path}", f"cannot be read: {error}", remedy=remedy
        ) from error
    except (pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise EncoderError(
            f"encoder weights {path}", "are no plain state dict", remedy=remedy
        ) from error
    state = dict(content.get("state_dict", content)) if isinstance(content, dict) else {}
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def fill_network(network: nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Load the weights that a network has; others, as of a classifier's head, are left.

    Raises
    ------
    EncoderError
        When one is missing or has another shape.
    """
    wanted = network.state_dict()
    kept = {name: tensor for name, tensor in weights.items() if name in wanted}
    # The counters of batch norms play no part in eval mode, and old files lack them.
    missing = sorted(n for n in wanted.keys() - kept.keys() if not n.endswith("_tracked"))
    try:
        if missing:
            raise RuntimeError(f"{missing[0]!r} is missing")
        network.load_state_dict({**wanted, **kept})
    except (RuntimeError, AttributeError) as error:
        raise EncoderError(
            f"encoder weights {path}",
            f"are of another network: {str(error).splitlines()[-1].strip()}",
            remedy="take the weights of the encoder that is named",
        ) from error

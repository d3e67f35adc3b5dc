"""Torch checkpoints read without running the code they may contain."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from napari_hagmil.errors import BundleError


def one_line(error: Exception) -> str:
    """Return an error's message without line breaks: torch puts each mismatch on its own line."""
    return " ".join(str(error).split())


def bare_name(name: str) -> str:
    """A weight's name without what wraps a model: Lightning, DataParallel, torch.compile.

    CLAM's plain attention has a part called module of its own, behind a number.
    """
    name = name.replace("_orig_mod.", "")
    name = re.sub(r"(^|(?<=[a-z_])\.)module\.", lambda found: found[1], name)
    return name.removeprefix("model.")


def load_weights_only(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint of torch or of safetensors, by name.

    Raises
    ------
    BundleError
        When it is missing, damaged, holds objects other than tensors and plain values (which
        could run code), or is no dictionary.
    """
    path = Path(path)
    try:
        content = _content(path)
    except FileNotFoundError as error:
        raise BundleError(
            f"the checkpoint {path}", "does not exist", remedy="give a file that does"
        ) from error
    except pickle.UnpicklingError as error:
        raise BundleError(
            path.name,
            "cannot be read without running code that it contains",
            remedy="save its state_dict alone and take that",
        ) from error
    except Exception as error:  # torch's reader of damaged files raises whatever it stumbles on
        raise BundleError(
            path.name,
            f"cannot be read as a checkpoint: {one_line(error)}",
            remedy="give a file that torch.save or safetensors wrote",
        ) from error
    if not isinstance(content, dict):
        raise BundleError(
            path.name,
            "must hold a dictionary, as a checkpoint does",
            value=f"a {type(content).__name__}",
            remedy="save a state_dict",
        )
    return content


def _content(path: Path) -> Any:
    _require_file(path)
    if path.suffix.lower() == ".safetensors":
        return safetensors.torch.load_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about pickles of older versions
        return torch.load(path, map_location="cpu", weights_only=True)


def _require_file(path: Path) -> None:
    """Raise unless it is a file: torch would wait for a pipe."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no regular file")

"""Read other people's checkpoints without running what they contain."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from napari_hagmil.errors import BundleError


def one_line(error: Exception) -> str:
    """Return an error's words without line breaks: torch lists misfits one below the other."""
    return " ".join(str(error).split())


def load_weights_only(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Tensors and plain values of a torch checkpoint, by name.

    Raises
    ------
    BundleError
        When it is missing, damaged, holds objects other than tensors and plain values (which
        could run code), or is no dictionary.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's thoughts about foreign pickles
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise BundleError(f"the checkpoint {path} does not exist; give a file that does") from error
    except pickle.UnpicklingError as error:
        raise BundleError(
            f"{path.name} is no checkpoint that can be read without running code it contains; "
            "save its state_dict alone and take that"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise BundleError(
            f"{path.name} is no torch checkpoint that can be read: {one_line(error)}"
        ) from error
    if not isinstance(content, dict):
        raise BundleError(
            f"{path.name} holds a {type(content).__name__} where a checkpoint is a dictionary; "
            "save a state_dict"
        )
    return content

"""Libraries that hold networks: imported where they are installed, and kept off the network."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari_hagmil.errors import EncoderError

_lock = threading.RLock()


def library(module: str, encoder: str, *, extra: str) -> Any:
    """A module of an optional package.

    Parameters
    ----------
    module : str
        "timm", "transformers", "lazyslide_models" …
    encoder : str
        Who needs it, for the error.
    extra : str
        Of this package, which brings it.

    Raises
    ------
    EncoderError
        When it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise EncoderError(
            f"encoder {encoder}",
            f"needs the package {missing.replace('_', '-')}, which is not installed",
            remedy=f"run pip install 'napari-hagmil[{extra}]'",
        ) from error
    except (ImportError, RuntimeError, OSError) as error:
        raise EncoderError(
            f"encoder {encoder}",
            f"needs {module}, which cannot be loaded here: {_line(error)}",
            remedy="install torch and torchvision of one build, and that package again",
        ) from error


@contextmanager
def local_only() -> Iterator[None]:
    """Within it the libraries find what is on this machine, and ask no hub for it or anything."""
    try:
        constants: Any = importlib.import_module("huggingface_hub.constants")
    except ImportError:
        yield
        return
    with _lock:
        before = constants.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before


@contextmanager
def silent() -> Iterator[None]:
    """Within it transformers draws no bars and prints no tables of weights that it left out."""
    said: Any = importlib.import_module("transformers.utils.logging")
    level, drew = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity_error()
    said.disable_progress_bar()
    try:
        yield
    finally:
        said.set_verbosity(level)
        if drew:
            said.enable_progress_bar()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

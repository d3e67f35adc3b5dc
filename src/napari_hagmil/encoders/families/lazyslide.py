"""The encoders of lazyslide-models: ``lazyslide:KEY``, with licence, gating and transform of each.

Its classes build their network and fetch its weights themselves; here they find only what this
machine has: a file, where the class takes one, or the hub's cache.
"""

from __future__ import annotations

import hashlib
import inspect
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_hagmil.encoders.families.file_input import in_bytes, measured_width
from napari_hagmil.encoders.families.libraries import library, local_only, silent
from napari_hagmil.encoders.network import EncoderNetwork, NetworkEncoder
from napari_hagmil.errors import EncoderError, Remedy
from napari_hagmil.permission import require_trust

#: What in the source of a class says that it runs code of the file or repository it loads.
_RUNS_CODE = ("trust_remote_code=True", "torch.export.load", "torch.jit.load", "weights_only=False")

_EXTRA = "lazyslide"


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """An encoder that lazyslide-models knows.

    Attributes
    ----------
    key : str
    n_features : int
        0 where the zoo does not say.
    licence : str
    is_gated : bool
        Whether its terms must be accepted before it can be downloaded.
    source : str
        Address of its weights.
    takes_file : bool
        Whether ``lazyslide:KEY=FILE`` works.
    runs_code : bool
        Whether loading it runs code of its repository.
    """

    key: str
    n_features: int
    licence: str
    is_gated: bool
    source: str
    takes_file: bool
    runs_code: bool


class LazySlideEncoder(NetworkEncoder):
    """An encoder of lazyslide-models, fed as the zoo's transform says.

    Parameters
    ----------
    device : torch.device
    weights : Path, optional
        A file of its weights, for the classes that take one; by default what the hub's cache has.
    key : str
        Its key in the zoo: "uni", "phikon", "virchow2" …

    Raises
    ------
    EncoderError
        When lazyslide-models is not installed, has no such encoder, needs weights that are not on
        this machine, or runs code that was not allowed. Nothing is downloaded.
    """

    def __init__(self, device: torch.device, weights: Path | None = None, *, key: str) -> None:
        name = f"lazyslide:{key}"
        entry = zoo_entry(key)
        if entry.runs_code:
            require_trust(f"encoder {name}")
        if weights and not entry.takes_file:
            raise EncoderError(
                f"encoder {name}",
                "takes its weights from the hub's cache, not from a file",
                remedy=Remedy("leave =FILE out", command_line=_fetching(entry)),
            )
        with local_only():
            model = zoo_model(entry, weights)
        side, mean, std = _input(name, model)
        network = _EncodesImages(model)
        blank = torch.zeros((2, 3, side, side))
        with torch.no_grad():
            width = measured_width(name, lambda: network(blank), side)
        parts = EncoderNetwork(
            name=name,
            weights_sha256=_state_sha256(network),
            n_features=width,
            patch_size=side,
            network=network,
            mean=mean,
            std=std,
            is_program=entry.runs_code,
        )
        super().__init__(parts, device)


def zoo_entries() -> list[ZooEntry]:
    """What lazyslide-models has of encoders of images, by key.

    Raises
    ------
    EncoderError
        When it is not installed.
    """
    registry = _registry("lazyslide")
    return [_entry(key, kind) for key, kind in sorted(registry.items()) if _encodes(kind)]


def zoo_entry(key: str) -> ZooEntry:
    """One encoder of lazyslide-models.

    Raises
    ------
    EncoderError
        When lazyslide-models is not installed, or has none of that key.
    """
    registry = _registry(f"lazyslide:{key}")
    if key in registry and _encodes(registry[key]):
        return _entry(key, registry[key])
    known = [each for each, kind in sorted(registry.items()) if _encodes(kind)]
    raise EncoderError(
        f"encoder lazyslide:{key}",
        "is not among the encoders of lazyslide-models",
        remedy=f"choose one of {', '.join(known)}",
    )


def zoo_model(entry: ZooEntry, weights: Path | None = None) -> Any:
    """The zoo's own model, its weights loaded.

    Raises
    ------
    EncoderError
        When a package or the weights are missing, or the weights do not fit.
    """
    kind = _registry(f"lazyslide:{entry.key}")[entry.key]
    try:
        with silent(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features that are not normalised any more
            return kind(model_path=str(weights)) if weights else kind()
    except ImportError as error:
        raise EncoderError(
            f"encoder lazyslide:{entry.key}",
            f"needs another package: {_line(error)}",
            remedy="install what it names",
        ) from error
    except (OSError, ConnectionError) as error:  # the hub's errors are of these kinds
        raise EncoderError(
            f"encoder lazyslide:{entry.key}",
            "needs its weights, which are not on this machine",
            remedy=Remedy(f"download them from {entry.source}", command_line=_fetching(entry)),
        ) from error
    except Exception as error:  # unpickling, shapes that do not fit, code of a repository
        raise EncoderError(
            f"encoder lazyslide:{entry.key}",
            f"cannot be loaded: {_line(error)}",
            remedy="take the weights that the zoo names",
        ) from error


def _registry(name: str) -> Any:
    return library("lazyslide_models", name, extra=_EXTRA).MODEL_REGISTRY


def _encodes(kind: Any) -> bool:
    tasks = kind.task if isinstance(kind.task, list) else [kind.task]
    encodes = hasattr(kind, "encode_image")
    return encodes and any(task.value in ("vision", "multimodal") for task in tasks)


def _entry(key: str, kind: Any) -> ZooEntry:
    module = inspect.getsource(inspect.getmodule(kind) or kind)
    licence = kind.license if isinstance(kind.license, str) else ", ".join(kind.license or ())
    return ZooEntry(
        key,
        int(kind.encode_dim or 0),
        licence,
        bool(kind.is_gated),
        kind.hf_url or kind.github_url or "",
        takes_file=inspect.getsource(kind.__init__).count("model_path") > 1,
        runs_code=any(sign in module for sign in _RUNS_CODE),
    )


def _fetching(entry: ZooEntry) -> str:
    terms = f"accept its terms at {entry.source}, then " if entry.is_gated else ""
    return f"{terms}run napari-hagmil models --download lazyslide:{entry.key}"


def _input(
    name: str, model: Any
) -> tuple[int, tuple[float, float, float], tuple[float, float, float]]:
    """Side, mean and std of a model's own preparation of images; a crop is what a patch is."""
    steps = getattr(model.get_transform(), "transforms", None)
    if steps is None:
        return _of_processor(name, model)
    by_name = {type(step).__name__: step for step in steps}
    sized = by_name.get("CenterCrop") or by_name.get("Resize")
    normalise = by_name.get("Normalize")
    if sized is None or normalise is None:
        raise _unclear(name)
    return _first(sized.size), in_bytes(normalise.mean), in_bytes(normalise.std)


def _of_processor(
    name: str, model: Any
) -> tuple[int, tuple[float, float, float], tuple[float, float, float]]:
    """The same of a model that prepares images itself, which it does not do here any more."""
    attribute = "img_processor" if hasattr(model, "img_processor") else "processor"
    processor = getattr(model, attribute, None)
    images = getattr(processor, "image_processor", processor)
    if images is None or not hasattr(images, "image_mean"):
        raise _unclear(name)
    sides = images.crop_size if getattr(images, "do_center_crop", False) else images.size
    setattr(model, attribute, _as_they_are)
    return _first(sides), in_bytes(images.image_mean), in_bytes(images.image_std)


def _as_they_are(images: torch.Tensor, **_: object) -> dict[str, torch.Tensor]:
    return {"pixel_values": images}


def _first(size: Any) -> int:
    if isinstance(size, int):
        return size
    if isinstance(size, list | tuple):
        return int(size[-1])
    sides = dict(size)
    return int(sides.get("height") or sides["shortest_edge"])


def _unclear(name: str) -> EncoderError:
    return EncoderError(
        f"encoder {name}",
        "does not say its input size and normalisation in a form that is known here",
        remedy="export it to ONNX, and give the .onnx file",
    )


class _EncodesImages(nn.Module):
    """A model of the zoo as a network: what its ``encode_image`` gives."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.network: nn.Module = model.model
        self._encode = model.encode_image

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) → (n, d)."""
        features: torch.Tensor = torch.as_tensor(self._encode(images))
        return features.clone()  # of inference mode, which nothing later may touch


def _state_sha256(network: nn.Module) -> str:
    """Of the weights themselves: where they came from, in what kind of file, does not count."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

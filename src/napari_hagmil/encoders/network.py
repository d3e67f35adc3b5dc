"""An encoder made of one network: its normalisation, precision and runtime."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_hagmil.encoders.batching import Batching, EncodeBatch
from napari_hagmil.encoders.device import autocast_dtype, patches_per_pass
from napari_hagmil.encoders.onnx_graph import GraphSource, graph_runner
from napari_hagmil.errors import EncoderError

RuntimeName = Literal["torch", "onnxruntime"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EncoderNetwork:
    """A network and what belongs to it.

    Attributes
    ----------
    name, weights_sha256, n_features, patch_size
        See `Encoder`.
    network : nn.Module, or a function that makes it
        (n, 3, patch_size, patch_size) float32, normalised → (n, n_features); in eval mode. It is
        not made where a graph of it is kept.
    mean, std : (3,) float
        Of the normalisation, in units of a byte: x = (RGB − mean) / std.
    mpp : tuple of float
        µm per pixel that it is meant for; empty where nothing says so.
    is_program : bool
        Whether it is a program from a file, which torch alone can run.
    """

    name: str
    weights_sha256: str
    n_features: int
    patch_size: int
    network: nn.Module | Callable[[], nn.Module]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mpp: tuple[float, ...] = ()
    is_program: bool = False


@dataclass(frozen=True, slots=True)
class Computation:
    """How an encoder computes; the same weights give features that differ in their last digits.

    Attributes
    ----------
    device : str
        "cpu", "cuda" …
    runtime : str
        "torch" or "onnxruntime".
    precision : str
        "float32" or "bfloat16".
    """

    device: str = "cpu"
    runtime: RuntimeName = "torch"
    precision: str = "float32"


class NetworkEncoder:
    """An encoder made of an `EncoderNetwork`.

    On a CPU without hardware for bfloat16 onnxruntime computes, where it is installed; everywhere
    else torch does.

    Parameters
    ----------
    parts : EncoderNetwork
    device : torch.device

    Attributes
    ----------
    computation : Computation
        What computes here.
    """

    def __init__(self, parts: EncoderNetwork, device: torch.device) -> None:
        self.name, self.weights_sha256 = parts.name, parts.weights_sha256
        self.n_features, self.patch_size = parts.n_features, parts.patch_size
        self.mean, self.std, self.mpp = parts.mean, parts.std, parts.mpp
        self.device = device
        self._batching = Batching(patches_per_pass(device))
        network = cache(lambda: _FromPixels(parts).eval().requires_grad_(False))
        in_onnx = chosen_runtime(device) == "onnxruntime" and _fits_in_a_graph(parts)
        run = _onnx_runner(parts, network) if in_onnx else None
        if run is None:
            dtype = autocast_dtype(device)
            precision = str(dtype or torch.float32).removeprefix("torch.")
            self.computation = Computation(str(device), "torch", precision)
            self._run: EncodeBatch = _TorchRunner(network(), device, dtype)
        else:
            self.computation = Computation(str(device), "onnxruntime", "float32")
            self._run = run

    def __call__(self, patches: NDArray[np.uint8]) -> torch.Tensor:
        """(n, patch_size, patch_size, 3) RGB → (n, n_features) float32 on the CPU."""
        if not len(patches):
            return torch.empty((0, self.n_features))
        return self._batching(self._run, patches)


def computation_of(encoder: object) -> Computation:
    """Return how an encoder computes; an encoder that does not say so is assumed to use torch."""
    known = getattr(encoder, "computation", None)
    if isinstance(known, Computation):
        return known
    device = torch.device(getattr(encoder, "device", "cpu"))
    precision = str(autocast_dtype(device) or torch.float32).removeprefix("torch.")
    return Computation(str(device), "torch", precision)


def chosen_runtime(device: torch.device) -> RuntimeName:
    """Choose the runtime for a device: HAGMIL_RUNTIME where it is set, else by rule.

    Raises
    ------
    EncoderError
        When HAGMIL_RUNTIME names none, or one that is not there.
    """
    stated = os.environ.get("HAGMIL_RUNTIME", "auto")
    present = find_spec("onnxruntime") is not None
    if stated not in ("auto", "torch", "onnxruntime"):
        raise EncoderError(
            "HAGMIL_RUNTIME",
            "is auto, torch or onnxruntime",
            value=repr(stated),
            remedy="unset it",
        )
    if stated == "onnxruntime" and not present:
        raise EncoderError(
            "HAGMIL_RUNTIME",
            "asks for onnxruntime, which is not installed",
            remedy="run pip install 'napari-hagmil[onnx]', or unset it",
        )
    if stated == "torch" or not present or device.type != "cpu":
        return "torch"
    # Where a CPU multiplies matrices of bfloat16 in hardware, torch's half precision is quicker.
    return "onnxruntime" if stated == "onnxruntime" or autocast_dtype(device) is None else "torch"


#: Bytes of weights that an ONNX file can hold, with room for the graph.
_GRAPH_BYTES = 2**31 - 2**25


def _fits_in_a_graph(parts: EncoderNetwork) -> bool:
    if not isinstance(parts.network, nn.Module):
        return True
    size = sum(each.numel() * each.element_size() for each in parts.network.parameters())
    return not parts.is_program and size < _GRAPH_BYTES


def _onnx_runner(parts: EncoderNetwork, network: Callable[[], nn.Module]) -> EncodeBatch | None:
    """The graph of a network, or None where there can be none and nobody insists."""
    source = GraphSource(parts.name, parts.weights_sha256, network, parts.patch_size)
    try:
        return graph_runner(source)
    except EncoderError as error:
        if os.environ.get("HAGMIL_RUNTIME") == "onnxruntime":
            raise
        _log.warning("torch computes, more slowly: %s", error)
        return None


class SpatialMean(nn.Module):
    """Global average pooling: (n, d, h, w) → (n, d) float32."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, d, h, w) → (n, d)."""
        return maps.float().mean((2, 3))


class _FromPixels(nn.Module):
    """Normalisation and network: (n, h, w, 3) uint8 → (n, d) float32."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, parts: EncoderNetwork) -> None:
        super().__init__()
        self.network = parts.network if isinstance(parts.network, nn.Module) else parts.network()
        self.register_buffer("mean", torch.tensor(parts.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(parts.std)[:, None, None])

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(n, h, w, 3) uint8 → (n, d)."""
        images = (patches.permute(0, 3, 1, 2).float() - self.mean) / self.std
        features: torch.Tensor = self.network(images)
        return features


class _TorchRunner:
    """Runs a network in torch."""

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
        self._device, self._dtype = device, dtype
        self._network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, patches: NDArray[np.uint8]) -> torch.Tensor:
        images = torch.from_numpy(patches).to(self._device)
        autocast = torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None)
        with torch.no_grad(), autocast:
            features: torch.Tensor = self._network(images)
        return features.float().cpu()

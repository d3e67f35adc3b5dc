"""The segmentation network of SHELL, filled with the weights of its ONNX file.

Myronenko, *3D MRI brain tumor segmentation using autoencoder regularization*, 2018 (SegResNet), in
two dimensions, with Mish (Misra 2020). The ONNX file is not run as it is: the features are maps
from inside it, and torch runs a network on any device.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from napari_hagmil.encoders.families.libraries import library
from napari_hagmil.errors import EncoderError

#: Channels at full size, residual blocks of each size, and groups of a group norm.
_WIDTH, _BLOCKS, _GROUPS = 16, (1, 2, 2, 4), 8

Layer = nn.Conv2d | nn.GroupNorm
Floats = NDArray[np.float32]


class SegResNet(nn.Module):
    """Residual blocks at four sizes down, and back up with what was seen on the way.

    Attributes
    ----------
    n_maps : int
        Channels of the smallest maps.
    n_classes : int
    """

    n_maps, n_classes = _WIDTH * 2 ** (len(_BLOCKS) - 1), 3

    def __init__(self) -> None:
        super().__init__()
        self.first = _conv(3, _WIDTH, 3)
        self.down = nn.ModuleList(_size_down(i, n) for i, n in enumerate(_BLOCKS))
        widths = [_WIDTH * 2**i for i in reversed(range(len(_BLOCKS) - 1))]
        self.narrow = nn.ModuleList(_conv(2 * width, width, 1) for width in widths)
        self.up = nn.ModuleList(_Block(width) for width in widths)
        self.norm = nn.GroupNorm(_GROUPS, _WIDTH)
        self.last = nn.Conv2d(_WIDTH, self.n_classes, 1)

    def maps(self, planes: torch.Tensor) -> list[torch.Tensor]:
        """(n, 3, h, w) → maps of every size, the last (n, n_maps, h / 8, w / 8)."""
        found = self.first(planes)
        every = []
        for size in self.down:
            found = size(found)
            every.append(found)
        return every

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w), h and w multiples of 8 → logits (n, n_classes, h, w)."""
        *skipped, found = self.maps(planes)
        for narrow, block in zip(self.narrow, self.up, strict=True):
            wide = F.interpolate(
                narrow(found), scale_factor=2, mode="bilinear", align_corners=False
            )
            found = block(wide + skipped.pop())
        logits: torch.Tensor = self.last(F.mish(self.norm(found)))
        return logits

    def layers(self) -> Iterator[Layer]:
        """Convolutions and norms in the order in which `forward` comes to them."""
        yield self.first
        for size in self.down:
            for part in size.children():
                yield from _layers(part)
        for narrow, block in zip(self.narrow, self.up, strict=True):
            yield from _layers(narrow)
            yield from _layers(block)
        yield from (self.norm, self.last)


class _Block(nn.Module):
    """Norm, Mish and 3 × 3 convolution, twice, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.GroupNorm(_GROUPS, width) for _ in range(2))
        self.conv1, self.conv2 = (_conv(width, width, 3) for _ in range(2))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, width, h, w) → the same."""
        inner = self.conv1(F.mish(self.norm1(maps)))
        result: torch.Tensor = maps + self.conv2(F.mish(self.norm2(inner)))
        return result


def _conv(channels: int, width: int, side: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, width, side, stride=stride, padding=side // 2, bias=False)


def _size_down(index: int, blocks: int) -> nn.Sequential:
    width = _WIDTH * 2**index
    halved = [_conv(width // 2, width, 3, stride=2)] if index else []
    return nn.Sequential(*halved, *(_Block(width) for _ in range(blocks)))


def _layers(part: nn.Module) -> Iterator[Layer]:
    if isinstance(part, _Block):
        yield from (part.norm1, part.conv1, part.norm2, part.conv2)
    elif isinstance(part, nn.Conv2d):
        yield part


def read_segresnet(path: Path, *, encoder: str) -> SegResNet:
    """The network with the weights of an ONNX file, in eval mode; no code of the file is run.

    Parameters
    ----------
    path : Path
        The .onnx; what it keeps in a file beside it is read too.
    encoder : str
        Who needs it, for the error.

    Raises
    ------
    EncoderError
        When the package onnx is missing, or the file holds another network.
    """
    onnx = library("onnx", encoder, extra="onnx")
    try:
        weights = _weights(onnx.load(str(path)), onnx.numpy_helper.to_array)
        return _filled(weights)
    except EncoderError:
        raise
    except Exception as error:  # protobuf's, onnx's and torch's have no common base
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncoderError(
            f"encoder {encoder}",
            f"cannot take its weights from {path.name}: {said:.200}",
            remedy="give model_v1.onnx of lavlab-shell 0.9.1, with its .data file beside it",
        ) from error


def _weights(model: object, to_array: object) -> list[list[Floats]]:
    """Weights of each convolution and norm, in the order of the graph."""
    graph = model.graph  # type: ignore[attr-defined]
    held = {each.name: to_array(each) for each in graph.initializer}  # type: ignore[operator]
    found: list[list[Floats]] = []
    for node in graph.node:
        own = [held[name] for name in node.input if name in held]
        if node.op_type == "Conv":
            found.append(own)
        # The exporter writes a group norm as an instance norm, a factor and a summand.
        elif node.op_type == "Mul" and own:
            found.append([own[0].ravel()])
        elif node.op_type == "Add" and own:
            found[-1].append(own[0].ravel())
    return found


def _filled(weights: list[list[Floats]]) -> SegResNet:
    network = SegResNet().eval().requires_grad_(False)
    layers = list(network.layers())
    if len(layers) != len(weights):
        raise ValueError(f"it has {len(weights)} layers with weights, not {len(layers)}")
    for layer, own in zip(layers, weights, strict=True):
        for parameter, value in zip(layer.parameters(), own, strict=True):
            if tuple(parameter.shape) != value.shape:
                raise ValueError(f"a layer is {value.shape}, not {tuple(parameter.shape)}")
            parameter.copy_(torch.from_numpy(np.array(value, np.float32)))
    return network

"""ResNet-50 cut after its third stage, the encoder of the paper; weights from a file on disk.

He et al., *Deep Residual Learning for Image Recognition*, CVPR 2016, with the stride in the
3 × 3 convolutions as torchvision and timm have it. Lu et al. (CLAM, 2021) cut it after stage 3:
1024 features after global average pooling.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_hagmil.encoders.network import EncoderNetwork, NetworkEncoder, SpatialMean
from napari_hagmil.encoders.weights import read_weights, weights_folder, weights_sha256
from napari_hagmil.errors import EncoderError, Remedy

WEIGHTS_FILES = (
    "resnet50-layer3.safetensors",
    "resnet50-layer3.pth",
    "resnet50-0676ba61.pth",
    "resnet50-19c8e357.pth",
)
"""Accepted names of the weights file: ours, or torchvision's for its first set of weights."""

WEIGHTS_URL = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


class ResNet50Layer3(NetworkEncoder):
    """The encoder of the paper and of CLAM: ImageNet's ResNet-50, cut after stage 3.

    Parameters
    ----------
    device : torch.device
        Where it runs.
    weights : Path, optional
        A state dict of torchvision's or timm's resnet50, .pth or .safetensors; by default one of
        `WEIGHTS_FILES` in `weights_folder()`.

    Raises
    ------
    EncoderError
        When there are no weights, or they are not a ResNet-50's: no other weights replace them.
    """

    def __init__(self, device: torch.device, weights: Path | None = None) -> None:
        weights = weights or _find_weights()
        network = ResNet50Stages()
        _fill(network, read_weights(weights, remedy=f"download {WEIGHTS_URL}"), weights)
        parts = EncoderNetwork(
            name="resnet50-layer3",
            weights_sha256=weights_sha256(weights),
            n_features=1024,
            patch_size=256,
            network=nn.Sequential(_fold(network.eval().requires_grad_(False)), SpatialMean()),
            mean=_MEAN,
            std=_STD,
        )
        super().__init__(parts, device)


class ResNet50Stages(nn.Module):
    """Stem and stages 1 to 3, with the parameter names of torchvision and timm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, blocks=3, stride=1)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, stride=2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) → (n, 1024, h / 16, w / 16)."""
        maps = F.relu(self.bn1(self.conv1(images)))
        maps = F.max_pool2d(maps, 3, stride=2, padding=1)
        result: torch.Tensor = self.layer3(self.layer2(self.layer1(maps)))
        return result


class _Bottleneck(nn.Module):
    """1 × 1 down, 3 × 3, 1 × 1 up to four times the width, added to the shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3: nn.Module = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Sequential | None = None
        if channels != 4 * width:
            shortcut = nn.Conv2d(channels, 4 * width, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(n, channels, h, w) → (n, 4 width, h / stride, w / stride)."""
        shortcut = maps if self.downsample is None else self.downsample(maps)
        maps = F.relu(self.bn1(self.conv1(maps)))
        maps = F.relu(self.bn2(self.conv2(maps)))
        return F.relu(self.bn3(self.conv3(maps)) + shortcut)


def _stage(channels: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    first = _Bottleneck(channels, width, stride)
    return nn.Sequential(first, *(_Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)))


def _fold(network: ResNet50Stages) -> ResNet50Stages:
    """Fold batch norms into the convolutions before them; the features stay the same."""
    for module in list(network.modules()):
        for index in "123":
            conv, norm = getattr(module, f"conv{index}", None), getattr(module, f"bn{index}", None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, f"conv{index}", fuse_conv_bn_eval(conv, norm))
                setattr(module, f"bn{index}", nn.Identity())
        if isinstance(module, _Bottleneck) and module.downsample is not None:
            module.downsample = nn.Sequential(fuse_conv_bn_eval(*module.downsample))
    return network


def _find_weights() -> Path:
    folder = weights_folder()
    for name in WEIGHTS_FILES:
        if (folder / name).is_file():
            return folder / name
    by_hand = f"download {WEIGHTS_URL} and put it there, or set HAGMIL_WEIGHTS to its folder"
    raise EncoderError(
        "encoder resnet50-layer3",
        f"needs ResNet-50's ImageNet weights, which are not in {folder}",
        remedy=Remedy(
            by_hand,
            command_line=f"run napari-hagmil models --download resnet50-layer3, or {by_hand}",
        ),
    )


def _fill(network: ResNet50Stages, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Load the stem and the first three stages; ignore the parameters after the cut."""
    kept = {k: v for k, v in weights.items() if not k.startswith(("layer4.", "fc."))}
    wanted = {k for k in network.state_dict() if not k.endswith("num_batches_tracked")}
    try:
        if missing := sorted(wanted - kept.keys()):
            raise RuntimeError(f"{missing[0]!r} is missing")
        # The counters of batch norms play no part in eval mode, and old files lack them.
        network.load_state_dict({**network.state_dict(), **kept})
    except (RuntimeError, AttributeError) as error:
        raise EncoderError(
            f"encoder weights {path}",
            "are not a ResNet-50's from torchvision or timm: "
            f"{str(error).splitlines()[-1].strip()}",
            remedy=f"download {WEIGHTS_URL}",
        ) from error

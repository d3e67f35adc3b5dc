"""An encoder of one's own as a program of torch: a TorchScript file, or one of ``torch.export``.

Both run what the file says; they are loaded only where the user trusts it.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from napari_hagmil.encoders.families.file_input import measured_width, read_file_input
from napari_hagmil.encoders.network import EncoderNetwork, NetworkEncoder
from napari_hagmil.encoders.weights import weights_sha256
from napari_hagmil.errors import EncoderError
from napari_hagmil.permission import require_trust

EXPORTED = ".pt2"
SCRIPTED = (".ts", ".torchscript", ".pt")


class TorchFileEncoder(NetworkEncoder):
    """An encoder that is a program of torch: (n, 3, side, side) float32 → (n, n_features).

    ``NAME.pt2.json`` beside it says what its patches must be: see `FileInput`.

    Parameters
    ----------
    path : Path
        A .pt2 of ``torch.export``, or a .ts, .torchscript or .pt of TorchScript; the encoder has
        the name of the file.
    device : torch.device

    Raises
    ------
    EncoderError
        When the user did not allow it, or file or facts are not as said above.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        wanted = read_file_input(path)
        require_trust(f"encoder {path.name}")
        network = _program(path)
        blank = torch.zeros((2, 3, wanted.patch_size, wanted.patch_size))
        with torch.no_grad():
            width = measured_width(path.name, lambda: network(blank), wanted.patch_size)
        parts = EncoderNetwork(
            name=path.name,
            weights_sha256=weights_sha256(path),
            n_features=width,
            patch_size=wanted.patch_size,
            network=network,
            mean=wanted.mean,
            std=wanted.std,
            mpp=wanted.mpp,
            is_program=True,
        )
        super().__init__(parts, device)


class _Held(nn.Module):
    """A program that knows no mode: what ``torch.export`` makes has no ``eval()``."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> _Held:
        self.training = mode
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) → (n, d)."""
        features: torch.Tensor = self.program(images)
        return features


def _program(path: Path) -> nn.Module:
    try:
        with warnings.catch_warnings():
            # That TorchScript is old, and that buffers of a file cannot be written to.
            warnings.simplefilter("ignore")
            if path.suffix == EXPORTED:
                return _Held(torch.export.load(path).module())
            script: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
            return script.eval()
    except Exception as error:  # unpickling and parsing raise anything
        kind = "torch.export" if path.suffix == EXPORTED else "TorchScript"
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncoderError(
            f"encoder {path.name}",
            f"is no program of {kind} that torch {torch.__version__} can load: {said:.200}",
            remedy="export it again, or name the network of plain weights: timm:NAME=FILE",
        ) from error

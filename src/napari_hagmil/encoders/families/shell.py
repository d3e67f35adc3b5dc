"""SHELL: a network of the package lavlab-shell (MIT) that was trained on H&E sections.

It segments epithelium and lumen at 1.0 µm per pixel. `Lite0Shell` takes its smallest maps as
features, beside those of EfficientNet-Lite0; `load_shell` gives the whole network. Its weights
come with the wheel, which needs none of the packages that it asks for.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import nn

from napari_hagmil.encoders.families.efficientnet import lite0_network, lite0_sha256
from napari_hagmil.encoders.families.he_planes import HePlanes
from napari_hagmil.encoders.families.segresnet import SegResNet, read_segresnet
from napari_hagmil.encoders.network import EncoderNetwork, NetworkEncoder, SpatialMean
from napari_hagmil.encoders.weights import file_sha256, weights_folder
from napari_hagmil.errors import EncoderError

#: µm per pixel that SHELL was trained at.
SHELL_MPP = 1.0

PACKAGE, GRAPH = "lavlab-shell", "model_v1.onnx"
"""The package on PyPI, and the file in it."""

INSTALL = f"pip install --no-deps {PACKAGE}==0.9.1"
"""What brings the weights. Without --no-deps it brings gigabytes that nothing here needs."""

_NAME = "lite0+shell"
#: Raised when the way from pixels to features changes.
_LAYOUT = 1


class Lite0Shell(NetworkEncoder):
    """Features of EfficientNet-Lite0, 1280, and of SHELL, 128, of one patch.

    SHELL sees the patch at half its side, a quarter of the cost.

    Parameters
    ----------
    device : torch.device
    weights : Path, optional
        SHELL's .onnx, or the wheel with it; by default that of the installed package, or in
        `weights_folder()`.

    Raises
    ------
    EncoderError
        When the weights are not there or are of another network.
    """

    def __init__(self, device: torch.device, weights: Path | None = None) -> None:
        with _graph(_NAME, weights) as path:
            network = read_segresnet(path, encoder=_NAME)
            said = f"{_LAYOUT} {lite0_sha256()} {_sha256(path)}"
        parts = EncoderNetwork(
            name=_NAME,
            weights_sha256=hashlib.sha256(said.encode()).hexdigest(),
            n_features=1280 + network.n_maps,
            patch_size=224,
            network=_SideBySide(network),
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
        )
        super().__init__(parts, device)


class _SideBySide(nn.Module):
    def __init__(self, shell: SegResNet) -> None:
        super().__init__()
        self.lite0, self.shell = lite0_network(), shell
        self.planes, self.pool = HePlanes(), SpatialMean()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) float32, 0 to 255 → (n, 1408)."""
        first = self.lite0((pixels - 127.0) / 128.0)
        maps = self.shell.maps(self.planes(F.avg_pool2d(pixels, 2)))[-1]
        return torch.cat([first, self.pool(maps)], dim=1)


def load_shell(device: torch.device, weights: Path | None = None) -> nn.Sequential:
    """SHELL from pixels on: (n, 3, h, w), 0 to 255 → logits of lumen, epithelium and the rest.

    Raises
    ------
    EncoderError
        When its weights are not there or are of another network.
    """
    with _graph("shell", weights) as path:
        network = nn.Sequential(HePlanes(), read_segresnet(path, encoder="shell"))
    return network.to(device)


@contextmanager
def _graph(name: str, weights: Path | None) -> Iterator[Path]:
    """The .onnx with its .data beside it, taken out of a wheel where it is in one."""
    path = weights or _installed() or weights_folder() / GRAPH
    if not path.is_file():
        raise EncoderError(
            f"encoder {name}",
            f"needs the weights of {PACKAGE}, which is not installed",
            remedy=f"run {INSTALL}, or name its wheel or {GRAPH} with {_NAME}=FILE",
        )
    if path.suffix != ".whl":
        yield path
        return
    with TemporaryDirectory() as folder:
        yield _unpacked(name, path, Path(folder))


def _installed() -> Path | None:
    try:
        files = metadata.distribution(PACKAGE).files or ()
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == GRAPH]
    return found[0] if found else None


#: Bytes that a file of weights may have.
_LARGEST = 2**26


def _unpacked(name: str, wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                file = PurePosixPath(entry.filename).name
                if file in (GRAPH, f"{GRAPH}.data") and entry.file_size < _LARGEST:
                    (folder / file).write_bytes(archive.read(entry))
        if (folder / GRAPH).is_file():
            return folder / GRAPH
        problem = f"holds no {GRAPH}"
    except (OSError, zipfile.BadZipFile) as error:
        problem = f"cannot be read: {error}"
    raise EncoderError(
        f"encoder {name}", f"{wheel.name} {problem}", remedy=f"take the wheel of {PACKAGE} 0.9.1"
    )


def _sha256(path: Path) -> str:
    beside = path.with_name(f"{path.name}.data")
    return " ".join(file_sha256(each) for each in (path, beside) if each.is_file())

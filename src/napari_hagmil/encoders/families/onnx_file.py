"""An encoder of one's own: an ONNX file, and beside it what its patches must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.encoders.batching import Batching
from napari_hagmil.encoders.device import patches_per_pass
from napari_hagmil.encoders.families.file_input import measured_width, read_file_input
from napari_hagmil.encoders.network import Computation
from napari_hagmil.encoders.onnx_graph import GraphRunner
from napari_hagmil.encoders.weights import weights_sha256
from napari_hagmil.errors import EncoderError


class OnnxFileEncoder:
    """An encoder that is an ONNX graph: (n, 3, side, side) float32 → (n, n_features).

    ``NAME.onnx.json`` beside it says what its patches must be: see `FileInput`.

    Parameters
    ----------
    path : Path
        The .onnx; the encoder has the name of the file.

    Raises
    ------
    EncoderError
        When onnxruntime is missing, or file or facts are not as said above.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        wanted = read_file_input(path)
        self.patch_size, self.mpp = wanted.patch_size, wanted.mpp
        self.mean, self.std = wanted.mean, wanted.std
        self.weights_sha256 = weights_sha256(path)
        self.device = torch.device("cpu")
        self.computation = Computation("cpu", "onnxruntime", "float32")
        self._batching = Batching(patches_per_pass(self.device))
        self._graph = _graph(path)
        side = self.patch_size
        blank = np.zeros((2, side, side, 3), np.uint8)
        self.n_features = measured_width(self.name, lambda: self._encode(blank), side)

    def __call__(self, patches: NDArray[np.uint8]) -> torch.Tensor:
        """(n, patch_size, patch_size, 3) RGB → (n, n_features) float32."""
        if not len(patches):
            return torch.empty((0, self.n_features))
        return self._batching(self._encode, patches)

    def _encode(self, patches: NDArray[np.uint8]) -> torch.Tensor:
        images = patches.transpose(0, 3, 1, 2).astype(np.float32)
        mean, std = (np.array(each, np.float32)[:, None, None] for each in (self.mean, self.std))
        return self._graph(((images - mean) / std).astype(np.float32, copy=False)).float()


def _graph(path: Path) -> GraphRunner:
    try:
        return GraphRunner(path.read_bytes())
    except ImportError as error:
        raise EncoderError(
            f"encoder {path.name}",
            "needs the package onnxruntime, which is not installed",
            remedy="run pip install 'napari-hagmil[onnx]'",
        ) from error

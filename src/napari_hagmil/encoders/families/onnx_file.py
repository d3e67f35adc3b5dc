"""A user's own encoder: an ONNX file, with a JSON file that describes its patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_hagmil.encoders.batching import Batching
from napari_hagmil.encoders.device import patches_per_pass
from napari_hagmil.encoders.network import Computation
from napari_hagmil.encoders.onnx_graph import GraphRunner
from napari_hagmil.encoders.weights import file_sha256
from napari_hagmil.errors import EncoderError
from napari_hagmil.untrusted import read_json

_FACTS_BYTES = 2**16


class OnnxFileEncoder:
    """An encoder that is an ONNX graph: (n, 3, side, side) float32 → (n, n_features).

    ``NAME.onnx.json`` beside it says ``{"patch_size": 224, "mean": [r, g, b], "std": [r, g, b]}``,
    with the shares of the largest value, 0 to 1, as most networks have them.

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
        facts = _facts(path)
        self.patch_size = int(facts["patch_size"])
        self._mean, self._std = (
            np.array(facts[key], np.float32)[:, None, None] * 255 for key in ("mean", "std")
        )
        self.weights_sha256 = file_sha256(path)
        self.device = torch.device("cpu")
        self.computation = Computation("cpu", "onnxruntime", "float32")
        self._batching = Batching(patches_per_pass(self.device))
        self._graph = _graph(path)
        self.n_features = self._width()

    def __call__(self, patches: NDArray[np.uint8]) -> torch.Tensor:
        """(n, patch_size, patch_size, 3) RGB → (n, n_features) float32."""
        if not len(patches):
            return torch.empty((0, self.n_features))
        return self._batching(self._encode, patches)

    def _encode(self, patches: NDArray[np.uint8]) -> torch.Tensor:
        images = patches.transpose(0, 3, 1, 2).astype(np.float32)
        normalised = ((images - self._mean) / self._std).astype(np.float32, copy=False)
        return self._graph(normalised).float()

    def _width(self) -> int:
        side = self.patch_size
        try:
            features = self._encode(np.zeros((2, side, side, 3), np.uint8))
        except Exception as error:  # onnxruntime's errors have no other common base
            raise EncoderError(
                f"encoder {self.name}",
                f"does not take two patches of {side} px: {str(error).splitlines()[0]:.200}",
                remedy="export it with any number of patches, and check patch_size",
            ) from error
        if features.ndim != 2 or len(features) != 2:
            raise EncoderError(
                f"encoder {self.name}",
                f"gives features of the shape {tuple(features.shape)} for two patches",
                remedy="export it with one vector per patch",
            )
        return int(features.shape[1])


def _graph(path: Path) -> GraphRunner:
    try:
        return GraphRunner(path.read_bytes())
    except ImportError as error:
        raise EncoderError(
            f"encoder {path.name}",
            "needs the package onnxruntime, which is not installed",
            remedy="run pip install 'napari-hagmil[onnx]'",
        ) from error


def _facts(path: Path) -> dict[str, Any]:
    beside = path.with_name(f"{path.name}.json")
    try:
        facts = dict(read_json(beside, limit=_FACTS_BYTES))
        sizes = [len(facts[key]) for key in ("mean", "std")]
        values = [*facts["mean"], *facts["std"], facts["patch_size"]]
        good = sizes == [3, 3] and all(type(v) in (int, float) for v in values)
        good = good and min(facts["std"]) > 0 and 0 < facts["patch_size"] <= 4096
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise EncoderError(
            f"encoder {path.name}",
            f"needs patch_size, mean and std (0 to 1) in {beside.name}",
            remedy='write {"patch_size": 224, "mean": [0.485, …], "std": [0.229, …]} there',
        )
    return facts

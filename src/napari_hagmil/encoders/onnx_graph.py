"""A network as an ONNX graph: exported once, kept in the cache folder, run by onnxruntime."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_hagmil.cache import GRAPHS, mark_used
from napari_hagmil.errors import EncoderError, OutputError
from napari_hagmil.files import remove, replacing

_log = logging.getLogger(__name__)

#: Raised when what is exported changes.
_EXPORT = 2
#: The exporter's operators are those of this version of the standard at most.
_OPSET = 17

#: A graph that agrees less than this with its network is not used (cosine of features).
AGREEMENT = 0.9999


@dataclass(frozen=True, slots=True)
class GraphSource:
    """A network that a graph is made of.

    Attributes
    ----------
    name, weights_sha256 : str
        Of the encoder; together with torch's version they name the file of the graph.
    make : function
        Makes the network: (n, side, side, 3) uint8 → (n, d) float32, on the CPU.
    patch_size : int
        Side, px.
    """

    name: str
    weights_sha256: str
    make: Callable[[], nn.Module]
    patch_size: int


class GraphRunner:
    """Runs a graph with as many threads as torch has, and none that spins.

    A waiting thread of onnxruntime spins by default, and takes the core that another process, or
    the window, needs.

    Parameters
    ----------
    graph : bytes
    """

    def __init__(self, graph: bytes) -> None:
        self._graph = graph
        self._threads = 0
        self._session: Any = None
        self._prepare()

    def __call__(self, patches: NDArray[np.uint8] | NDArray[np.float32]) -> torch.Tensor:
        """What the graph takes, (n, …) → (n, d)."""
        self._prepare()
        (features,) = self._session.run(None, {self._session.get_inputs()[0].name: patches})
        return torch.from_numpy(features)

    def _prepare(self) -> None:
        # The window gives torch fewer threads while somebody works in it, and a session cannot
        # change its number.
        if self._threads != torch.get_num_threads():
            self._threads = torch.get_num_threads()
            self._session = open_session(self._graph, self._threads)


def open_session(graph: bytes, threads: int) -> Any:
    """An onnxruntime session of a graph, on the CPU.

    Raises
    ------
    EncoderError
        When onnxruntime cannot load it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common base but this
        raise EncoderError(
            "an ONNX graph",
            f"cannot be loaded by onnxruntime: {str(error).splitlines()[0]:.200}",
            remedy="check the file, or set HAGMIL_RUNTIME=torch",
        ) from error


def graph_runner(source: GraphSource) -> GraphRunner:
    """What runs a network's graph, made now if it is not kept yet.

    Raises
    ------
    EncoderError
        When it cannot be exported or loaded, or computes something else than the network.
    """
    path = GRAPHS.folder / f"{source.name}-{_key(source)}.onnx"
    try:
        kept = path.read_bytes()
    except OSError:
        return _made(source, path)
    mark_used(path)
    try:
        return GraphRunner(kept)
    except EncoderError:
        remove(path)
        return _made(source, path)


def _made(source: GraphSource, path: Path) -> GraphRunner:
    graph = export_graph(source)
    runner = GraphRunner(graph)
    _check_agreement(source, runner)
    try:
        with replacing(path) as draft:
            draft.write_bytes(graph)
        GRAPHS.make_room(path)
    except OutputError as error:
        _log.warning("the graph of %s is not kept: %s", source.name, error)
    return runner


def _key(source: GraphSource) -> str:
    said = f"{source.name} {source.weights_sha256} {torch.__version__} {_EXPORT} {_OPSET}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def export_graph(source: GraphSource) -> bytes:
    """The ONNX graph of a network, for any number of patches.

    Raises
    ------
    EncoderError
        When torch cannot export it, or the package onnx is not there.
    """
    patches = torch.zeros((2, source.patch_size, source.patch_size, 3), dtype=torch.uint8)
    try:
        return _exported(source.make(), patches)
    except (RuntimeError, ImportError, TypeError, ValueError, OSError) as error:
        raise EncoderError(
            f"encoder {source.name}",
            f"cannot be exported to ONNX: {str(error).splitlines()[0]:.200}",
            remedy="run pip install onnx, or set HAGMIL_RUNTIME=torch",
        ) from error


def _exported(network: nn.Module, patches: torch.Tensor) -> bytes:
    # The exporter of traces needs no package but onnx; it warns that there is a newer one.
    with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            network,
            (patches,),
            path,
            dynamo=False,
            input_names=["patches"],
            output_names=["features"],
            dynamic_axes={"patches": {0: "n", 1: "height", 2: "width"}, "features": {0: "n"}},
            opset_version=_OPSET,
        )
        return path.read_bytes()


def _check_agreement(source: GraphSource, runner: GraphRunner) -> None:
    side = source.patch_size
    patches = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = source.make()(torch.from_numpy(patches)).float()
    cosine = float(torch.cosine_similarity(runner(patches), expected).min())
    if not cosine >= AGREEMENT:
        raise EncoderError(
            f"encoder {source.name}",
            f"computes other features in onnxruntime than in torch (cosine {cosine:.6f})",
            remedy="set HAGMIL_RUNTIME=torch",
        )

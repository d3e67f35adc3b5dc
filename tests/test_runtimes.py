"""What computes an encoder: onnxruntime or torch, in batches that the memory holds."""

import logging

import numpy as np
import pytest
import torch

from napari_hagmil.cache import GRAPHS
from napari_hagmil.encoders import computation_of, load_encoder
from napari_hagmil.encoders.batching import Batching
from napari_hagmil.encoders.families import efficientnet
from napari_hagmil.encoders.network import chosen_runtime
from napari_hagmil.errors import EncoderError
from napari_hagmil.ledger import state_after
from napari_hagmil.process import is_out_of_memory

CPU = torch.device("cpu")
PATCHES = np.random.default_rng(0).integers(0, 256, (11, 224, 224, 3), dtype=np.uint8)


def of_torch(monkeypatch, name="efficientnet-lite0"):
    monkeypatch.setenv("HAGMIL_RUNTIME", "torch")
    return load_encoder(name)


def of_onnxruntime(monkeypatch, name="efficientnet-lite0"):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    monkeypatch.setenv("HAGMIL_RUNTIME", "onnxruntime")
    return load_encoder(name)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HAGMIL_CACHE", str(tmp_path))
    return tmp_path / "graphs"


@pytest.mark.parametrize("side", [224, 64])
def test_onnxruntime_gives_the_features_of_torch_at_any_patch_size(cache, monkeypatch, side):
    fast, plain = of_onnxruntime(monkeypatch), of_torch(monkeypatch)
    assert computation_of(fast).runtime == "onnxruntime"
    assert computation_of(plain).runtime == "torch"
    patches = PATCHES[:, :side, :side]
    cosine = torch.cosine_similarity(fast(patches), plain(patches).float())
    assert cosine.min() >= 0.9999


def test_a_graph_is_made_once_and_a_damaged_one_is_made_anew(cache, monkeypatch):
    assert GRAPHS.folder == cache
    of_onnxruntime(monkeypatch)
    (graph,) = cache.iterdir()
    whole = graph.read_bytes()
    made = graph.stat().st_ino
    with monkeypatch.context() as patch:
        patch.setattr(efficientnet, "_load_network", pytest.fail)  # the graph is all it takes
        of_onnxruntime(monkeypatch)
    assert graph.stat().st_ino == made
    graph.write_bytes(whole[: len(whole) // 2])
    encoder = of_onnxruntime(monkeypatch)
    assert encoder(PATCHES[:2]).shape == (2, 1280)
    assert len(graph.read_bytes()) == len(whole)


def test_a_graph_that_computes_something_else_is_not_used(cache, monkeypatch, caplog):
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    from napari_hagmil.encoders import network, onnx_graph

    class Wrong(onnx_graph.GraphRunner):
        def __call__(self, patches):
            return super().__call__(patches).flip(1)

    monkeypatch.setattr(onnx_graph, "GraphRunner", Wrong)
    monkeypatch.setattr(network, "autocast_dtype", lambda device: None)
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder("efficientnet-lite0")
    assert encoder.computation.runtime == "torch"
    assert "other features in onnxruntime" in caplog.text
    assert not cache.exists()


def test_the_rule_takes_onnxruntime_on_plain_cpus_only(monkeypatch):
    from napari_hagmil.encoders import network

    monkeypatch.delenv("HAGMIL_RUNTIME", raising=False)
    monkeypatch.setattr(network, "find_spec", lambda name: object())
    monkeypatch.setattr(network, "autocast_dtype", lambda device: None)
    assert chosen_runtime(CPU) == "onnxruntime"
    assert chosen_runtime(torch.device("cuda")) == "torch"
    monkeypatch.setattr(network, "autocast_dtype", lambda device: torch.bfloat16)
    assert chosen_runtime(CPU) == "torch"
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    monkeypatch.setattr(network, "autocast_dtype", lambda device: None)
    assert chosen_runtime(CPU) == "torch"


@pytest.mark.parametrize("stated", ["fast", "onnxruntime"])
def test_a_runtime_that_is_not_there_is_refused(stated, monkeypatch):
    from napari_hagmil.encoders import network

    monkeypatch.setenv("HAGMIL_RUNTIME", stated)
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match="HAGMIL_RUNTIME"):
        chosen_runtime(CPU)


def test_a_session_has_torchs_threads(cache, monkeypatch):
    encoder = of_onnxruntime(monkeypatch)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        encoder(PATCHES[:1])
        options = encoder._run._session.get_session_options()
        assert options.intra_op_num_threads == before + 1
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    finally:
        torch.set_num_threads(before)


OUT_OF_MEMORY = {
    "CUDA": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "CPU": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"),
    "Windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte"),
    "onnxruntime": RuntimeError("bfc_arena.cc Failed to allocate memory for requested buffer"),
    "Python": MemoryError(),
}


class Small:
    """Memory for so many patches and no more."""

    def __init__(self, most, error):
        self.most, self.error, self.seen = most, error, []

    def __call__(self, patches):
        if len(patches) > self.most:
            raise self.error
        self.seen.append(len(patches))
        return torch.from_numpy(patches.reshape(len(patches), -1)[:, :1].astype(np.float32))


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
def test_out_of_memory_halves_the_batch_and_goes_on(error):
    patches = np.arange(20, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    batching, encode = Batching(16), Small(5, error)
    assert batching(encode, patches)[:, 0].tolist() == list(range(20))
    assert encode.seen == [4] * 5
    assert batching.size == 4


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
def test_no_memory_for_one_patch_is_known_for_what_it_is(error):
    with pytest.raises(type(error)) as raised:
        Batching(4)(Small(0, error), PATCHES[:4, :1, :1])
    assert raised.value is error
    assert state_after(error) == "oom"


def test_another_error_passes():
    error = RuntimeError("the weights have another shape")
    assert not is_out_of_memory(error)
    with pytest.raises(RuntimeError, match="another shape"):
        Batching(4)(Small(0, error), PATCHES[:4, :1, :1])


def test_torch_says_of_itself_that_memory_is_exhausted():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**50)
    assert is_out_of_memory(raised.value)

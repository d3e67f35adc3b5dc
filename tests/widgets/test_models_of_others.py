"""A model of other code, on features of other code: its attention in the window."""

import numpy as np
import pytest
import torch
from test_budget import settled
from test_cascade_dock import dock, names

from napari_hagmil.cli import main
from napari_hagmil.models.baselines import GatedABMIL

h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")
pytestmark = pytest.mark.window
__all__ = ["dock"]

CLAM = {
    "embed.0.": "attention_net.0.",
    "scores.content.": "attention_net.3.attention_a.0.",
    "scores.gate.": "attention_net.3.attention_b.0.",
    "scores.score.": "attention_net.3.attention_c.",
    "head.": "classifiers.",
}


@pytest.fixture
def analysis(phantom, tmp_path):
    """What ``analyze`` writes for a checkpoint in CLAM's layout and an h5 file as CLAM's."""
    weights = {}
    for name, value in GatedABMIL(6, 2, widths=(8,), hidden=4).state_dict().items():
        start = next(start for start in CLAM if name.startswith(start))
        weights[CLAM[start] + name.removeprefix(start)] = value
    torch.save(weights, tmp_path / "s_0_checkpoint.pt")
    with h5py.File(tmp_path / "phantom.h5", "w") as file:
        file["features"] = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
        file["coords"] = np.array([(0, 0), (1024, 0), (1024, 1024), (2048, 3072)])
        file["coords"].attrs.update({"patch_size": 256, "patch_size_level0": 1024})
    model, out = tmp_path / "theirs.hagmil", tmp_path / "out"
    said = ["--classes", "LUAD,LUSC", "--encoder", "uni_v1", "--mpp", "1", "--patch-size", "256"]
    assert main(["convert", str(tmp_path / "s_0_checkpoint.pt"), "--out", str(model), *said]) == 0
    features = ["--features", str(tmp_path / "phantom.h5")]
    assert main(["analyze", str(phantom), "--model", str(model), *features, "--out", str(out)]) == 0
    return out


def test_a_model_of_one_depth_shows_its_attention_and_has_no_branches(
    dock, viewer, phantom, analysis, wait_until
):
    dock.open(phantom, result=analysis)
    wait_until(lambda: dock.session.result is not None and settled(dock))
    assert "Branches" not in names(viewer)
    attention = viewer.layers["Attention 10×"].data
    assert sorted(map(tuple, np.argwhere(np.isfinite(attention)))) == [
        (0, 0), (0, 1), (1, 1), (3, 2),
    ]  # fmt: skip
    assert dock.findings.prediction.text().split()[0] in ("LUAD", "LUSC")

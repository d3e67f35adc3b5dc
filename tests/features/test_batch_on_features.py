"""batch on stored features: models whose encoder nobody has, over many slides."""

import json
import shutil

import pytest

from napari_hagmil.batch.folder import open_run
from napari_hagmil.cli import main
from napari_hagmil.ledger import check_manifest

pytest.importorskip("h5py", reason="the extra h5 is not installed")

from test_given import SOME, bundle, write


@pytest.fixture
def run(phantom, tmp_path):
    """Two slides of one file name and one without features, prepared as a run."""
    for folder in ("a", "b", "c"):
        (tmp_path / "slides" / folder).mkdir(parents=True)
        shutil.copy(phantom, tmp_path / "slides" / folder / "s.tiff")
    write(tmp_path / "features_uni_v1" / "a-s.h5", SOME)
    write(tmp_path / "features_uni_v1" / "b-s.h5", SOME[:2])
    words = ["batch", str(tmp_path / "slides"), "--out", str(tmp_path / "run")]
    words += ["--model", str(bundle(tmp_path / "uni.hagmil"))]
    words += ["--features", str(tmp_path / "features_uni_v1")]
    assert main([*words, "--prepare"]) == 0
    return words


def test_each_slide_is_run_on_the_features_of_its_name(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("napari_hagmil.features.sources.read_patches", pytest.fail)
    folder = open_run(tmp_path / "run")
    for name, patches in (("a-s", 4), ("b-s", 2)):
        assert main(["run-one", str(folder.root), name]) == 0
        assert not check_manifest(folder.place(name))
        result = json.loads((folder.place(name) / "result.json").read_text())
        assert result["cost"]["patches_exhaustive"] == patches
        assert result["cost"]["patches_encoded"] == 0
        assert (folder.place(name) / "attention.ome.zarr").is_dir()
    assert main(["run-one", str(folder.root), "c-s"]) == 3
    assert "c-s: failed: the folder" in capsys.readouterr().err
    assert folder.outcome("c-s").reason.endswith(
        "holds no features of s.tiff, got no s.zarr or s.h5"
    )


def test_other_features_are_another_run_and_their_cost_needs_no_encoder(run, tmp_path, capsys):
    assert main([*run, "--dry-run"]) == 0
    assert (
        "3 slides to do: no patch is encoded, since features are stored" in capsys.readouterr().out
    )
    (tmp_path / "others").mkdir()
    assert main([*run[:-1], str(tmp_path / "others"), "--dry-run"]) == 1
    assert "another features" in capsys.readouterr().err

"""Stored features in the window: chosen in the Cascade tab, they stand in for the encoder."""

import json
import shutil

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog
from test_budget import settled
from test_cascade_dock import dock

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def foreign(scratch_bundle, tmp_path):
    """A model over features of an encoder that nobody has here."""
    model = tmp_path / "foreign.hagmil"
    shutil.copytree(scratch_bundle, model)
    config = json.loads((model / "config.json").read_text())
    config["encoder"] |= {"name": "uni_v1", "weights_sha256": None}
    (model / "config.json").write_text(json.dumps(config))
    return model


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A phantom, a TRIDENT file of it with one depth, and one with features of another length."""
    from napari_hagmil.phantom import PhantomConfig, write_phantom

    h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")
    folder = tmp_path_factory.mktemp("stored")
    slide = folder / "small.tiff"
    write_phantom(slide, PhantomConfig(seed=7, size=4096, lesions=1))
    y, x = np.mgrid[0:3584:896, 0:3584:896]
    for name, width in (("features_uni_v1/small.h5", 1280), ("features_other/small.h5", 12)):
        path = folder / name
        path.parent.mkdir()
        with h5py.File(path, "w") as file:
            rows = np.random.default_rng(0).normal(size=(x.size, width))
            file["features"] = rows.astype(np.float32)
            file["coords"] = np.stack([x.ravel(), y.ravel()], 1)
            file["coords"].attrs.update({"patch_size": 224, "patch_size_level0": 896})
    return folder


def choose(dock, monkeypatch, place):
    """Click on the entry that asks for a folder or for files, and answer its dialog."""
    folder = place.is_dir()
    chosen = str(place) if folder else ([str(place)], "")
    asked = "getExistingDirectory" if folder else "getOpenFileNames"
    monkeypatch.setattr(QFileDialog, asked, lambda *_: chosen)
    box = dock.run_panel.features
    box.setCurrentIndex(box.count() - (2 if folder else 1))
    box.activated.emit(box.currentIndex())


def test_a_model_without_its_encoder_runs_on_features_that_are_chosen(
    dock, viewer, stored, foreign, wait_until, monkeypatch
):
    panel = dock.run_panel
    dock.open(stored / "small.tiff")
    wait_until(lambda: dock.session.slide is not None and settled(dock))
    panel.add_model(str(foreign))
    wait_until(lambda: settled(dock) and panel.error.text())
    assert "uni_v1" in panel.missing.text()
    assert "Features" in panel.missing.text()
    choose(dock, monkeypatch, stored / "features_uni_v1")
    wait_until(lambda: settled(dock) and dock.session.cost() is not None)
    assert not panel.missing.isVisible()
    assert not panel.encoder.isEnabled()
    assert panel.encoder.currentText() == "uni_v1"
    assert panel.features.currentText() == "features_uni_v1"
    assert dock.session.cost().new == 0
    dock.cascade.run()
    wait_until(lambda: dock.session.state == "done" and settled(dock))
    assert [stage.depth for stage in dock.session.stages] == [0]
    assert "Attention 10×" in [layer.name for layer in viewer.layers]
    assert any("stored features" in note for note in dock.session.result.notes)
    assert dock.session.regions()


def test_features_that_do_not_fit_are_refused_and_pixels_still_work(
    dock, stored, scratch_bundle, wait_until, monkeypatch
):
    panel = dock.run_panel
    dock.open(stored / "small.tiff")
    wait_until(lambda: dock.session.slide is not None and settled(dock))
    panel.add_model(str(scratch_bundle))
    choose(dock, monkeypatch, stored / "features_other" / "small.h5")
    wait_until(lambda: settled(dock) and panel.error.text())
    assert "'other'" in panel.error.text()
    assert panel.features.currentText() == "small.h5"
    panel.features.choose(())
    wait_until(lambda: settled(dock) and dock.session.cost() is not None)
    assert not panel.error.text()
    assert panel.encoder.isEnabled()
    assert dock.session.cost().new > 0


def test_a_dialog_that_is_left_changes_nothing_and_one_slides_file_is_not_the_nexts(
    dock, stored, wait_until, monkeypatch
):
    box = dock.run_panel.features
    box.choose((stored / "features_uni_v1",))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    box.setCurrentIndex(2)
    box.activated.emit(2)
    assert (box.places, box.currentText()) == ((stored / "features_uni_v1",), "features_uni_v1")
    box.leave_slide()
    assert box.places
    box.choose((stored / "features_uni_v1" / "small.h5",))
    box.leave_slide()
    assert (box.places, box.currentText()) == ((), "Computed from pixels")

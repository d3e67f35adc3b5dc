"""Epithelium in the Slide tab: found, shown, taken as the tissue, undone."""

import numpy as np
import pytest
import torch
from test_cascade_dock import click, dock, names, open_slide
from torch import nn

from napari_hagmil.epithelium import CLASSES
from napari_hagmil.errors import EncoderError

pytestmark = pytest.mark.window
__all__ = ["dock"]


class Bluish(nn.Module):
    """In place of SHELL: what is more blue than red is epithelium."""

    def forward(self, pixels):
        red, _, blue = pixels[0]
        return torch.stack([0 * red - 1, blue - red, 0 * red - 1])[None]


def test_epithelium_is_found_shown_and_taken_as_the_tissue(
    dock, viewer, phantom, wait_until, monkeypatch
):
    section = dock.slide.epithelium
    assert not section.look_button.isEnabled()
    open_slide(dock, phantom, wait_until)
    wait_until(lambda: not dock._work.busy)

    def missing(device, weights=None):
        raise EncoderError("SHELL", "is not here", remedy="install it")

    monkeypatch.setattr("napari_hagmil.epithelium.find.load_shell", missing)
    click(section.look_button)
    wait_until(lambda: "install it" in section.error.text() and not dock._work.busy)
    network = "napari_hagmil.epithelium.find.load_shell"
    monkeypatch.setattr(network, lambda device, weights=None: Bluish())
    click(section.look_button)
    wait_until(lambda: section.found is not None and not dock._work.busy)
    found = section.found
    assert section.error.text() == ""
    for name in CLASSES:
        assert section.boxes[name].text().endswith(f"{found.shares[name]:.1%}")
    layer = viewer.layers["Epithelium"]
    assert np.array_equal(layer.data, found.values)
    click(section.boxes["stroma"])
    assert set(np.unique(layer.data)) == {0, 1}
    sitting = dock.session.sitting
    click(section.use_button)
    assert sitting.state.tissue is not None
    sitting.undo()
    assert sitting.state.tissue is None
    click(dock.slide_panel.close_button)
    wait_until(lambda: dock.session.slide is None)
    assert "Epithelium" not in names(viewer)
    assert section.found is None

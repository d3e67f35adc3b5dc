"""The quality of a slide in the Slide tab: measured, shown, left out, undone."""

import sys
from pathlib import Path

import numpy as np
import pytest
from test_cascade_dock import click, dock, names, open_slide

from napari_hagmil.quality import KINDS

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "scripts"))

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def inked(tmp_path):
    """A phantom with a stroke of ink across its tissue."""
    from quality_artefacts import clean_phantom, planted
    from quality_phantoms import write

    picture, _ = planted(*clean_phantom(3, 2048), "pen", 1, np.random.default_rng(0))
    return write(picture, tmp_path / "inked.tiff")


def test_artefacts_are_measured_shown_left_out_and_taken_back_in(dock, viewer, inked, wait_until):
    section = dock.slide.quality
    assert not section.look_button.isEnabled()
    open_slide(dock, inked, wait_until)
    wait_until(lambda: not dock._work.busy)
    click(section.look_button)
    wait_until(lambda: section.found is not None and not dock._work.busy)
    found = section.found
    assert set(found.maps) == set(KINDS)
    worst = max(KINDS, key=lambda kind: found.shares[kind])
    assert found.shares[worst] > 0
    assert section.boxes[worst].text().endswith(f"{found.shares[worst]:.1%}")
    layer = viewer.layers["Quality"]
    assert np.array_equal(layer.data > 0, np.logical_or.reduce(list(found.maps.values())))
    for kind in KINDS:
        section.boxes[kind].setChecked(kind == worst)
    assert np.array_equal(layer.data > 0, found.maps[worst])
    click(section.use_button)
    sitting = dock.session.sitting
    places = len(sitting.state.vetoes)
    assert places == len(found.places([worst], dock.session.slide.shape)) > 0
    assert "left out from the next run on" in section.facts.text()
    click(section.use_button)
    assert len(sitting.state.vetoes) == places
    sitting.undo()
    assert sitting.state.vetoes == ()
    click(dock.slide_panel.close_button)
    wait_until(lambda: dock.session.slide is None)
    assert "Quality" not in names(viewer)
    assert section.found is None

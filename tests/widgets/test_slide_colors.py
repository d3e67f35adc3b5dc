"""The slide's colour profile in the window: one tick, for the eye."""

import cv2
import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from test_cascade_dock import dock, open_slide

from made_profiles import wide_in_srgb, wide_profile
from napari_hagmil.widgets.preferences import preference, set_preference

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def preferred():
    before = preference("display", "srgb", False)
    set_preference("display", "srgb", False)
    yield
    set_preference("display", "srgb", before)


def test_a_tick_shows_the_slide_in_srgb_and_another_slide_has_none(
    preferred, dock, viewer, phantom, tmp_path, wait_until
):
    filed = cv2.resize(tifffile.imread(phantom, level=0), (3000, 3000))
    tifffile.imwrite(
        tmp_path / "wide.tif",
        filed,
        photometric="rgb",
        tile=(256, 256),
        resolution=(20000, 20000),
        resolutionunit="CENTIMETER",
        iccprofile=wide_profile(),
    )
    box = dock.slide.view_panel.srgb
    open_slide(dock, phantom, wait_until)
    assert not box.isEnabled()
    assert "no colour profile" in box.toolTip()
    open_slide(dock, tmp_path / "wide.tif", wait_until)
    layer = next(one for one in viewer.layers if one.name == "wide.tif")
    wait_until(lambda: box.isEnabled())
    overview = np.asarray(layer.data[-1])
    QTest.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))
    wait_until(lambda: not np.array_equal(np.asarray(layer.data[-1]), overview))
    right = wide_in_srgb(overview)
    assert np.abs(np.asarray(layer.data[-1]).astype(int) - right).max() <= 2
    seen = np.asarray(layer.data[0][1000:1064, 1000:1064])
    assert np.abs(seen.astype(int) - wide_in_srgb(filed[1000:1064, 1000:1064])).max() <= 2
    assert preference("display", "srgb", False)
    # In napari's own preferences, too; what is shown follows.
    set_preference("display", "srgb", False)
    wait_until(lambda: np.array_equal(np.asarray(layer.data[-1]), overview))
    assert not box.isChecked()

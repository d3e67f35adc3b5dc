import os
import time

import pytest
from qtpy.QtWidgets import QApplication


@pytest.fixture
def viewer(qapp, monkeypatch):
    """A real napari window; needs a display, Xvfb will do."""
    if not os.environ.get("DISPLAY"):
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("window tests need a display; run them under xvfb-run")
        pytest.skip("window tests need a display; run them under xvfb-run")
    import napari

    made = napari.Viewer(show=True)
    made.window._qt_window.resize(1280, 800)
    yield made
    made.close()
    QApplication.processEvents()


@pytest.fixture
def wait_until(qapp):
    """Let the window live until something is true."""

    def wait(condition, seconds=120):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, "it did not come about in time"
            qapp.processEvents()
            time.sleep(0.005)

    return wait

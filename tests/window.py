"""Fixtures of tests through a real window."""

import gc
import os
import shutil
import time
from functools import cache
from types import SimpleNamespace

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_hagmil.widgets.preferences import preference, set_preference


@cache
def _collect_once_a_window() -> None:
    """napari collects garbage for each layer that goes, over all that the tests have made by then.

    Here it is collected when a window has closed, and what was loaded before the first is passed
    over. Frozen again for each, no window before it would ever be freed.
    """
    from napari._vispy import canvas

    canvas.gc = SimpleNamespace(collect=lambda: 0)
    gc.collect()
    gc.freeze()


@pytest.fixture
def viewer(qapp, monkeypatch, tmp_path):
    """A real napari window; needs a display, Xvfb will do."""
    if not os.environ.get("DISPLAY"):
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail("window tests need a display; run them under xvfb-run")
        pytest.skip("window tests need a display; run them under xvfb-run")
    import napari

    # Lists of recent slides and the like stay out of the user's folders.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    _collect_once_a_window()
    made = napari.Viewer(show=True)
    made.window._qt_window.resize(1280, 800)
    own_classes = preference("review", "own_classes", "")
    yield made
    made.close()
    QApplication.processEvents()
    gc.collect()
    # napari keeps preferences in the user's folder: a test's classes are not to stay there.
    set_preference("review", "own_classes", own_classes)


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


@pytest.fixture
def answers(qapp, monkeypatch):
    """Answer what comes up, in its order: a file dialog by a path, a question by a button's text.

    What was proposed or asked is in the list, an entry each. A question is answered by a real
    click or key; the file dialog, which is the system's, is not shown.
    """
    asked, waiting = [], []

    def choose(parent, title, proposed, *args, **kwargs):
        asked.append(str(proposed))
        return str(waiting.pop(0)) if waiting else "", ""

    def answer():
        box = QApplication.activeModalWidget()
        if box is None:
            return
        asked.append(box.text())
        if not waiting:
            box.reject()
            return
        wanted = waiting.pop(0)
        if isinstance(wanted, Qt.Key):
            QTest.keyClick(box, wanted)
            return
        (button,) = (one for one in box.buttons() if one.text().replace("&", "") == wanted)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    timer = QTimer(interval=50)
    timer.timeout.connect(answer)
    timer.start()

    def give(*wanted):
        asked.clear()
        waiting[:] = wanted
        return asked

    yield give
    timer.stop()


@pytest.fixture(autouse=True)
def own_data_folder(monkeypatch, tmp_path):
    """Reviews of slides in read-only places go here, and not to the user's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def phantom(phantom, tmp_path):
    """The phantom in a folder of its own: what one test decides is not the next one's."""
    path = tmp_path / "slides" / phantom.name
    path.parent.mkdir()
    try:
        os.link(phantom, path)
    except OSError:
        shutil.copy(phantom, path)
    return path

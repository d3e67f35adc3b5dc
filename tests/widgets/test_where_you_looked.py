"""The reader's path in a real window: kept with consent, compared, stepped through, replayed."""

import pytest
from qtpy.QtWidgets import QFileDialog
from test_cascade_dock import dock, names, open_slide, run
from test_why_and_steer import press

from napari_hagmil.plugin.seen_layer import SEEN_COLORS
from napari_hagmil.verify import verify_folder
from napari_hagmil.viewing.table import decode_views
from napari_hagmil.widgets.preferences import keeps_viewing, set_preference

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture(autouse=True)
def without_consent():
    yield
    set_preference("privacy", "viewing", False)


def tables(slide):
    return sorted(slide.with_name(f"{slide.name}.hagmil-review").rglob("*.viewing.csv"))


def test_a_path_is_kept_only_with_consent_and_shows_what_neither_has_seen(
    dock, viewer, phantom, wait_until, answers, monkeypatch, tmp_path
):
    section, follower = dock.why.looked, dock.desk.follower
    open_slide(dock, phantom, wait_until)
    run(dock, wait_until)
    dock.tabs.setCurrentWidget(dock.why)
    press(viewer, "Alt+5")
    assert not tables(phantom)

    asked = answers("Do not keep it")
    section.keep.click()
    assert "sent nowhere" in asked[0]
    assert not section.keep.isChecked()
    assert not keeps_viewing()
    assert not follower.viewing.recording
    answers("Keep it")
    section.keep.click()
    assert follower.viewing.recording
    wait_until(lambda: follower.viewing.views())

    # A look at 40× counts at every magnification, for the patches in its middle.
    press(viewer, "Alt+6")
    wait_until(lambda: follower.viewing.compare(follower.viewing.views())[-1].by_reader.any())
    section.show_state()
    finest = section.found[-1]
    assert 0 < finest.by_reader.sum() < len(finest.nodes)
    assert finest.by_cascade.sum() > 0
    assert "neither" in section.panel.figures.text()
    assert not section.panel.pictures[0].pixmap().isNull()

    section.on_map.setChecked(True)
    layer = viewer.layers["Who saw what 40×"]
    shown = {tuple(one) for one in layer.data.reshape(-1, 4)[:, :3].tolist()}
    magenta = tuple(int(SEEN_COLORS["you"][i : i + 2], 16) for i in (1, 3, 5))
    assert magenta in shown
    section.on_map.setChecked(False)
    assert "Who saw what 40×" not in names(viewer)

    # What is looked at leaves the list; here it stands still.
    known, before = follower.viewing.views(), viewer.scene.camera.center
    with monkeypatch.context() as still:
        still.setattr(follower.viewing, "views", lambda: known)
        press(viewer, "Alt+U")
        assert "unseen by both" in section.said.text()
        there = viewer.scene.camera.center
        assert there != before
        press(viewer, "Alt+U")
        assert viewer.scene.camera.center != there
        press(viewer, "Shift+Alt+U")
        assert viewer.scene.camera.center == there

    # The replay moves the camera, and is not the reader's own look.
    n_moves = len(follower.viewing.views())
    press(viewer, "Alt+R")
    assert follower.replaying
    assert section.replay.text() == "Stop"
    wait_until(lambda: not follower.replaying)
    assert section.replay.text() == "Replay"
    assert len(follower.viewing.views()) <= n_moves + 3

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    section.save.click()
    assert len((tmp_path / f"{phantom.name}.fixations.csv").read_text().splitlines()) > 1

    dock.session.close_slide()
    (table,) = tables(phantom)
    views, rest = decode_views(table.read_bytes())
    assert not rest
    assert (views[0].event, views[-1].event) == ("open", "close")
    assert phantom.stem not in table.read_text()
    assert not verify_folder(table).findings

    open_slide(dock, phantom, wait_until)
    assert len(follower.viewing.views()) >= len(views)
    answers("Delete")
    section.delete.click()
    section.keep.click()
    assert not follower.viewing.recording
    (table,) = tables(phantom)
    assert len(decode_views(table.read_bytes())[0]) < len(views)

"""napari's command palette and menus: what the window does, by name."""

import pytest
from napari._app_model import get_app_model
from qtpy.QtWidgets import QFileDialog

from napari_hagmil.widgets.desk import desk_of

pytestmark = pytest.mark.window


def execute(name):
    return get_app_model().commands.execute_command(f"napari-hagmil.{name}").result()


def test_commands_open_a_slide_go_to_their_tabs_and_stand_in_the_menus(
    viewer, phantom, answers, wait_until, monkeypatch
):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    answers(phantom)
    execute("open_slide")
    desk = desk_of(viewer)
    session = desk.review.session
    wait_until(lambda: session.state == "ready")
    assert session.slide.path == phantom
    for name, dock, tab in (
        ("review_regions", "HAG-MIL review", "queue"),
        ("export_review", "HAG-MIL review", "export"),
        ("finish", "HAG-MIL review", "conclusion"),
    ):
        execute(name)
        opened = desk.dock(dock)
        assert opened.tabs.currentWidget() is getattr(opened, tab)
    execute("keys")
    assert desk._sheet is not None
    assert desk._sheet.isVisible()
    execute("keys")
    execute("open_cohort")  # the dialog is left without a choice
    assert desk.dock("HAG-MIL cohort").isVisible()
    menus = get_app_model().menus
    titles = {
        item.command.title
        for name in ("file/io_utilities", "layers/classify", "layers/annotate")
        for item in menus.get_menu(f"napari/{name}")
        if hasattr(item, "command")
    }
    assert {
        "Open a slide… (HAG-MIL)",
        "Open a cohort… (HAG-MIL)",
        "Run the cascade on the open slide (HAG-MIL)",
        "Review the attention regions (HAG-MIL)",
    } <= titles
    for name in ("HAG-MIL", "HAG-MIL review", "HAG-MIL cohort"):
        desk.dock(name).close()

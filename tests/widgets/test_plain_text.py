"""What comes from outside is text in the window: no label and no tip takes it for HTML."""

import ast
import json
import shutil
from pathlib import Path

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QApplication, QLabel, QWidget
from test_cascade_dock import open_slide, run

import napari_hagmil
from napari_hagmil.review import Conclusion
from napari_hagmil.widgets.cascade.dock import CascadeDock
from napari_hagmil.widgets.review.dock import ReviewDock
from napari_hagmil.widgets.style import explain, plain_label, text_label

WIDGETS = Path(napari_hagmil.__file__).parent / "widgets"
PLANTED = "<img src=x><b>bold"


def calls(name):
    """Every call of that name in the widgets: module and node."""
    for path in sorted(WIDGETS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == name:
                yield path.relative_to(WIDGETS).as_posix(), node


def test_labels_are_made_in_one_place():
    assert {module for name in ("QLabel", "_Label") for module, _ in calls(name)} == {"style.py"}


def test_tips_of_more_than_a_constant_are_made_in_one_place():
    free = {
        module for module, node in calls("setToolTip") if not isinstance(node.args[0], ast.Constant)
    }
    assert free == {"style.py"}


def shown_as_html(widget):
    """Texts of a widget, and of all in it, that Qt reads as HTML and hold what was planted."""
    for one in [widget, *widget.findChildren(QWidget), *widget.findChildren(QAction)]:
        if "<img" in one.toolTip():
            yield f"tip of {one!r}: {one.toolTip()}"
        if (
            isinstance(one, QLabel)
            and one.textFormat() != Qt.TextFormat.PlainText
            and "<img" in one.text()
        ):
            yield f"{one!r}: {one.text()}"


@pytest.mark.window
def test_the_walk_finds_a_label_that_takes_html(qapp):
    parent = QWidget()
    label, safe = QLabel(PLANTED, parent), plain_label(PLANTED)
    safe.setParent(parent)
    explain(safe, PLANTED)
    assert len(list(shown_as_html(parent))) == 1
    label.setToolTip(PLANTED)
    assert len(list(shown_as_html(parent))) == 2


@pytest.mark.window
def test_no_line_ends_between_a_number_and_its_unit(qapp):
    said = "The model demo says: normal 5 %, tumor 95 %. 0.002 mm² in 36 s"
    label = text_label(said)
    assert label.text() == said
    label.setText(said)
    words = QLabel.text(label).split(" ")
    assert [one for one in words if one[0].isdigit()] == [
        "5\N{NO-BREAK SPACE}%,", "95\N{NO-BREAK SPACE}%.",
        "0.002\N{NO-BREAK SPACE}mm²", "36\N{NO-BREAK SPACE}s",
    ]  # fmt: skip


@pytest.mark.window
def test_names_of_slides_classes_regions_and_comments_are_text(
    viewer, phantom, scratch_bundle, tmp_path, wait_until
):
    model = Path(shutil.copytree(scratch_bundle, tmp_path / f"{PLANTED}.hagmil"))
    config = json.loads((model / "config.json").read_text())
    config |= {"name": PLANTED, "classes": [PLANTED, "b" + PLANTED]}
    (model / "config.json").write_text(json.dumps(config))
    slide = Path(shutil.copy(phantom, tmp_path / f"{PLANTED}.tiff"))
    dock, desk = CascadeDock(viewer), ReviewDock(viewer)
    for one in (dock, desk):
        viewer.window.add_dock_widget(one, name=type(one).__name__, area="right")
    dock.run_panel.add_model(str(model))
    open_slide(dock, slide, wait_until)
    run(dock, wait_until)
    review = dock.review
    review.add_class(PLANTED, (1, 2, 3))
    review.choose(review.state.regions[0].id)
    review.reclassify(PLANTED)
    review.comment(PLANTED)
    review.change(PLANTED, conclusion=Conclusion(PLANTED, PLANTED))
    QApplication.processEvents()
    assert any(PLANTED in label.text() for label in dock.findChildren(QLabel))
    found = [text for one in (dock, desk) for text in shown_as_html(one)]
    wait_until(lambda: not desk.queue.thumbnails._work.busy)
    desk.close()
    dock.close()
    assert found == []

"""The user's annotations: drawing tools, classes, and a list with measures."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from qtpy.QtCore import QItemSelection, QItemSelectionModel, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_hagmil.export.annotations_reader import ANNOTATION_FILES
from napari_hagmil.plugin.review_layers import MOST_SHAPES, shapes_of
from napari_hagmil.review import edit
from napari_hagmil.session import Review
from napari_hagmil.widgets.review.annotation_rows import AnnotationRows
from napari_hagmil.widgets.review.class_box import ClassBox
from napari_hagmil.widgets.review.tools import ReviewTools
from napari_hagmil.widgets.style import QUIET_COLOR, explain, plain_label, text_label

_TOOLS = {
    "polygon": ("Polygon", "Shift-O", "Click each corner; double-click, or Enter, at the last."),
    "freehand": ("Freehand", "Shift-F", "Draw around it with the button held down."),
    "rectangle": ("Rectangle", "Shift-B", "Drag from one corner to the other."),
    "point": ("Point", "Shift-X", "Click each place."),
    "ruler": ("Ruler", "Shift-E", "Drag from one end to the other: the length is in µm."),
}
_IDLE = (
    "Choose a tool; Esc leaves it. To move corners, select the layer Annotations and use napari's "
    "own tools."
)
_MANY = (
    f"More than {MOST_SHAPES} outlines are drawn as lines: they have no labels, and their corners "
    "cannot be moved."
)


class DrawTab(QWidget):  # type: ignore[misc]
    """Lists the annotations, and offers the drawing tools.

    Parameters
    ----------
    review : Review
        Whose annotations are listed.
    tools : ReviewTools
        Whose tool is shown.

    Signals
    -------
    tool_asked : str
        A kind of annotation is to be drawn, or no longer.
    import_asked : str
        A file whose annotations are to be imported.
    """

    tool_asked = Signal(str)
    import_asked = Signal(str)

    def __init__(self, review: Review, tools: ReviewTools) -> None:
        super().__init__()
        self.review, self.drawing_tools = review, tools
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        column.addLayout(self._make_tools())
        self.hint = text_label(_IDLE, color=QUIET_COLOR)
        # Room for two lines whatever it says, so that the list below does not jump.
        self.hint.setMinimumHeight(52)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        column.addWidget(self.hint)
        self.list, self.rows = QListView(), AnnotationRows()
        self.list.setModel(self.rows)
        self.list.setUniformItemSizes(True)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.selectionModel().selectionChanged.connect(lambda *_: self._show_chosen())
        column.addWidget(self.list, 1)
        column.addLayout(self._make_edits())
        review.changed.connect(self.show_state)
        tools.changed.connect(self.show_state)
        self.show_state()

    def show_state(self) -> None:
        """Show the state of the review."""
        state = self.review.state
        self.path_class.show_classes(state.classes, self.review.path_class)
        for kind, button in self.tools.items():
            button.setChecked(self.drawing_tools.drawing.kind == kind)
            button.setEnabled(self.review.session.slide is not None)
        self.bring.setEnabled(self.review.session.slide is not None)
        tool = _TOOLS.get(self.drawing_tools.drawing.kind)
        many = len(shapes_of(state.annotations)) > MOST_SHAPES
        self.hint.setText(tool[2] if tool else _MANY if many else _IDLE)
        chosen, slide = set(self._chosen()), self.review.session.slide
        if self.rows.show(state, slide.mpp if slide else None):
            self._select(chosen)
        self._show_chosen()

    def close_work(self) -> None:
        """Stop listening to the review."""
        self.review.changed.disconnect(self.show_state)
        self.drawing_tools.changed.disconnect(self.show_state)

    def _select(self, ids: Collection[str]) -> None:
        """Select rows again: Qt forgets which they were when the list changes."""
        wanted = QItemSelection()
        for row, one in enumerate(self.rows.annotations):
            if one.id in ids:
                wanted.select(self.rows.index(row), self.rows.index(row))
        with signals_blocked(self.list.selectionModel()):
            self.list.selectionModel().select(wanted, QItemSelectionModel.SelectionFlag.Select)

    def _make_tools(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        self.tools: dict[str, QPushButton] = {}
        for i, (kind, (label, key, tip)) in enumerate(_TOOLS.items()):
            button = QPushButton(label, checkable=True)
            explain(button, f"{tip} ({key})")
            button.clicked.connect(lambda _=False, kind=kind: self.tool_asked.emit(kind))
            self.tools[kind] = button
            grid.addWidget(button, i // 3, i % 3)
        row = QHBoxLayout()
        row.addWidget(plain_label("Class"))
        self.path_class = ClassBox()
        self.path_class.setToolTip("Class of what is drawn next, and of the rows selected below")
        row.addWidget(self.path_class, 1)
        self.bring = QPushButton("Import…")
        self.bring.setToolTip("Annotations from a GeoJSON file; or drop the file on a dock")
        self.bring.clicked.connect(self._ask_path)
        row.addWidget(self.bring)
        grid.addLayout(row, 2, 0, 1, 3)
        self.path_class.picked.connect(self._set_class)
        self.path_class.created.connect(self._create_class)
        return grid

    def _make_edits(self) -> QHBoxLayout:
        self.comment, self.delete = QLineEdit(), QPushButton("Delete")
        self.comment.setPlaceholderText("Comment on the selected rows")
        self.comment.textEdited.connect(self._comment)
        self.delete.clicked.connect(self._delete)
        row = QHBoxLayout()
        row.addWidget(self.comment, 1)
        row.addWidget(self.delete)
        return row

    def _ask_path(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Import annotations", str(Path.home()), ANNOTATION_FILES
        )
        if path:
            self.import_asked.emit(path)

    def _chosen(self) -> list[str]:
        rows = sorted(index.row() for index in self.list.selectedIndexes())
        return [self.rows.annotations[row].id for row in rows]

    def _show_chosen(self) -> None:
        chosen = set(self._chosen())
        self.delete.setEnabled(bool(chosen))
        self.comment.setEnabled(bool(chosen))
        said = {one.comment for one in self.review.state.annotations if one.id in chosen}
        text = said.pop() if len(said) == 1 else ""
        if self.comment.text() != text:
            self.comment.setText(text)

    def _set_class(self, name: str) -> None:
        self.review.set_drawing_class(name)
        self._edit(f"class {name or 'none'}", path_class=name)

    def _create_class(self, name: str, color: tuple[int, int, int]) -> None:
        self.review.add_class(name, color)
        self._set_class(name)

    def _comment(self, text: str) -> None:
        self._edit("comment", coalesce=f"comment {self._chosen()}", comment=text)

    def _edit(self, action: str, *, coalesce: str = "", **members: str) -> None:
        chosen = set(self._chosen())
        if chosen:
            drawn = tuple(
                replace(one, **members) if one.id in chosen else one  # type: ignore[arg-type]
                for one in self.review.state.annotations
            )
            self.review.change(action, coalesce=coalesce, annotations=drawn)

    def _delete(self) -> None:
        fields = edit.without_annotations(self.review.state, self._chosen())
        self.review.change("delete annotation", **fields)

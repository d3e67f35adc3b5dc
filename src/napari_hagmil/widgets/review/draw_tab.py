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
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_hagmil.export.annotations_reader import ANNOTATION_FILES
from napari_hagmil.session import Review
from napari_hagmil.widgets.review.annotation_rows import AnnotationRows
from napari_hagmil.widgets.review.class_box import ClassBox
from napari_hagmil.widgets.review.hand.hand import HAND_TOOLS, LARGEST, SMALLEST
from napari_hagmil.widgets.review.hand.icons import FaceButton
from napari_hagmil.widgets.review.keys import REVIEW_KEYS
from napari_hagmil.widgets.review.tools import ReviewTools
from napari_hagmil.widgets.style import QUIET_COLOR, plain_label, text_label

#: Titles and hints of the tools, in the order of their buttons.
_TOOLS = {
    "select": ("Arrow", "Click an annotation, Shift adds; drag it, or a corner. Double-click "
               "a side for a new corner; Alt-click takes one away."),
    "brush": ("Brush", "Paint; on what is picked it goes on. Alt erases; [ and ] change its size."),
    "eraser": ("Eraser", "Take away, make holes. Alt paints; [ and ] change its size."),
    "wand": ("Magic wand", "Press on what looks alike; drag right for more. Alt takes away."),
    "polygon": ("Polygon", "Click each corner; double-click, or Enter, at the last."),
    "freehand": ("Freehand", "Draw around it with the button held down."),
    "rectangle": ("Rectangle", "Drag from one corner to the other."),
    "ellipse": ("Ellipse", "Drag from one corner of its box to the other."),
    "polyline": ("Line", "Click each place; double-click, or Enter, at the last."),
    "point": ("Point", "Click each place."),
    "ruler": ("Ruler", "Drag from one end to the other: the length is in µm."),
}  # fmt: skip
#: Buttons in a row.
_IN_A_ROW = 7
#: What is done to the picked annotations.
_EDITS = {
    "unite": ("Unite", "one area of all that are picked"),
    "subtract": ("Subtract", "take the others out of the area picked first"),
    "intersect": ("Intersect", "keep what the picked areas share"),
    "fill_holes": ("Fill holes", "of the picked areas"),
    "nest": ("Nest", "make it a part of the area around it; again: of none"),
    "duplicate": ("Duplicate", "a copy a little beside it"),
    "lock": ("Lock", "keep outline and place as they are; again: unlock"),
}
_IDLE = (
    "Choose a tool; Esc leaves it. Pick rows below, or annotations with the arrow, and combine "
    "them with the buttons above. Nothing snaps."
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
        What a key of that name does is to be done: take a tool, or change what is picked.
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
        self.list.selectionModel().selectionChanged.connect(lambda *_: self._pick())
        column.addWidget(self.list, 1)
        column.addLayout(self._make_edits())
        review.changed.connect(self.show_state)
        tools.changed.connect(self.show_state)
        tools.drawn.changed.connect(self._show_picked)
        self.show_state()

    def show_state(self) -> None:
        """Show the state of the review."""
        state = self.review.state
        self.path_class.show_classes(state.classes, self.review.path_class)
        is_open = self.review.session.slide is not None
        for kind, button in self.tools.items():
            button.setChecked(self.drawing_tools.kind == kind)
            button.setEnabled(is_open)
        self.bring.setEnabled(is_open)
        with signals_blocked(self.size):
            self.size.setValue(round(self.drawing_tools.hand.size_px))
        self.hint.setText(_TOOLS.get(self.drawing_tools.kind, ("", _IDLE))[1])
        slide = self.review.session.slide
        if self.rows.show(state, slide.mpp if slide else None):
            self._show_picked()
        else:
            self._show_chosen()

    def close_work(self) -> None:
        """Stop listening to the review."""
        self.review.changed.disconnect(self.show_state)
        self.drawing_tools.changed.disconnect(self.show_state)
        self.drawing_tools.drawn.changed.disconnect(self._show_picked)

    def _pick(self) -> None:
        """Pick the selected rows: those that were picked first stay the first."""
        chosen, before = self._chosen(), self.drawing_tools.drawn.picked
        kept = [one for one in before if one in set(chosen)]
        self.drawing_tools.drawn.pick((*kept, *(one for one in chosen if one not in set(kept))))
        self._show_chosen()

    def _show_picked(self) -> None:
        """Select the rows of what is picked."""
        picked = set(self.drawing_tools.drawn.picked)
        if picked != set(self._chosen()):
            self._select(picked)
        self._show_chosen()

    def _select(self, ids: Collection[str]) -> None:
        """Select rows again: Qt forgets which they were when the list changes."""
        wanted = QItemSelection()
        for row, one in enumerate(self.rows.annotations):
            if one.id in ids:
                wanted.select(self.rows.index(row), self.rows.index(row))
        with signals_blocked(self.list.selectionModel()):
            how = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.list.selectionModel().select(wanted, how)
        self.list.viewport().update()

    def _make_tools(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(3)
        self.tools = {
            kind: self._button(kind, *said, checkable=True) for kind, said in _TOOLS.items()
        }
        self.edits = {name: self._button(name, *said) for name, said in _EDITS.items()}
        self.size = QSlider(Qt.Orientation.Horizontal, minimum=SMALLEST, maximum=LARGEST)
        self.size.setAccessibleName("Size of the brush")
        self.size.setToolTip(
            "Size of the brush on the screen, whatever the magnification ([ and ])"
        )
        self.size.valueChanged.connect(self._resize)
        grid.addWidget(self.size, 0, len(HAND_TOOLS), 1, _IN_A_ROW - len(HAND_TOOLS))
        buttons = [*self.tools.values(), *self.edits.values()]
        for number, button in enumerate(buttons):
            # The first row is the hand's, and has the slider at its end.
            at = number if number < len(HAND_TOOLS) else number + _IN_A_ROW - len(HAND_TOOLS)
            grid.addWidget(button, at // _IN_A_ROW, at % _IN_A_ROW)
        row = QHBoxLayout()
        row.addWidget(plain_label("Class"))
        self.path_class = ClassBox()
        self.path_class.setToolTip("Class of what is drawn next, and of the rows selected below")
        row.addWidget(self.path_class, 1)
        self.bring = QPushButton("Import…")
        self.bring.setToolTip("Annotations from a GeoJSON file; or drop the file on a dock")
        self.bring.clicked.connect(self._ask_path)
        row.addWidget(self.bring)
        grid.addLayout(row, 3, 0, 1, _IN_A_ROW)
        self.path_class.picked.connect(self._set_class)
        self.path_class.created.connect(self._create_class)
        return grid

    def _button(self, name: str, title: str, tip: str, *, checkable: bool = False) -> FaceButton:
        key = REVIEW_KEYS[name].key
        button = FaceButton(name, title, f"{tip} ({key})", checkable=checkable)
        button.clicked.connect(lambda _=False: self.tool_asked.emit(name))
        return button

    def _resize(self, size: int) -> None:
        self.drawing_tools.hand.size_px = size

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
        for button in self.edits.values():
            button.setEnabled(bool(chosen))
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
        self.drawing_tools.drawn.delete()

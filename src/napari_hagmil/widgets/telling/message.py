"""A sentence at the foot of a dock that goes by itself."""

from __future__ import annotations

from functools import partial

from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt.utils import qdebounced

from napari_hagmil.widgets.style import show_text, text_label

#: How long a message stays, ms.
_STAY = 8000


class Message(QWidget):  # type: ignore[misc]
    """What was just done, or why it was not."""

    def __init__(self) -> None:
        super().__init__()
        self.label = text_label()
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 0, 6, 0)
        column.addWidget(self.label)
        self._clear = qdebounced(partial(show_text, self.label, ""), timeout=_STAY)

    def say(self, words: str) -> None:
        """Show a sentence for some seconds."""
        show_text(self.label, words)
        self._clear()

    def clear(self, *_: object) -> None:
        """Take the sentence away: what it was about is gone."""
        show_text(self.label, "")

    def text(self) -> str:
        """The sentence that is shown."""
        return str(self.label.text())

    def close_work(self) -> None:
        """Forget the sentence."""
        self._clear.cancel()

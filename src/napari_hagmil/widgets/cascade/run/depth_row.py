"""One depth of the findings: its prediction, its patches, and how its attention is shown."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import QRectF, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QSlider, QWidget
from superqt.utils import signals_blocked

from napari_hagmil.cascade import Stage
from napari_hagmil.session.numbers import duration, percent
from napari_hagmil.widgets.preferences import preferred_opacity
from napari_hagmil.widgets.style import explain, plain_label, quiet_label, rich_label

#: Okabe and Ito's colours, which colour-blind people can tell apart; readable on dark grey.
CLASS_COLORS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")


@dataclass(frozen=True)
class DepthFindings:
    """What a run found at one depth.

    Attributes
    ----------
    label : str
        The magnification.
    stage : Stage
        The nodes, their attention and the class probabilities.
    seconds : float or None
        Time to read, encode and judge the patches; None where it is not known.
    classes : tuple of str
        In the order of the probabilities.
    called : str
        The predicted class.
    unfit : str
        Why the model is not for this slide; empty where nothing says so.
    """

    label: str
    stage: Stage
    seconds: float | None
    classes: tuple[str, ...]
    called: str
    unfit: str = ""

    @property
    def verdict(self) -> str:
        """The predicted class and its probability."""
        return f"{self.called} {percent(self.stage.probabilities[self.classes.index(self.called)])}"


class ProbabilityBar(QWidget):  # type: ignore[misc]
    """Class probabilities as one bar, in colours that colour-blind people can tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(8)
        self.setMinimumWidth(60)
        self.shares: tuple[float, ...] = ()

    def show_shares(self, shares: tuple[float, ...], classes: tuple[str, ...]) -> None:
        """Draw one piece per class."""
        self.shares = shares
        explain(
            self, "\n".join(f"{name} {percent(p)}" for name, p in zip(classes, shares, strict=True))
        )
        self.update()

    def paintEvent(self, event: object) -> None:  # noqa: N802
        """Paint the pieces side by side."""
        painter, left = QPainter(self), 0.0
        for i, share in enumerate(self.shares):
            width = share * self.width()
            color = QColor(CLASS_COLORS[i % len(CLASS_COLORS)])
            painter.fillRect(QRectF(left, 0, width, self.height()), color)
            left += width
        painter.end()


class DepthRow(QWidget):  # type: ignore[misc]
    """Counts, class probabilities, and the sliders of one depth.

    Signals
    -------
    shown : bool
        Its attention is to be shown or hidden.
    opacity_changed, threshold_changed : float
        0 to 1, and the percentile below which the slide is left clear.
    """

    shown = Signal(bool)
    opacity_changed = Signal(float)
    threshold_changed = Signal(float)

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.box, self.counts, self.verdict = QCheckBox(), rich_label(), plain_label()
        self.bar = ProbabilityBar()
        self.opacity = _slider(100, round(100 * preferred_opacity()), "Opacity of the attention")
        self.threshold = _slider(99, 0, "Hide attention below this percentile")
        self.above = plain_label("all")
        self._lay_out()
        self.box.setChecked(True)
        self.box.toggled.connect(self.shown)
        self._opacity_set = False
        self.opacity.valueChanged.connect(self._opacity_moved)
        self.threshold.valueChanged.connect(self._threshold_moved)

    def show_findings(self, found: DepthFindings) -> None:
        """Show what a run found at this depth."""
        stage, followed = found.stage, int(found.stage.followed.sum())
        self.box.setText(found.label)
        explain(self.box, f"Show the attention at {found.label}")
        followed_text = f" · <b>{followed:,} followed</b>" if followed else ""
        took = "" if found.seconds is None else f" · {duration(found.seconds)}"
        unread = f" · {len(stage.unread):,} unread" if len(stage.unread) else ""
        self.counts.setText(f"{len(stage.nodes):,} looked at{followed_text}{unread}")
        self.verdict.setText(f"{found.verdict}{took}")
        self.bar.show_shares(tuple(map(float, stage.probabilities)), found.classes)

    def show_opacity(self, opacity: float) -> None:
        """Take another preferred opacity, unless one was set by hand."""
        if not self._opacity_set:
            with signals_blocked(self.opacity):
                self.opacity.setValue(round(100 * opacity))

    def _opacity_moved(self, value: int) -> None:
        self._opacity_set = True
        self.opacity_changed.emit(value / 100)

    def _lay_out(self) -> None:
        for label in (self.counts, self.verdict):
            label.setWordWrap(True)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setVerticalSpacing(2)
        grid.addWidget(self.box, 0, 0)
        grid.addWidget(self.counts, 0, 1)
        grid.addWidget(self.bar, 1, 0)
        grid.addWidget(self.verdict, 1, 1)
        sliders = QHBoxLayout()
        for widget, stretch in (
            (quiet_label("Opacity"), 0),
            (self.opacity, 2),
            (quiet_label("from"), 0),
            (self.threshold, 2),
            (self.above, 0),
        ):
            sliders.addWidget(widget, stretch)
        grid.addLayout(sliders, 2, 0, 1, 2)
        grid.setColumnStretch(1, 1)

    def _threshold_moved(self, value: int) -> None:
        self.above.setText(f"{value} %" if value else "all")
        self.threshold_changed.emit(float(value))


def _slider(most: int, value: int, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, most)
    slider.setValue(value)
    explain(slider, tip)
    slider.setMinimumWidth(40)
    return slider

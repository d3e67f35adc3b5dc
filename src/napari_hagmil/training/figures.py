"""Figures of an evaluation, as PNG. matplotlib is imported when the first is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hagmil.training.calibration import Calibration
from napari_hagmil.training.classification import Labels, Probabilities, class_auc, roc_curve
from napari_hagmil.training.summary import BudgetPoint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Told apart by people with any colour vision (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")

_GREY = "#777777"


def roc_png(classes: Sequence[str], labels: Labels, probabilities: Probabilities) -> bytes:
    """ROC of each class against all others; of two classes, of the last."""
    figure, axes = _figure("False positive rate", "True positive rate")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":")
    areas = class_auc(labels, probabilities)
    shown = range(len(classes)) if len(classes) > 2 else [1]
    for colour, c in enumerate(shown):
        if np.isnan(areas[c]):
            continue
        curve = roc_curve(labels == c, probabilities[:, c])
        axes.plot(
            curve.false_positive_rate,
            curve.true_positive_rate,
            color=COLOURS[colour % len(COLOURS)],
            linewidth=2,
            label=f"{classes[c]}: AUC {areas[c]:.3f}",
        )
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(loc="lower right", frameon=False)
    return _png(figure)


def reliability_png(table: Calibration) -> bytes:
    """How often predictions are right, by how sure they are; and how many there are."""
    figure, axes = _figure("Probability of the most probable class", "Share that was right")
    width = float(table.edges[1] - table.edges[0])
    filled = table.counts > 0
    centres = (table.edges[:-1] + table.edges[1:]) / 2
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":", label="perfect")
    axes.bar(centres[filled], table.accuracy[filled], 0.92 * width, color=COLOURS[0], alpha=0.35)
    axes.plot(
        table.confidence[filled],
        table.accuracy[filled],
        "o-",
        color=COLOURS[0],
        label=f"model: ECE {table.ece:.3f}",
    )
    for x, n in zip(centres[filled], table.counts[filled], strict=True):
        axes.annotate(f"n={n}", (x, 0.02), ha="center", fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    _legend_above(axes)
    return _png(figure)


def froc_png(budgets: Sequence[BudgetPoint], tissue: float) -> bytes:
    """Lesions met, and AUC, against patches encoded, over budgets of the cascade."""
    figure, axes = _figure("Patches encoded per slide", "Share of lesions met, AUC")
    encoded = [point.encoded for point in budgets]
    series = {
        "lesions met at the deciding depth": [point.lesion_recall for point in budgets],
        "AUC": [point.auc for point in budgets],
    }
    for colour, (label, values) in zip(COLOURS, series.items(), strict=False):
        axes.plot(encoded, values, "o-", color=colour, linewidth=2, label=label)
    for point in budgets:
        axes.annotate(
            f"{point.factor:g} × k",
            (point.encoded, point.lesion_recall),
            (6, -11),
            textcoords="offset points",
            fontsize=8,
        )
    axes.axvline(tissue, color=_GREY, linewidth=1, linestyle=":", label="all tissue, all depths")
    axes.set(xscale="log", ylim=(0, 1.02))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _legend_above(axes)
    return _png(figure)


def _figure(x: str, y: str) -> tuple[Figure, Axes]:
    # Without pyplot: no window system is chosen, and nothing global is changed.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 5.0), dpi=150, layout="constrained")
    axes: Any = figure.add_subplot()
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _legend_above(axes: Axes) -> None:
    """A legend beside the data, wherever that lies."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    # The program's version would make equal figures different files.
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()

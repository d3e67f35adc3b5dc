"""Figures of an evaluation, as PNG. matplotlib is imported when the first is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_hagmil.escaping import in_figure
from napari_hagmil.evaluation.calibration import Calibration
from napari_hagmil.evaluation.classification import Labels, Probabilities, class_auc, roc_curve
from napari_hagmil.evaluation.summary import BudgetPoint

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
            label=in_figure(f"{classes[c]}: AUC {areas[c]:.3f}"),
        )
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    if np.isnan(areas[list(shown)]).all():
        axes.text(0.5, 0.25, "not defined: all slides are of one class", ha="center")
    else:
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
    from matplotlib.ticker import LogLocator, NullLocator

    figure, axes = _figure("Patches encoded per slide", "Share of lesions met, AUC")
    encoded = [point.encoded for point in budgets]
    recall = [point.lesion_recall for point in budgets]
    line: dict[str, Any] = {"linewidth": 2, "markersize": 7}
    axes.plot(encoded, recall, "o-", color=COLOURS[0], label="lesions met", **line)
    # Dashed and hollow: where both are perfect, both are seen.
    areas = [point.auc for point in budgets]
    axes.plot(encoded, areas, "o--", color=COLOURS[1], markerfacecolor="none", label="AUC", **line)
    for x in dict.fromkeys(encoded):
        here = [point for point in budgets if point.encoded == x]
        label = f"{', '.join(f'{point.factor:g}' for point in here)} × k"
        axes.annotate(
            label, (x, here[0].lesion_recall), (4, -14), textcoords="offset points", fontsize=8
        )
    axes.axvline(tissue, color=_GREY, linewidth=1, linestyle=":", label="all tissue, all depths")
    axes.set(xscale="log", ylim=(0, 1.02))
    axes.margins(x=0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
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

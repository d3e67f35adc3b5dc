"""Write the tables and curves of a run: epochs, losses, predictions of the test slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from napari_hagmil.escaping import in_figure
from napari_hagmil.files import replacing, write_csv
from napari_hagmil.models import BundleConfig
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.training.predictions import Predictions
from napari_hagmil.training.run_state import DepthEpoch
from napari_hagmil.training.training_slide import CohortSlide


def write_epochs(path: Path, epochs: Sequence[DepthEpoch]) -> None:
    """One row per epoch and depth; depth −1 is a teacher's."""
    header = ("depth", "epoch", "train_loss", "val_loss", "val_auc", "best", "seconds")
    rows = [(one.depth, *one.epoch) for one in epochs]
    write_csv(path, header, rows)


def write_predictions(
    path: Path, slides: Sequence[CohortSlide], config: BundleConfig, predictions: Predictions
) -> None:
    """One row per test slide: its label, the probabilities at the finest depth, the cost.

    Of an endpoint what was measured and what the model says of it.
    """
    told, columns = (_readings if config.endpoint else _classes)(slides, config, predictions)
    rows = [
        (slide.name, *cells, patches, RESEARCH_USE)
        for slide, cells, patches in zip(slides, columns, predictions.patches, strict=True)
    ]
    write_csv(path, ("slide", *told, "patches", "purpose"), rows)


def _classes(
    slides: Sequence[CohortSlide], config: BundleConfig, predictions: Predictions
) -> tuple[list[str], list[list[str]]]:
    header = ["label", *(f"p_{name}" for name in config.classes)]
    return header, [
        [config.classes[slide.label], *(f"{p:.6f}" for p in probabilities)]
        for slide, probabilities in zip(slides, predictions.decisive, strict=True)
    ]


def _readings(
    slides: Sequence[CohortSlide], config: BundleConfig, predictions: Predictions
) -> tuple[list[str], list[list[str]]]:
    endpoint = config.endpoint
    if endpoint is None:
        return [], [[] for _ in slides]
    read = endpoint.readings(predictions.outputs)
    return [*endpoint.columns, *read], [
        [*(f"{value:g}" for value in slide.measured), *(f"{x[i]:.6g}" for x in read.values())]
        for i, slide in enumerate(slides)
    ]


def write_curves(path: Path, title: str, epochs: Sequence[DepthEpoch]) -> None:
    """Training and validation loss of every depth, and where the best epoch lies, as PNG."""
    depths = sorted({one.depth for one in epochs})
    figure = Figure(figsize=(3.2 * max(len(depths), 1), 2.8), layout="constrained")
    figure.suptitle(in_figure(title))
    for i, depth in enumerate(depths):
        axes = figure.add_subplot(1, len(depths), i + 1)
        rows = [one.epoch for one in epochs if one.depth == depth]
        numbers = [row.number for row in rows]
        axes.plot(numbers, [row.train_loss for row in rows], color="#0072B2", label="training")
        axes.plot(numbers, [row.val_loss for row in rows], color="#D55E00", label="validation")
        best = max((row.number for row in rows if row.is_best), default=1)
        axes.axvline(best, color="0.6", linewidth=0.8, linestyle="--", label=f"best, {best}")
        axes.set_title("teacher" if depth < 0 else f"depth {depth}")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss" if i == 0 else "")
        axes.legend(frameon=False, fontsize=8)
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=120)

"""Training: one stage on its bags, and a whole cascade, coarse to fine."""

from napari_hagmil.training.bags import Bag, joined, standardised
from napari_hagmil.training.cascade import (
    CascadeTraining,
    Progress,
    Selection,
    TrainingSlide,
    fit_stage,
    next_nodes,
    train_cascade,
)
from napari_hagmil.training.loop import Epoch, TrainConfig, predict, train_stage
from napari_hagmil.training.metrics import Interval, accuracy, auc, bootstrap, youden_threshold
from napari_hagmil.training.standardise import Standardiser, fold_into
from napari_hagmil.training.start import start_unmixed

__all__ = [
    "Bag",
    "CascadeTraining",
    "Epoch",
    "Interval",
    "Progress",
    "Selection",
    "Standardiser",
    "TrainConfig",
    "TrainingSlide",
    "accuracy",
    "auc",
    "bootstrap",
    "fit_stage",
    "fold_into",
    "joined",
    "next_nodes",
    "predict",
    "standardised",
    "start_unmixed",
    "train_cascade",
    "train_stage",
    "youden_threshold",
]

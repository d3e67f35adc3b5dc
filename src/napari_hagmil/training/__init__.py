"""Training: one stage on its bags, and a whole cascade, coarse to fine."""

from napari_hagmil.training.bags import Bag, joined, standardised
from napari_hagmil.training.cascade import (
    CascadeTraining,
    Progress,
    Selection,
    TrainingSlide,
    train_cascade,
)
from napari_hagmil.training.loop import Epoch, TrainConfig, predict, train_stage
from napari_hagmil.training.metrics import Interval, accuracy, auc, bootstrap, youden_threshold
from napari_hagmil.training.standardise import Standardiser, fold_into

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
    "fold_into",
    "joined",
    "predict",
    "standardised",
    "train_cascade",
    "train_stage",
    "youden_threshold",
]

"""Training: one stage on its bags, a whole cascade, and every method of a protocol."""

from napari_hagmil.evaluation.metrics import Interval, accuracy, auc, bootstrap, youden_threshold
from napari_hagmil.models.initialisation import start_unmixed
from napari_hagmil.training.bags import Bag, joined, standardised
from napari_hagmil.training.checkpoint import Checkpoint
from napari_hagmil.training.guide import Guide, guide_from
from napari_hagmil.training.joint import train_jointly
from napari_hagmil.training.loop import Epoch, TrainConfig, predict, train_stage
from napari_hagmil.training.slides import CohortSlide, TrainingSlide
from napari_hagmil.training.stagewise import (
    CascadeTraining,
    Progress,
    Selection,
    fit_stage,
    next_nodes,
    train_cascade,
)
from napari_hagmil.training.standardise import Standardiser

__all__ = [
    "Bag",
    "CascadeTraining",
    "Checkpoint",
    "CohortSlide",
    "Epoch",
    "Guide",
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
    "guide_from",
    "joined",
    "next_nodes",
    "predict",
    "standardised",
    "start_unmixed",
    "train_cascade",
    "train_jointly",
    "train_stage",
    "youden_threshold",
]

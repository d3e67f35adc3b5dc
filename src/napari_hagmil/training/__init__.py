"""Training: a stage on its bags, a whole cascade, every method of a protocol."""

from napari_hagmil.training.bags import Bag, Standardiser, join_bags, standardised
from napari_hagmil.training.checkpoint import Checkpoint, CheckpointFolder
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.guide import Guide, guide_from
from napari_hagmil.training.joint import train_jointly
from napari_hagmil.training.loop import predict, train_stage
from napari_hagmil.training.run_state import DepthEpoch, Epoch
from napari_hagmil.training.stagewise import (
    CascadeTraining,
    Selection,
    fit_stage,
    next_nodes,
    train_cascade,
)
from napari_hagmil.training.training_slide import CohortSlide, TrainingSlide

__all__ = [
    "Bag",
    "CascadeTraining",
    "Checkpoint",
    "CheckpointFolder",
    "CohortSlide",
    "DepthEpoch",
    "Epoch",
    "Guide",
    "Selection",
    "Standardiser",
    "TrainConfig",
    "TrainingSlide",
    "fit_stage",
    "guide_from",
    "join_bags",
    "next_nodes",
    "predict",
    "standardised",
    "train_cascade",
    "train_jointly",
    "train_stage",
]

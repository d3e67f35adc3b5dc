"""A method of a protocol: its model, the depths it works on, and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from napari_hagmil.models import EncoderFacts
from napari_hagmil.models.config import Children, Context
from napari_hagmil.training.config import TrainConfig

Schedule = Literal["joint", "stagewise", "guided", "guided jointly"]
GUIDED: tuple[Schedule, ...] = ("guided", "guided jointly")
JOINT: tuple[Schedule, ...] = ("joint", "guided jointly")
DecidingDepths = Literal["finest", "all depths"]


@dataclass(frozen=True, slots=True)
class FeatureFacts:
    """The features of a cohort, as its bundles record them.

    Attributes
    ----------
    encoder : EncoderFacts
    patch_size : int
    mpp : tuple of float
        Of every depth, coarse to fine.
    classes : tuple of str
    n_shared : int
        Of the depths, how many from the coarsest on every slide has; 0: all. A slide scanned at
        20× ends before the others' last.
    """

    encoder: EncoderFacts
    patch_size: int
    mpp: tuple[float, ...]
    classes: tuple[str, ...]
    n_shared: int = 0


@dataclass(frozen=True)
class Method:
    """One row of a protocol's tables.

    Attributes
    ----------
    name : str
    model : str
        "iat", or the name of a baseline.
    options : mapping
        Of the model's constructor.
    depths : tuple of int
        Consecutive ones, coarse to fine; none given: all for "iat", the finest that every slide
        has for a baseline.
    schedule : str
        "joint": the paper's, all depths at once. "stagewise": one after the other. "guided":
        stagewise, towards the attention of a teacher that reads every finest instance, see
        `training.guide`. "guided jointly": the joint schedule, towards that attention.
    context : "none" or "ancestors"
        See `BundleConfig`.
    children : "tissue" or "all"
        See `BundleConfig`; the paper's is "all".
    teacher_context : "ancestors" or "none"
        What an instance knows besides itself when a teacher reads it ("guided" only).
    decision : "finest" or "all depths"
        Whether the finest depth decides, as in the paper, or all that were read, weighed on the
        validation slides: see `training.depth_weights`.
    budget, training_budget, random : tuple of int
        k in use; k in training, the same unless given; nodes drawn at random besides, in training.
    first_budget : tuple of int
        k of the first epoch, from which that of training is reached in `narrowing` epochs (joint
        schedules only): see `training.joint`.
    narrowing : int
    sweep : tuple of tuple of int
        Budgets that it is read with besides its own: the paper's Figure 3; by default the
        protocol's.
    choose_budget : bool
        Read with the one of its own budget and those of the sweep that has the highest AUC on the
        validation slides; of equal ones, the cheapest.
    training : TrainConfig
        Of every depth; label smoothing is left out at the finest.
    standardise, unmixed, glorot : bool
        Learn on standardised features; start with instances unmixed; start linear layers as
        Glorot and Bengio do: see `models.initialisation`.
    group : str
        Of the table that the row stands in: "method", "ablation" or "control".
    """

    name: str
    model: str = "iat"
    options: Mapping[str, Any] = field(default_factory=dict)
    depths: tuple[int, ...] = ()
    schedule: Schedule = "joint"
    context: Context = "none"
    children: Children = "tissue"
    teacher_context: Context = "ancestors"
    decision: DecidingDepths = "finest"
    budget: tuple[int, ...] = ()
    training_budget: tuple[int, ...] = ()
    random: tuple[int, ...] = ()
    first_budget: tuple[int, ...] = ()
    narrowing: int = 0
    sweep: tuple[tuple[int, ...], ...] = ()
    choose_budget: bool = False
    training: TrainConfig = field(default_factory=TrainConfig)
    standardise: bool = False
    unmixed: bool = False
    glorot: bool = False
    group: str = "method"

    @property
    def is_cascade(self) -> bool:
        """Whether it hands nodes on, as far as its settings say: features may have one depth."""
        return len(self.depths) > 1 if self.depths else self.model == "iat"

    def on(self, n_depths: int, n_shared: int = 0) -> tuple[int, ...]:
        """The depths that the method works on, of a cohort that has `n_depths`.

        `n_shared` of them every slide has; by default all.
        """
        finest = (n_shared or n_depths) - 1
        return self.depths or tuple(range(n_depths) if self.model == "iat" else (finest,))

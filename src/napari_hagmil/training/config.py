"""The configuration of one stage's training, validated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from napari_hagmil.models import BagModel, LossConfig
from napari_hagmil.training.optimisers import Optimiser, OptimiserConfig, Stepper
from napari_hagmil.training.step import Precision

Validated = Literal["total", "bag"]


@dataclass(frozen=True)
class TrainConfig:
    """The settings of one stage's training.

    Attributes
    ----------
    epochs, patience : int
        Most epochs; epochs without a lower validation loss after which training ends.
    min_epochs : int
        Epochs before which it does not end.
    validated : str
        Which validation loss counts: "total", or the cross-entropy of the "bag" alone.
    learning_rate, weight_decay : float
        Of the optimiser.
    optimiser : str
        "adam", the paper's; "sgd" with Nesterov's momentum of 0.9; "lookahead radam", TransMIL's.
    rate_decay : float
        After t steps the learning rate is divided by 1 + rate_decay · t.
    rate_epochs : tuple of int
        Epochs after which the learning rate is multiplied by `rate_factor`.
    rate_factor : float
    balanced : bool
        An epoch draws its slides with replacement, every class as likely.
    accumulate : int
        Bags per step of the optimiser.
    clip : float
        Largest norm of the gradient of a step; of each part of a model that has several.
    loss : LossConfig
    feature_dropout : float
        Chance of each feature to be zero for a whole bag, so that no single feature decides.
    background : int or None
        The class that means that nothing else was found, if there is one.
    join : float
        Chance that a bag is joined with a bag of `background`, see `join_bags`.
    guidance : float
        Weight of the cross-entropy between a bag's guide, where it has one, and the attention.
    feedback : float
        Weight of the cross-entropy between what the next depth attended to below each followed
        node and the attention that chose these nodes, see `training.joint`; slides of
        `background` give none.
    precision : str
        "float32"; "bfloat16": products of a training step are rounded to it, validation is not;
        "auto": bfloat16 where the hardware multiplies matrices of it, see `autocast_dtype`.
    keep_last : bool
        Take all epochs and keep the last one's weights, as published protocols of a fixed length
        do; validation bags are not needed then.
    seed : int
        Of the order of the bags, their variations and the dropout.
    """

    epochs: int = 200
    patience: int = 20
    min_epochs: int = 0
    validated: Validated = "total"
    learning_rate: float = 1e-5
    weight_decay: float = 1e-5
    optimiser: Optimiser = "adam"
    rate_decay: float = 0.0
    rate_epochs: tuple[int, ...] = ()
    rate_factor: float = 0.1
    balanced: bool = False
    accumulate: int = 1
    clip: float = 5.0
    loss: LossConfig = field(default_factory=LossConfig)
    feature_dropout: float = 0.0
    background: int | None = None
    join: float = 0.0
    guidance: float = 0.0
    feedback: float = 0.0
    precision: Precision = "float32"
    keep_last: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate_epochs", tuple(self.rate_epochs))
        for rule, value in self._broken_rules():
            raise ValueError(f"TrainConfig needs {rule}, not {value!r}")

    def _broken_rules(self) -> list[tuple[str, object]]:
        # A comparison with NaN is false, which is why each rule says what must hold.
        checks: list[tuple[bool, str, object]] = [
            (self.epochs >= 1, "at least one of epochs", self.epochs),
            (self.patience >= 1, "a patience of 1 or more", self.patience),
            (0 <= self.min_epochs <= self.epochs, "min_epochs up to epochs", self.min_epochs),
            (
                all(0 < epoch < self.epochs for epoch in self.rate_epochs),
                f"rate_epochs before the last of {self.epochs} epochs",
                self.rate_epochs,
            ),
            (self.rate_factor > 0, "a positive rate_factor", self.rate_factor),
            (self.validated in get_args(Validated), "a known validated", self.validated),
            (self.learning_rate >= 0, "no negative learning_rate", self.learning_rate),
            (self.weight_decay >= 0, "no negative weight_decay", self.weight_decay),
            (self.rate_decay >= 0, "no negative rate_decay", self.rate_decay),
            (self.accumulate >= 1, "accumulate of 1 or more", self.accumulate),
            (self.clip > 0, "a positive clip", self.clip),
            (0 <= self.feature_dropout < 1, "feature_dropout below 1", self.feature_dropout),
            (0 <= self.join <= 1, "join from 0 to 1", self.join),
            (self.guidance >= 0, "no negative guidance", self.guidance),
            (self.feedback >= 0, "no negative feedback", self.feedback),
            (self.optimiser in get_args(Optimiser), "a known optimiser", self.optimiser),
            (self.precision in get_args(Precision), "a known precision", self.precision),
        ]
        return [(rule, value) for holds, rule, value in checks if not holds]

    def goes_on(self, number: int, waited: int) -> bool:
        """Whether another epoch follows, after so many and so many since the best."""
        return number < self.epochs and (waited < self.patience or number < self.min_epochs)

    def stepper(self, model: BagModel) -> Stepper:
        """The optimiser of a model."""
        optimiser = OptimiserConfig(
            self.optimiser,
            self.learning_rate,
            self.weight_decay,
            self.clip,
            self.rate_decay,
            self.rate_epochs,
            self.rate_factor,
        )
        return Stepper.make(model, optimiser)

"""Refuse settings of a method that would have no effect, or not the one they promise.

A setting without effect makes two rows of a table identical without saying so. Each rule names the
settings that it makes ineffective, as a protocol file has them; any of these that is not at its
default is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from napari_hagmil.errors import ProtocolError
from napari_hagmil.models import IATConfig, LossConfig
from napari_hagmil.models.baselines import BASELINES
from napari_hagmil.training.config import TrainConfig
from napari_hagmil.training.protocol.methods import GUIDED, JOINT, Method

_INSTANCE_LOSS = ("iat", "clam_sb", "clam_mb")
_DTFD = ("dtfd_afs", "dtfd_maxs", "dtfd_maxmins")
_UNTRAINED_ATTENTION = ("max_pooling", "mean_pooling")


class IdleSetting(NamedTuple):
    """A setting without effect in a method: its name, as a protocol file has it, and the reason."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """Settings that do nothing where `holds`."""

    names: tuple[str, ...]
    holds: Callable[[Method], bool]
    why: str


def _options(*names: str) -> tuple[str, ...]:
    return tuple(f"options.{name}" for name in names)


def _loss(method: Method) -> str:
    return method.training.loss.instance_loss


def _option(method: Method, name: str) -> Any:
    """An option of the transformer, as its method builds it."""
    return method.options.get(name, getattr(IATConfig(), name))


def _is_iat(method: Method) -> bool:
    return method.model == "iat"


def _is_guided(method: Method) -> bool:
    return method.is_cascade and method.schedule in GUIDED


_DESCENT = ("context", "children", "decision", "budget", "training_budget", "random")
_SELF_ATTENTION = (
    "heads", "landmarks", "attention", "attention_dropout", "legacy_padding", "pinv_iterations",
    "residual_kernel", "branch_dropout", "scored",
)  # fmt: skip
_SCORES = ("scored", "gated", "gate_dim", "gate_dropout", "instance_dim", "sharpness")
_NARROWING = ("feedback", "first_budget", "narrowing")

_IDLE = (
    _Rule(
        ("schedule", *_DESCENT, "sweep", "choose_budget", *_NARROWING, "label_smoothing"),
        lambda m: not m.is_cascade,
        "has no effect on a method of one depth, which is its finest",
    ),
    _Rule(
        ("teacher_context", "guidance"),
        lambda m: not _is_guided(m),
        "has no effect without a teacher, which the guided schedules have",
    ),
    _Rule(
        _NARROWING,
        lambda m: m.schedule not in JOINT,
        "has no effect unless all depths learn at once",
    ),
    _Rule(
        ("background",),
        lambda m: not (m.training.join or m.training.feedback or _is_guided(m)),
        "has no effect without join, feedback or a teacher",
    ),
    _Rule(
        ("join",),
        lambda m: m.training.background is None,
        "has no effect without background, the class that is joined",
    ),
    _Rule(
        ("patience", "min_epochs", "validated"),
        lambda m: m.training.keep_last,
        "has no effect with keep_last",
    ),
    _Rule(
        ("min_epochs",),
        lambda m: m.training.min_epochs <= m.training.patience,
        "has no effect within the patience",
    ),
    _Rule(
        ("rate_factor",),
        lambda m: not m.training.rate_epochs,
        "has no effect without rate_epochs",
    ),
    _Rule(
        ("instance_loss", "k", "subtyping"),
        lambda m: m.model not in _INSTANCE_LOSS,
        "has no effect on a model without an instance loss",
    ),
    _Rule(
        ("instance_weight", "validated"),
        lambda m: m.model not in (*_INSTANCE_LOSS, *_DTFD),
        "has no effect on a model without an instance loss",
    ),
    _Rule(
        ("k", "instance_weight", "subtyping", "validated", *_options("patch_head")),
        lambda m: m.model in _INSTANCE_LOSS and _loss(m) == "none",
        "has no effect with instance_loss = 'none'",
    ),
    _Rule(
        ("subtyping",),
        lambda m: _is_iat(m) and _loss(m) == "paper",
        "has no effect on the paper's patch loss, whose one head tells all classes apart",
    ),
    _Rule(
        ("unmixed",),
        lambda m: not _is_iat(m) or not _option(m, "self_attention"),
        "has no effect without the transformer's self-attention",
    ),
    _Rule(
        _options(*_SELF_ATTENTION),
        lambda m: _is_iat(m) and not _option(m, "self_attention"),
        "has no effect without self-attention",
    ),
    _Rule(
        _options("landmarks", "legacy_padding", "pinv_iterations"),
        lambda m: _is_iat(m) and _option(m, "attention") == "exact",
        "has no effect on exact attention",
    ),
    _Rule(
        _options("token_attention"),
        lambda m: _is_iat(m) and _option(m, "pooling") != "class_token",
        "has no effect without a class token",
    ),
    _Rule(
        _options("top"),
        lambda m: _is_iat(m) and _option(m, "pooling") != "evidence",
        "has no effect unless evidence decides",
    ),
    _Rule(
        _options(*_SCORES),
        lambda m: _is_iat(m) and _option(m, "pooling") == "evidence",
        "has no effect where evidence decides, which needs no scores",
    ),
    _Rule(
        _options("per_instance"),
        lambda m: m.model == "mean_pooling",
        "has no effect on mean pooling, whose head is linear",
    ),
)


class _Conflict(NamedTuple):
    """Two settings that exclude each other, and the remedy."""

    holds: Callable[[Method], bool]
    rule: str
    remedy: str


_CONFLICTS = (
    _Conflict(
        lambda m: _is_guided(m) and m.training.guidance == 0,
        "has a teacher and no weight for its guidance",
        "give guidance = 1.0 with a guided schedule, or another schedule",
    ),
    _Conflict(
        lambda m: bool(m.first_budget) != (m.narrowing > 0),
        "has one of first_budget and narrowing, which need each other",
        "give both, for instance first_budget = [64, 128] and narrowing = 20",
    ),
    _Conflict(
        lambda m: m.narrowing >= m.training.epochs,
        "narrows for as many epochs as it has, so that no epoch has the budget of training",
        "give more epochs than narrowing",
    ),
    _Conflict(
        lambda m: _is_iat(m) and _option(m, "pooling") == "evidence" and _loss(m) != "none",
        "has an instance loss, and scores of no kind where evidence decides",
        "give instance_loss = 'none', or another pooling",
    ),
    _Conflict(
        lambda m: m.model in ("clam_sb", "clam_mb") and _loss(m) == "paper",
        "has the instance loss 'paper', which needs one head of all classes",
        "give instance_loss = 'clam' or 'none'",
    ),
    _Conflict(
        lambda m: (
            _is_iat(m) and _loss(m) != "none" and m.options.get("patch_head", _head(m)) != _head(m)
        ),
        "has an instance loss that its patch_head cannot give",
        "leave patch_head out: instance_loss = 'paper' has one head of classes, 'clam' binary ones",
    ),
    _Conflict(
        lambda m: (
            _is_iat(m)
            and _option(m, "pooling") == "class_token"
            and _option(m, "token_attention") == "patch_loss"
            and (_loss(m) == "none" or _is_guided(m))
        ),
        "leaves its attention to the patch loss, which it, or its teacher, does not have",
        "give token_attention = 'auxiliary', or an instance loss and no teacher",
    ),
    _Conflict(
        lambda m: (
            m.model in _UNTRAINED_ATTENTION
            and m.is_cascade
            and (m.training.guidance > 0 or m.training.feedback > 0)
        ),
        "has guidance or feedback for an attention that nothing trains",
        "choose another model, or leave guidance and feedback out",
    ),
    _Conflict(
        lambda m: m.model in _DTFD and m.standardise and not m.options.get("bias", False),
        "is standardised and has no bias in its first layer to take that up",
        "give options = { bias = true }, or standardise = false",
    ),
    _Conflict(
        lambda m: (
            m.is_cascade
            and bool(m.depths)
            and any(len(k) >= len(m.depths) for k in (m.budget, m.training_budget, m.first_budget))
        ),
        "has more numbers in a budget than depths that hand nodes on",
        "give one for every depth but the finest",
    ),
)


def _head(method: Method) -> str:
    return "classes" if _loss(method) == "paper" else "binary"


def idle_settings(method: Method) -> list[IdleSetting]:
    """Settings of a method that are not at their defaults, and do nothing."""
    changed = _changed(method)
    return [
        IdleSetting(name, rule.why)
        for rule in _IDLE
        if rule.holds(method)
        for name in rule.names
        if name in changed
    ]


def _changed(method: Method) -> set[str]:
    """Names of all settings that are at no default, neither the package's nor the model's own."""
    plain = Method(method.name)
    own = LossConfig() if _is_iat(method) else BASELINES[method.model](8, 2).default_loss
    losses, loss = (LossConfig(), own), method.training.loss
    # The paper's own smoothing, which a protocol file gives its model.
    smoothing = {0.0, 0.1} if _is_iat(method) and method.is_cascade else {0.0}
    names = {f.name for f in fields(Method)} - {"name", "model", "options", "training"}
    found = {name for name in names if getattr(method, name) != getattr(plain, name)}
    found |= {
        f.name
        for f in fields(TrainConfig)
        if getattr(method.training, f.name) != getattr(plain.training, f.name)
    }
    found |= {
        f.name
        for f in fields(LossConfig)
        if getattr(loss, f.name) not in {getattr(one, f.name) for one in losses}
    }
    if loss.label_smoothing in smoothing:
        found -= {"label_smoothing"}
    return found | set(_changed_options(method))


def _changed_options(method: Method) -> Iterator[str]:
    plain = {f.name: getattr(IATConfig(), f.name) for f in fields(IATConfig)}
    for name, value in method.options.items():
        if not _is_iat(method) or value != plain.get(name):
            yield f"options.{name}"


def require_settings_that_work(method: Method, source: str = "") -> None:
    """Raise a `ProtocolError` that names the first setting that does nothing, or does not fit."""
    subject = f"{source} has the method {method.name!r}, which" if source else ""
    subject = subject or f"the method {method.name!r}"
    for conflict in _CONFLICTS:
        if conflict.holds(method):
            raise ProtocolError(subject, conflict.rule, remedy=conflict.remedy)
    for name, why in idle_settings(method):
        raise ProtocolError(subject, f"sets {name}, which {why}", remedy="leave it out")


def without(method: Method, name: str) -> Method:
    """The method with one setting, named as in `idle_settings`, at its default."""
    if name.startswith("options."):
        left = {k: v for k, v in method.options.items() if f"options.{k}" != name}
        return replace(method, options=left)
    plain = Method(method.name)
    if hasattr(plain, name):
        return replace(method, **{name: getattr(plain, name)})
    training = method.training
    if hasattr(plain.training, name):
        changed = replace(training, **{name: getattr(plain.training, name)})
        return replace(method, training=changed)
    loss = replace(training.loss, **{name: getattr(LossConfig(), name)})
    return replace(method, training=replace(training, loss=loss))

"""Protocol files: TOML → `Protocol`; an unknown or unfitting entry is an error that names it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from napari_hagmil.errors import ProtocolError, statement_of
from napari_hagmil.models import LossConfig
from napari_hagmil.models.baselines import BASELINES
from napari_hagmil.models.config import Children, Context
from napari_hagmil.models.endpoint import EndpointKind
from napari_hagmil.training.config import TrainConfig, Validated
from napari_hagmil.training.optimisers import Optimiser
from napari_hagmil.training.protocol.idle import (
    idle_settings,
    require_settings_that_work,
    without,
)
from napari_hagmil.training.protocol.methods import DecidingDepths, Method, Schedule
from napari_hagmil.training.protocol.plan import (
    EndpointPlan,
    Protocol,
    Resample,
    Threshold,
    WantedFeatures,
)
from napari_hagmil.training.protocol.runs import slug
from napari_hagmil.training.protocol.toml_types import require_table, require_types
from napari_hagmil.training.step import Precision
from napari_hagmil.untrusted import read_regular

_MAX_BYTES = 2**20

SCHEMES = ("holdout", "three-way", "k-fold")

_CHOICES = {
    "schedule": get_args(Schedule),
    "context": get_args(Context),
    "children": get_args(Children),
    "optimiser": get_args(Optimiser),
    "precision": get_args(Precision),
    "teacher_context": get_args(Context),
    "decision": get_args(DecidingDepths),
    "scheme": SCHEMES,
    "resample": get_args(Resample),
    "threshold": get_args(Threshold),
    "validated": get_args(Validated),
    "kind": get_args(EndpointKind),
}

_TRAINING = {f.name for f in fields(TrainConfig)} - {"loss"}
_LOSS = {f.name for f in fields(LossConfig)} - {"endpoint"}
_METHOD = {f.name for f in fields(Method)} - {"training"}


def load_protocol(path: str | Path) -> Protocol:
    """Read a protocol.

    ``[protocol]`` has the fields of `Protocol`, ``[features]`` those of `WantedFeatures`,
    ``[endpoint]`` those of `EndpointPlan`, ``[defaults]`` what all methods share; every
    ``[[method]]`` its name and what is its own: the fields of `Method`, `TrainConfig` and
    `LossConfig`. Without any ``[[method]]`` the protocol has none, for `paper_methods` to fill.

    Raises
    ------
    ProtocolError
        When the file is no TOML, or an entry is unknown or unfitting.
    """
    path = Path(path)
    try:
        content = tomllib.loads(read_regular(path, _MAX_BYTES).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ProtocolError(
            path.name, f"cannot be read as TOML: {error}", remedy="correct the file"
        ) from error
    _refuse_unknown(path.name, content, {*_TABLES, "method"})
    about, shared, wanted, predicted = (_table(path.name, content, n) for n in _TABLES)
    entries = content.get("method", [])
    for entry in entries if isinstance(entries, list) else [entries]:
        require_table(path.name, "[method]", entry)
    _refuse_unknown(path.name, about, {f.name for f in fields(Protocol)} - _OTHERS)
    _refuse_unknown(path.name, wanted, {f.name for f in fields(WantedFeatures)})
    require_types(path.name, about, Protocol)
    require_types(path.name, wanted, WantedFeatures)
    _refuse_choices(path.name, about)
    endpoint = _endpoint(path.name, predicted) if "endpoint" in content else None
    try:
        methods = _methods(path.name, shared, entries)
        features = WantedFeatures(**_tuples(wanted))
        protocol = Protocol(tuple(methods), features=features, endpoint=endpoint, **_tuples(about))
    except (TypeError, ValueError) as error:
        raise ProtocolError(
            path.name,
            f"has an entry that does not fit: {statement_of(error)}",
            remedy="correct the entry",
        ) from error
    _check(path.name, protocol)
    return protocol


_TABLES = ("protocol", "defaults", "features", "endpoint")

#: Fields of `Protocol` that are no entries of its own table.
_OTHERS = {"methods", "features", "endpoint"}


def _endpoint(source: str, entry: Mapping[str, Any]) -> EndpointPlan:
    _refuse_unknown(source, entry, {f.name for f in fields(EndpointPlan)})
    require_types(source, entry, EndpointPlan)
    if "kind" not in entry:
        raise ProtocolError(
            source,
            "has an [endpoint] without a kind",
            remedy=f"choose one of {', '.join(get_args(EndpointKind))}",
        )
    _refuse_choices(source, entry)
    plan = EndpointPlan(**_tuples(entry))
    plan.require_sense(source)
    return plan


def _table(source: str, content: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name, {})
    require_table(source, name, found)
    return dict(found)


def _methods(
    source: str, shared: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> list[Method]:
    """Every method: of `[defaults]` it takes what can do something in it.

    Raises
    ------
    ProtocolError
        When an entry of `[defaults]` can do nothing in any of them.
    """
    methods, used = [], set()
    for entry in entries:
        method = _method(source, {**shared, **entry})
        inherited = set(shared) - set(entry)
        while idle := [one.name for one in idle_settings(method) if one.name in inherited]:
            inherited -= set(idle)
            for name in idle:
                method = without(method, name)
        methods.append(method)
        used |= inherited | set(entry)
    useless = sorted(set(shared) - used)
    if useless:
        raise ProtocolError(
            source,
            f"sets {useless[0]} in [defaults], which has no effect on any of its methods",
            remedy="leave it out",
        )
    return methods


def _method(source: str, entry: Mapping[str, Any]) -> Method:
    _refuse_unknown(source, entry, _METHOD | _TRAINING | _LOSS)
    require_types(source, entry, LossConfig, TrainConfig, Method)
    _refuse_choices(source, entry)
    model = entry.get("model", "iat")
    if model != "iat" and model not in BASELINES:
        raise ProtocolError(
            source,
            "names an unknown model",
            value=repr(model),
            remedy=f"choose iat or one of {', '.join(BASELINES)}",
        )
    if "name" not in entry:
        raise ProtocolError(
            source, "has a method without a name", remedy="give it one, for the tables"
        )
    # The paper smooths the labels of its own model (section 4.2), but not at the finest depth.
    papers = LossConfig(label_smoothing=0.0 if len(entry.get("depths", ())) == 1 else 0.1)
    loss = papers if model == "iat" else BASELINES[model](8, 2).default_loss
    loss = replace(loss, **{k: v for k, v in entry.items() if k in _LOSS})
    training = TrainConfig(loss=loss, **{k: v for k, v in entry.items() if k in _TRAINING})
    own = _tuples({k: v for k, v in entry.items() if k in _METHOD})
    return Method(**own, training=training)


def _check(source: str, protocol: Protocol) -> None:
    folders = [slug(method.name) for method in protocol.methods]
    twice = sorted({name for name in folders if folders.count(name) > 1})
    if twice:
        raise ProtocolError(
            source, f"has two methods named {twice[0]!r}", remedy="give each its own name"
        )
    for method in protocol.methods:
        require_settings_that_work(method, source)
    if min(protocol.repeats, protocol.folds) < 1:
        raise ProtocolError(
            source,
            "needs positive repeats and positive folds",
            value=f"{protocol.repeats} repeats, {protocol.folds} folds",
            remedy="give 1 or more",
        )
    _check_what_it_reads(source, protocol)
    _check_endpoint(source, protocol)


def _check_endpoint(source: str, protocol: Protocol) -> None:
    """Raise where an endpoint does not go with the other entries."""
    if protocol.endpoint is None:
        return
    if protocol.classes or protocol.threshold != "most probable":
        raise ProtocolError(
            source, "has an [endpoint] beside classes or a threshold", remedy="leave one out"
        )
    for method in protocol.methods:
        protocol.endpoint.require_method(method)


def _check_what_it_reads(source: str, protocol: Protocol) -> None:
    """Raise where folds, sweep or choose_budget would do nothing."""
    cascades = [method for method in protocol.methods if method.is_cascade]
    checks = [
        (
            protocol.folds == Protocol(()).folds or protocol.scheme == "k-fold",
            "has folds, which have no effect unless the scheme is 'k-fold'",
            "leave folds out, or give scheme = 'k-fold'",
        ),
        (
            not protocol.sweep or not protocol.methods or not all(m.sweep for m in cascades),
            "has a sweep, which has no effect without a method of several depths and no sweep of "
            "its own",
            "leave the sweep out",
        ),
        (
            bool(protocol.sweep) or all(m.sweep or not m.choose_budget for m in cascades),
            "has a method with choose_budget and no sweep to choose from",
            "give a sweep of budgets, or leave choose_budget out",
        ),
    ]
    for holds, rule, remedy in checks:
        if not holds:
            raise ProtocolError(source, rule, remedy=remedy)


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with tuples for lists, and for lists of lists."""

    def as_tuple(value: Any) -> Any:
        return tuple(map(as_tuple, value)) if isinstance(value, list) else value

    return {name: as_tuple(value) for name, value in entry.items()}


def _refuse_choices(source: str, entry: Mapping[str, Any]) -> None:
    for name in entry.keys() & _CHOICES.keys():
        if entry[name] not in _CHOICES[name]:
            raise ProtocolError(
                source,
                f"has an unknown {name}",
                value=repr(entry[name]),
                remedy=f"choose one of {', '.join(_CHOICES[name])}",
            )


def _refuse_unknown(source: str, entry: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(entry.keys() - known)
    if unknown:
        raise ProtocolError(
            source,
            f"has the unknown entry {unknown[0]!r}",
            remedy=f"choose among {', '.join(sorted(known))}",
        )

"""Values of result.json, each checked: a result may lie beside a slide that somebody sent.

Every function raises a ValueError, KeyError, TypeError or OverflowError for what no analysis has
written, so that neither the window nor an export meets it later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.cascade.result import (
    Cost,
    Given,
    ModelFacts,
    Settings,
    SlideSummary,
    UnreadPlaces,
)
from napari_hagmil.geometry import is_plausible_mpp
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.uncertainty import Uncertainty

Decode = Callable[[Any], Any]
Made = TypeVar("Made")

#: Pixels of a slide's side, and addresses of a grid, that no slide has.
_LONGEST_SIDE, _MOST_ADDRESSES = 2**31, 2**28

#: What the seconds of a cost are told by, wherever they are shown.
_TOTAL = "total"


def slide_from(value: Any) -> SlideSummary:
    """The slide of a result."""
    made = _made(SlideSummary, value)
    if not is_plausible_mpp(made.mpp):
        raise ValueError(f"{made.mpp} µm per pixel")
    if not all(0 < side < _LONGEST_SIDE for side in (made.height, made.width)):
        raise ValueError(f"a slide of {made.width} × {made.height} px")
    return made


def model_from(value: Any) -> ModelFacts:
    """The model of a result, with at least one class."""
    made = _made(ModelFacts, value)
    if not made.classes or len({*made.classes}) < len(made.classes):
        raise ValueError("a model without classes, or with one twice")
    return made


def settings_from(value: Any) -> Settings:
    """The settings of a run, with a budget that a box of the window takes."""
    made = _made(Settings, value)
    if not all(0 < k < 2**31 for k in made.budget):
        raise ValueError("a budget that none can have")
    return made


def cost_from(value: Any) -> Cost:
    """The cost of a run; its total time is known."""
    made = _made(Cost, value)
    counts = [getattr(made, each.name) for each in fields(made) if each.name != "seconds"]
    if min(*counts, *made.seconds.values(), made.seconds[_TOTAL]) < 0:
        raise ValueError("a cost below 0")
    return made


def unread_from(value: Any) -> UnreadPlaces | None:
    """How much could not be read, or None."""
    return None if value is None else _made(UnreadPlaces, value)


def uncertainty_from(value: Any, classes: tuple[str, ...]) -> Uncertainty:
    """What is said of the answer; nothing, where an earlier version wrote the result."""
    made = _made(Uncertainty, value or {})
    if not {*made.class_set} <= {*classes}:
        raise ValueError("a class in the set that the model has not")
    return made


def numbers_from(value: Any) -> dict[str, float]:
    """Finite numbers by name."""
    return {_text(name): _number(one) for name, one in _table(value).items()}


def probabilities_from(value: Any) -> NDArray[np.float64]:
    """Class probabilities, (classes,)."""
    made = np.array([_number(one) for one in _list(value)])
    if not (len(made) and (made >= 0).all() and abs(made.sum() - 1) < 1e-3):
        raise ValueError("probabilities that do not sum to 1")
    return made


def text_from(value: Any) -> str:
    """A text; "" for null."""
    return "" if value is None else _text(value)


def texts_from(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(map(_text, _list(value)))


def grid_from(stage: Mapping[str, Any]) -> PatchGrid:
    """The grid of a stage."""
    rows, columns = _pair(stage["grid"])
    size, downsample = _whole(stage["patch_size"]), _number(stage["downsample"])
    if not (rows > 0 and columns > 0 and rows * columns <= _MOST_ADDRESSES):
        raise ValueError(f"a grid of {rows} × {columns} patches")
    if not (0 < size < 2**16 and 0 < downsample < _LONGEST_SIDE):
        raise ValueError("a grid without patches")
    return PatchGrid(size, downsample, (rows, columns))


def _made(kind: type[Made], value: Any) -> Made:
    """A dataclass of which each field is read as its annotation says."""
    known = {each.name: str(each.type) for each in fields(kind)}  # type: ignore[arg-type]
    members = {name: _READ[known[name]](one) for name, one in _table(value).items()}
    return kind(**members)


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} where an object is needed")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} where a list is needed")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text is needed")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where a whole number is needed")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} where a number is needed")
    return float(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} where true or false is needed")
    return value


def _pair(value: Any) -> tuple[int, int]:
    first, second = map(_whole, _list(value))
    return first, second


def _or_none(read: Decode) -> Decode:
    return lambda value: None if value is None else read(value)


#: By a field's annotation.
_READ: dict[str, Decode] = {
    "str": _text,
    "str | None": _or_none(_text),
    "int": _whole,
    "float": _number,
    "float | None": _or_none(_number),
    "bool": _switch,
    "tuple[str, ...]": texts_from,
    "tuple[int, ...]": lambda value: tuple(map(_whole, _list(value))),
    "tuple[int, int]": _pair,
    "dict[str, float]": numbers_from,
    "Given": lambda value: _made(Given, value),
}

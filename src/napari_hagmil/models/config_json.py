"""A bundle's `config.json`: versioned, and strict about what it does not know."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any

from napari_hagmil.errors import BundleError, statement_of
from napari_hagmil.models.config import BundleConfig, EncoderFacts
from napari_hagmil.models.endpoint import Endpoint
from napari_hagmil.models.iat import IATConfig
from napari_hagmil.models.stage import BaselineConfig, StageConfig
from napari_hagmil.uncertainty import Confidence, Familiarity
from napari_hagmil.untrusted import json_text, parse_json

SCHEMA = "napari-hagmil/bundle/1"


def config_to_json(config: BundleConfig, *, weights_sha256: str) -> str:
    """JSON text of a bundle's `config.json`."""
    facts = {**asdict(config), "encoder": config.encoder.as_json()}
    content = {"schema": SCHEMA, **facts, "weights_sha256": weights_sha256}
    # A summary of features has thousands of numbers: a list of numbers is one line.
    text = re.sub(r"\[\n[-+.,eE\d\s]*\]", _one_line, json_text(content, indent=2))
    return text + "\n"


def _one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[0][1:-1].split())}]"


def config_from_json(text: str, source: str) -> tuple[BundleConfig, str | None]:
    """Read `config.json`: the config, and the hash that the weights should have.

    `source` names the bundle in the `BundleError` raised for anything that does not fit.
    """
    try:
        content = parse_json(text)
    except ValueError as error:
        raise BundleError(
            source,
            f"has a config.json that is not JSON: {error}",
            remedy="copy or download the bundle again",
        ) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise BundleError(
            source,
            f"needs the schema {SCHEMA!r}",
            value=repr(found),
            remedy="read it with the version of napari-hagmil that wrote it",
        )
    del content["schema"]
    return _config(content, source)


def _config(content: dict[str, Any], source: str) -> tuple[BundleConfig, str | None]:
    weights_sha256 = content.pop("weights_sha256", None)
    # Bundles written before the choice existed looked at glass too.
    content.setdefault("children", "all")
    _check_types(content, BundleConfig, source, "")
    for name, kind in _NESTED.items():
        if content.get(name) is not None:
            _check_types(content[name], kind, source, f"{name}.")
    try:
        stages = tuple(_stage(stage, i, source) for i, stage in enumerate(content["stages"]))
        nested = {
            name: kind(**content[name])
            for name, kind in _NESTED.items()
            if content.get(name) is not None
        }
        return BundleConfig(**{**content, **nested, "stages": stages}), weights_sha256
    except (ValueError, TypeError) as error:
        raise BundleError(
            source,
            f"has a config.json that does not fit: {statement_of(error)}",
            remedy="correct that entry, or convert or train the model again",
        ) from error


#: Entries that are objects of their own.
_NESTED: dict[str, type] = {
    "encoder": EncoderFacts,
    "confidence": Confidence,
    "familiarity": Familiarity,
    "endpoint": Endpoint,
}


def _stage(content: object, index: int, source: str) -> StageConfig:
    prefix = f"stages[{index}]."
    if not isinstance(content, dict):
        raise BundleError(source, f"needs {prefix[:-1]} to be an object", value=f"{content!r:.80}")
    kind = BaselineConfig if "model" in content else IATConfig
    _check_types(content, kind, source, prefix)
    return kind(**content)


def _check_types(content: Mapping[str, Any], kind: type, source: str, prefix: str) -> None:
    """Raise unless every entry is known, of its field's type, and no required one is missing."""
    known = {f.name: f for f in fields(kind)}
    for name in content:
        if name not in known:
            raise BundleError(
                source,
                f"has the entry {prefix + name!r} in its config.json, which the schema "
                f"{SCHEMA!r} does not know",
                remedy="read it with the version of napari-hagmil that wrote it",
            )
    for name, f in known.items():
        words, fits = _KINDS[str(f.type)]
        if name not in content:
            if f.default is MISSING and f.default_factory is MISSING:
                raise BundleError(
                    source,
                    f"lacks {prefix + name!r} in its config.json",
                    remedy="add it, or download the bundle again",
                )
        elif not fits(content[name]):
            raise BundleError(
                source,
                f"needs {prefix + name!r} in its config.json to be {words}",
                value=f"{content[name]!r:.80}",
            )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


def _is_text(value: object) -> bool:
    return isinstance(value, str)


#: Longest list: a number per feature of an encoder.
_LONGEST = 20_000


def _list_of(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, list) and len(value) <= _LONGEST and all(map(fits, value))
    )


_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "int": ("a whole number", _is_int),
    "int | None": ("a whole number or null", lambda v: v is None or _is_int(v)),
    "float": ("a number", _is_number),
    "bool": ("true or false", lambda v: isinstance(v, bool)),
    "str": ("text", _is_text),
    "str | None": ("text or null", lambda v: v is None or _is_text(v)),
    "AttentionKind": ("text", _is_text),
    "Pooling": ("text", _is_text),
    "TokenAttention": ("text", _is_text),
    "PatchHead": ("text", _is_text),
    "Norms": ("text", _is_text),
    "ScoredTokens": ("text", _is_text),
    "BagOrder": ("text", _is_text),
    "Context": ("text", _is_text),
    "Children": ("text", _is_text),
    "MadeFor": ("text", _is_text),
    "PatientsBy": ("text", _is_text),
    "PixelColors": ("text", _is_text),
    "EndpointKind": ("text", _is_text),
    "EncoderFacts": ("an object", lambda v: isinstance(v, dict)),
    "Confidence | None": ("an object or null", lambda v: v is None or isinstance(v, dict)),
    "Familiarity | None": ("an object or null", lambda v: v is None or isinstance(v, dict)),
    "Endpoint | None": ("an object or null", lambda v: v is None or isinstance(v, dict)),
    "tuple[int, ...]": ("a list of whole numbers", _list_of(_is_int)),
    "tuple[float, ...]": ("a list of numbers", _list_of(_is_number)),
    "tuple[tuple[float, ...], ...]": (
        "a list of lists of numbers",
        _list_of(_list_of(_is_number)),
    ),
    "tuple[str, ...]": ("a list of texts", _list_of(_is_text)),
    "tuple[StageConfig, ...]": ("a list of objects", _list_of(lambda v: isinstance(v, dict))),
    "dict[str, float]": (
        "an object of numbers",
        lambda v: isinstance(v, dict) and all(map(_is_number, v.values())),
    ),
    "dict[str, Any]": ("an object", lambda v: isinstance(v, dict)),
}
"""By a field's annotation: what JSON must hold there, in words and as a check."""

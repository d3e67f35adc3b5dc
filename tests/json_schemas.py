"""Holds the JSON that this package writes against the schemas in the documentation."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).parent.parent / "docs" / "reference" / "schemas"

#: Documents that do not name their schema, by the folder they lie in.
_BY_FOLDER = {"claims": "claim", ".claims": "claim", "states": "state"}


def require_schemas(folder: Path) -> set[str]:
    """Fail unless every document below a folder follows its schema; return which were met."""
    met = set()
    for path in sorted(folder.rglob("*.json*")):
        for document in _documents(path):
            name = _BY_FOLDER.get(path.parent.name) or _said(document)
            if path.suffix == ".jsonl":
                name = "review"
            if name:
                wrong = [
                    f"{e.json_path}: {e.message}" for e in validator(name).iter_errors(document)
                ]
                assert not wrong, f"{path.name} is no {name}: {wrong[:5]}"
                met.add(name)
    return met


def _documents(path: Path) -> list[dict[str, Any]]:
    text = path.read_text("utf-8")
    documents = map(json.loads, text.splitlines() if path.suffix == ".jsonl" else [text])
    return [one.get("attributes", {}) if path.name == "zarr.json" else one for one in documents]


def _said(document: dict[str, Any]) -> str:
    product, _, rest = str(document.get("schema", "")).partition("/")
    return rest.partition("/")[0] if product == "napari-hagmil" else ""


@cache
def validator(name: str) -> Draft202012Validator:
    """A schema, closed: a file of this version says nothing that its schema does not name."""
    schema = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(_closed(schema))


def _closed(part: Any) -> Any:
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    is_object = "type" in part and isinstance(part.get("properties"), dict)
    return {"additionalProperties": False, **closed} if is_object else closed

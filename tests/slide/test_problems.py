"""Errors of slides and phantoms say in fields what is wrong: nobody takes a sentence apart."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import napari_hagmil
from napari_hagmil import errors

PACKAGE = Path(napari_hagmil.__file__).parent
MODULES = sorted(
    [
        *(PACKAGE / "slide").rglob("*.py"),
        *(PACKAGE / "phantom").glob("*.py"),
        *(PACKAGE / f"{name}.py" for name in ("tissue", "depths", "geometry", "quadtree")),
    ]
)
KINDS = {name for name in vars(errors) if name.endswith("Error")} | {"PhantomError"}


def calls(path: Path):
    """Yield every call that makes one of the package's errors."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_an_error_names_its_subject_and_its_rule_apart(path: Path) -> None:
    for call in calls(path):
        where = f"{path.name}:{call.lineno}"
        assert len(call.args) == 2, f"{where} gives a sentence instead of a subject and a rule"
        rule = call.args[1]
        words = rule.values if isinstance(rule, ast.JoinedStr) else [rule]
        text = "".join(str(w.value) for w in words if isinstance(w, ast.Constant))
        assert " got " not in text, f"{where} puts a value into its rule; give value="

"""Values are frozen: what one stage of the method has handed on, none changes afterwards."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_hagmil

PACKAGE = Path(napari_hagmil.__file__).parent

#: What the method, its measures and its files hand on.
PLACES = (
    "geometry.py", "quadtree.py", "polygons.py", "cascade", "attention", "evaluation",
    "uncertainty", "cohort/splits.py", "models", "review", "export", "ledger",
)  # fmt: skip


def dataclasses_of(path: Path) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            for how in node.decorator_list:
                if "dataclass" in ast.unparse(how):
                    yield node.name, how


@pytest.mark.parametrize("place", PLACES)
def test_every_value_is_frozen(place):
    files = [PACKAGE / place] if place.endswith(".py") else sorted((PACKAGE / place).rglob("*.py"))
    found = [(name, ast.unparse(how)) for path in files for name, how in dataclasses_of(path)]
    assert place == "polygons.py" or found
    assert [(name, how) for name, how in found if "frozen=True" not in how] == []

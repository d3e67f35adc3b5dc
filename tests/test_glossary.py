"""The glossary against the code: every word and every public class once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "napari_hagmil"
PAGE = ROOT / "docs" / "reference" / "glossary.md"


def rows() -> list[tuple[str, str, list[str]]]:
    """Return (words, meaning, classes) of every row of the page's tables."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("|") and not line.startswith(("|---", "| word |"))
    ]
    return [(words, meaning, re.findall(r"`(\w+)`", last)) for words, meaning, last in lines]


def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}


def classes() -> Counter[str]:
    """Return the public classes of every module, and how often each name is defined."""
    return Counter(
        node.name
        for tree in trees().values()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )


def public_classes() -> set[str]:
    """Return the classes that packages export, and those of the modules beside them.

    Errors are not among them: `napari_hagmil.errors` draws their tree.
    """
    names: set[str] = set()
    for path, tree in trees().items():
        if path.name == "__init__.py":
            names |= exported(tree)
        elif path.parent == PACKAGE and path.stem != "errors":
            names |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return {name for name in names & set(classes()) if not name.endswith("Error")}


def exported(tree: ast.Module) -> set[str]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return set(ast.literal_eval(value))
    return set()


def repeated(names: Counter[str]) -> list[str]:
    return sorted(name for name, n in names.items() if n > 1)


def test_each_word_is_defined_once() -> None:
    words = Counter(word.strip() for words, _, _ in rows() for word in words.split(","))
    assert len(words) > 50
    assert not repeated(words)
    assert all(meaning for _, meaning, _ in rows())


def test_every_public_class_belongs_to_a_word() -> None:
    named = {name for _, _, names in rows() for name in names}
    missing = sorted(public_classes() - named)
    assert not missing, f"classes without a word in docs/reference/glossary.md: {missing}"


def test_every_class_of_the_page_exists_and_belongs_to_one_word() -> None:
    named = Counter(name for _, _, names in rows() for name in names)
    assert not repeated(named)
    gone = sorted(set(named) - set(classes()))
    assert not gone, f"docs/reference/glossary.md names what is gone: {gone}"


def test_no_class_name_is_defined_twice() -> None:
    assert not repeated(classes())

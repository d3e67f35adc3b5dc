"""Mutants of the package's modules: what they change, and a seeded sample of them."""

from __future__ import annotations

import ast
import difflib
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cosmic_ray.plugins as plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "napari_hagmil"


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    operator: str
    occurrence: int
    line: int


def draw(modules: list[str], n: int, seed: int) -> list[Mutant]:
    """Draw as many places as asked, and one mutant of each that does something else."""
    places = [(m, place, some) for m in modules for place, some in sorted(mutants_of(m).items())]
    rng = random.Random(seed)
    rng.shuffle(places)
    chosen: list[Mutant] = []
    for module, _, some in places:
        mutant = rng.choice(some)
        if len(chosen) < n and bare(code_of(module)) != bare(mutated(mutant)):
            chosen.append(mutant)
    return chosen


def mutants_of(module: str) -> dict[tuple[int, int], list[Mutant]]:
    """All mutants of a module, by the place that they change."""
    tree, found = get_ast(code_of(module)), defaultdict(list)
    for name in sorted(plugins.operator_names()):
        try:
            operator = plugins.get_operator(name)()
        except TypeError:
            continue  # needs arguments of its own
        places = (p for node in ast_nodes(tree) for p in operator.mutation_positions(node))
        for n, ((line, column), _) in enumerate(places):
            found[line, column].append(Mutant(module, name, n, line))
    return found


def code_of(module: str) -> str:
    return (PACKAGE / module).read_text(encoding="utf-8")


def mutated(mutant: Mutant) -> str:
    operator = plugins.get_operator(mutant.operator)()
    changed: str | None = mutate_code(code_of(mutant.module), operator, mutant.occurrence)
    return changed or code_of(mutant.module)


def change_of(mutant: Mutant) -> str:
    """The lines that a mutant takes away (-) and puts in (+)."""
    lines = (code_of(mutant.module).splitlines(), mutated(mutant).splitlines())
    changed = list(difflib.unified_diff(*lines, n=0, lineterm=""))[2:]
    return "\n".join(f"{one[0]} {one[1:].strip()}" for one in changed if one[0] in "+-")


def bare(code: str) -> str:
    """What a module does: without annotations, which are never evaluated here."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return code
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.dump(tree)

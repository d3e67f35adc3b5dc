"""Which tests run which lines, measured once, so that a mutant meets only tests that can see it."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


class Tracer:
    """A plugin of pytest that notes which test runs which lines, and how long each takes.

    Parameters
    ----------
    package : Path
        The folder of the package that the tests import.
    modules : list of str
        Of the package, as paths in it.
    """

    def __init__(self, package: Path, modules: list[str]) -> None:
        import coverage

        self._files = {one: str(package / one) for one in modules}
        self._measured = coverage.Coverage(
            data_file=None, config_file=False, include=[*self._files.values()]
        )
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_sessionstart(self) -> None:
        self._measured.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._measured.switch_context(item.nodeid)
        result = yield
        self._measured.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        self._measured.stop()

    def reach(self) -> Reach:
        data = self._measured.get_data()
        lines = {
            module: {line: {*tests} - {""} for line, tests in data.contexts_by_lineno(file).items()}
            for module, file in self._files.items()
        }
        return Reach(lines, dict(self._seconds))


@dataclass(frozen=True)
class Reach:
    """Which tests run which lines of which modules, and the seconds that each test takes."""

    lines: dict[str, dict[int, set[str]]]
    seconds: dict[str, float]

    @classmethod
    def read(cls, path: Path) -> Reach:
        kept = json.loads(path.read_text(encoding="utf-8"))
        lines = {
            module: {int(line): {kept["tests"][i] for i in tests} for line, tests in some.items()}
            for module, some in kept["lines"].items()
        }
        return cls(lines, kept["seconds"])

    def write(self, path: Path) -> None:
        tests = sorted(self.seconds)
        index = {test: i for i, test in enumerate(tests)}
        lines = {
            module: {line: sorted(index[t] for t in tests) for line, tests in some.items()}
            for module, some in self.lines.items()
        }
        kept = {"tests": tests, "seconds": self.seconds, "lines": lines}
        path.write_text(json.dumps(kept), encoding="utf-8")

    def tests_of(self, module: str, code: str, line: int) -> list[str]:
        """The tests that run the statement of a line; of the module, where it runs at import."""
        lines = self.lines[module]
        statement = statement_of(code, line)
        reached = set[str]().union(*(lines.get(one, ()) for one in statement or lines))
        return sorted(reached)


def statement_of(code: str, line: int) -> range:
    """The lines of the statement that a line is in, its header alone where it has a body.

    Empty where it is run when the module is imported.
    """
    found, inside = range(0), False
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(code), False)]
    while todo:
        node, within = todo.pop()
        for child in ast.iter_child_nodes(node):
            called = within or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
                extent = _extent(child)
                if line in extent and (not found or len(extent) <= len(found)):
                    found, inside = extent, called
            todo.append((child, called))
    return found if inside else range(0)


def _extent(node: ast.AST) -> range:
    if isinstance(node, ast.match_case):
        return range(node.pattern.lineno, node.body[0].lineno)
    assert isinstance(node, ast.stmt | ast.ExceptHandler)
    decorators = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(one.lineno for one in decorators)])
    body = getattr(node, "body", ())
    last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return range(first, max(first, last) + 1)

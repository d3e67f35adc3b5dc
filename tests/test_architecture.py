"""The architecture, checked: which way imports point, and how large a piece of code may be."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "napari_hagmil"
MODULES = sorted(PACKAGE.rglob("*.py"))
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
PACKAGES = [path for path in MODULES if path.name == "__init__.py"]
FOLDERS = [path.parent for path in PACKAGES]
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 30
MAX_PARAMETERS = 5
MAX_MODULES_OF_FOLDER = 16
VAGUE_NAMES = {"utils", "util", "core", "helpers", "manager", "misc", "common"}
#: napari's GUI, and what only makes sense beside it. napari's layers, types and settings are none.
GUI = ("qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "superqt", "magicgui", "vispy")
NAPARI_GUI = ("napari._qt", "napari.qt", "napari.viewer", "napari.window", "napari._vispy")
NAPARI_GUI_NAMES = {"Viewer", "run", "gui_qt", "view_path", "imshow", "current_viewer"}
#: Functions with more parameters, by module, with the reason.
MANY_PARAMETERS = {"models/nystrom.py": {"__init__": "those of the layer that it stands in for"}}
#: Errors that have no remedy to give, with the reason.
WITHOUT_REMEDY = {
    "CancelledError": "the user asked for it",
    "CohortError": "lists every problem of a table, each with what to do",
    "UnstitchedTiffError": "another backend reads the file",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.module or "", alias.name) for alias in node.names)


def is_gui(module: str, name: str) -> bool:
    if module.split(".")[0] in GUI or f"{module}.".startswith(tuple(f"{m}." for m in NAPARI_GUI)):
        return True
    return module == "napari" and name in NAPARI_GUI_NAMES


def docstring_lines(function: Function) -> set[int]:
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None:
        return set()
    return set(range(first.lineno, (first.end_lineno or first.lineno) + 1))


def code_lines(source: str) -> set[int]:
    """Return the numbers of the lines that hold code: neither blank nor a comment alone."""
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        line
        for token in tokens
        if token.type not in empty
        for line in range(token.start[0], token.end[0] + 1)
    }


def function_lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Yield each function's name and the lines of code of its body."""
    source = path.read_text("utf-8")
    code = code_lines(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
            yield node.name, len((code & set(body)) - docstring_lines(node))


@pytest.mark.slow
def test_import_contracts() -> None:
    """The layers, and what ``slide`` and ``models`` may not know: [tool.importlinter]."""
    answer = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def fenced(page: str, first: str) -> list[str]:
    """Return the lines of the fenced block that begins with `first`."""
    return page[page.index(f"```\n{first}") :].split("```")[1].strip().splitlines()


def test_the_page_shows_the_layers_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    lines = fenced(PAGE.read_text("utf-8"), "widgets | cli")
    assert [re.split(r" {2,}", line)[0] for line in lines] == layers


def test_the_page_shows_the_layout() -> None:
    lines = fenced(PAGE.read_text("utf-8"), "src/napari_hagmil/")
    shown = {line.split()[1] for line in lines if line.startswith(("├", "└"))}
    folders = {f"{folder.name}/" for folder in FOLDERS if folder.parent == PACKAGE}
    modules = {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("_")}
    assert shown == folders | modules


def defined(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Yield the names of functions and classes, and of methods as ``Class.method``."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from defined(node.body, f"{node.name}.")


def test_the_page_names_what_exists() -> None:
    """Every ``module.py`` and ``module.py:name`` in backticks."""
    places = re.findall(r"`([\w/]+\.py)(?::([\w.]+))?`", PAGE.read_text("utf-8"))
    assert len(places) > 30
    gone = [
        f"{module}:{name}"
        for module, name in places
        if not (PACKAGE / module).is_file()
        or (name and name not in set(defined(parse(PACKAGE / module).body)))
    ]
    assert not gone, f"docs/explanation/architecture.md names what is gone: {gone}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_gui_only_in_widgets(path: Path) -> None:
    if path.is_relative_to(PACKAGE / "widgets"):
        return
    found = [f"{m} {n}".strip() for m, n in imports(parse(path)) if is_gui(m, n)]
    assert not found, f"{name_of(path)} imports the GUI ({', '.join(found)}); only widgets may"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("napari_hagmil", {"numpy", "torch", "napari", "dask", "zarr", "cv2"}),
        ("napari_hagmil.errors", {"numpy"}),
        ("napari_hagmil.geometry", {"torch", "napari", "dask", "zarr"}),
        ("napari_hagmil.slide", {"torch", "napari", "qtpy"}),
        ("napari_hagmil.attention", {"torch", "napari", "qtpy"}),
        ("napari_hagmil.review", {"torch", "napari", "qtpy", "dask", "zarr", "cv2"}),
        ("napari_hagmil.export", {"torch", "napari", "qtpy"}),
        ("napari_hagmil.models", {"napari", "qtpy", "tifffile", "zarr", "dask"}),
        ("napari_hagmil.plugin.reader", {"torch", "qtpy", "scipy", "pandas"}),
        ("napari_hagmil.batch.analysis", {"dask", "scipy", "pandas", "matplotlib"}),
        ("napari_hagmil.session", {"qtpy"}),
        ("napari_hagmil.cli", {"torch", "napari", "qtpy"}),
    ],
)
def test_import_stays_light(module: str, heavy: set[str]) -> None:
    script = f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [], f"import {module} brings {answer.stdout.strip()}"


def test_every_import_is_declared() -> None:
    """What the package imports it depends on, itself and not through another package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = (project["dependencies"], *project["optional-dependencies"].values())
    declared = {re.split(r"[^\w.-]", line)[0].lower() for lines in lists for line in lines}
    names = {module.split(".")[0] for path in MODULES for module, _ in imports(parse(path))}
    undeclared = {
        name: owners
        for name, owners in packages_distributions().items()
        if name in names - {"napari_hagmil"}
        and not declared & {owner.lower().replace("_", "-") for owner in owners}
    }
    assert not undeclared, f"imported, but not in pyproject.toml: {undeclared}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_is_small_and_named(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MAX_MODULE_LINES, (
        f"{name_of(path)} has {lines} lines, more than {MAX_MODULE_LINES}"
    )
    vague = VAGUE_NAMES & set(path.relative_to(PACKAGE).with_suffix("").parts)
    assert not vague, f"{name_of(path)} is called {vague}; name what it holds"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_are_short(path: Path) -> None:
    long = {name: n for name, n in function_lengths(path) if n > MAX_FUNCTION_LINES}
    assert not long, f"{name_of(path)} has functions of more than 30 lines of code: {long}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_bare_except_print_or_eval(path: Path) -> None:
    """The library raises and the application shows; nothing swallows an error unseen."""
    for node in ast.walk(parse(path)):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{where} has a bare except"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"eval", "exec", "breakpoint"}, f"{where} {node.func.id}"
            allowed = path.is_relative_to(PACKAGE / "cli") or node.func.id != "print"
            assert allowed, f"{where} prints; only the command line does"


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_folder_is_small(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__")]
    assert len(modules) <= MAX_MODULES_OF_FOLDER, (
        f"{name_of(folder)} has {len(modules)} modules, more than {MAX_MODULES_OF_FOLDER}; "
        "split it by subject"
    )


def parameters(function: Function) -> list[str]:
    """Return the parameters that a caller must keep apart.

    Those that can be given by position, and keyword-only ones without a default. An option that
    must be named and may be left out costs a caller nothing; ``self`` and ``cls`` are not his.
    """
    given = function.args
    named = [arg.arg for arg in (*given.posonlyargs, *given.args)]
    if named and named[0] in {"self", "cls", "mcs"}:
        named = named[1:]
    needed = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    return named + [arg.arg for arg, default in needed if default is None]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_have_few_parameters(path: Path) -> None:
    many = {
        node.name: parameters(node)
        for node in ast.walk(parse(path))
        if isinstance(node, Function)
        and len(parameters(node)) > MAX_PARAMETERS
        and node.name not in MANY_PARAMETERS.get(name_of(path), {})
    }
    assert not many, (
        f"{name_of(path)} has functions of more than {MAX_PARAMETERS} parameters: {many}"
    )


def module_of(path: Path) -> str:
    """Return the dotted name of a module of the package; a folder's is that of its __init__."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph() -> dict[str, set[str]]:
    """Return the modules that each module imports, at type-checking and inside functions too.

    ``from a.b import c`` points to the module ``a.b.c`` where there is one, else to ``a.b``. That
    a module brings the __init__ files of its own folders is not counted.
    """
    names = {module_of(path) for path in MODULES}
    graph = {}
    for path in MODULES:
        targets = set()
        for module, name in imports(parse(path)):
            inner = f"{module}.{name}"
            targets |= {inner if inner in names else module} & names
        graph[module_of(path)] = targets - {module_of(path)}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach one another."""
    reached = {start: reachable(graph, start) for start in graph}
    groups = {
        frozenset(other for other in reached[start] if start in reached[other]) | {start}
        for start in graph
        if start in reached[start]
    }
    return sorted(sorted(group) for group in groups)


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(graph[module])
    return seen


def test_no_import_circle() -> None:
    """Not even one that only a type checker, or a function when it is called, walks around."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    found = circles(import_graph())
    assert not found, f"these modules import each other: {found}"


def exported(path: Path) -> list[str]:
    """Return a package's ``__all__``; empty where it has none."""
    for node in parse(path).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return list(ast.literal_eval(value))
            case ast.AnnAssign(target=ast.Name(id="__all__"), value=ast.expr() as value):
                return list(ast.literal_eval(value))
    return []


def test_a_public_name_has_one_address() -> None:
    """What two packages export is one thing too many, or two things of one name."""
    owners: dict[str, list[str]] = {}
    for path in PACKAGES:
        for name in exported(path):
            owners.setdefault(name, []).append(module_of(path))
    twice = {name: packages for name, packages in owners.items() if len(packages) > 1}
    assert not twice, f"exported by several packages: {twice}"


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_a_package_exports_its_own(path: Path) -> None:
    """No second address for what another package holds, and no name that hides a submodule."""
    public = set(exported(path))
    own = f"{module_of(path)}."
    foreign = {
        name: module
        for module, name in imports(parse(path))
        if name in public and not module.startswith(own)
    }
    assert not foreign, f"{name_of(path)} exports what is another's: {foreign}"
    inside = {entry.stem for entry in path.parent.iterdir() if not entry.name.startswith("_")}
    assert not public & inside, f"{name_of(path)} exports {public & inside}: a module's name, too"


def error_names() -> set[str]:
    """Return the names of `HagmilError` and of all that derive from it."""
    classes = [
        node for path in MODULES for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef)
    ]
    names = {"HagmilError"}
    while more := {
        one.name
        for one in classes
        if one.name not in names and {getattr(base, "id", "") for base in one.bases} & names
    }:
        names |= more
    return names


ERRORS = error_names() - set(WITHOUT_REMEDY)


def says_what_to_do(call: ast.Call) -> bool:
    """Whether an error is made with a remedy, or with a rule that is one: "must be 1 or more"."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if {"remedy", None} & given.keys():
        return True
    rule = call.args[1] if len(call.args) > 1 else given.get("rule")
    if isinstance(rule, ast.JoinedStr):
        rule = rule.values[0]
    text = rule.value if isinstance(rule, ast.Constant) else ""
    return "value" in given and str(text).startswith(("must ", "needs "))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_errors_say_what_to_do(path: Path) -> None:
    """Subject, rule, value and remedy: whoever meets the error can go on."""
    mute = [
        f"{name_of(path)}:{node.lineno} {node.func.id}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ERRORS
        and not says_what_to_do(node)
    ]
    assert not mute, f"raised without remedy=: {', '.join(mute)}"

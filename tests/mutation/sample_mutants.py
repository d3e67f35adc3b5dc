"""See whether the tests notice small faults: a seeded sample of mutants of the method's modules.

    pip install cosmic-ray
    python tests/mutation/sample_mutants.py --out mutants.jsonl [--sample 400] [--seed 0] [--most N]

cosmic-ray makes the mutants (an operator, a number, a comparison changed), which modules and which
tests belong together stands in pyproject.toml (`[tool.mutation]`). Each mutant is put in a copy of
the package, and its tests run in a fork of this process, which has loaded what is slow to import.
A mutant is killed by a test that fails, by an import that does, or by a test without an end. What
only changes annotations is no mutant. Started again, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cosmic_ray.plugins as plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).resolve().parents[2]

#: Loaded once, before the forks.
HEAVY = ("torch", "numpy", "scipy.stats", "scipy.optimize", "zarr", "shapely", "pyarrow.parquet")
HEAVY += ("cv2", "pytest", "matplotlib.figure", "PIL.Image", "sklearn.metrics")

#: Of pytest, which the settings or the tests ask for.
PLUGINS = ("_hypothesis_pytestplugin", "pytest_benchmark.plugin", "pytest_timeout")

#: Mutants that take so many times as long as the tests do are killed, and at least this many s.
SLOWER, LEAST_S = 8, 90


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    operator: str
    occurrence: int
    line: int


def mutants_of(module: str) -> dict[tuple[int, int], list[Mutant]]:
    """All mutants of a module, by the place that they change."""
    code = (ROOT / "src" / "napari_hagmil" / module).read_text(encoding="utf-8")
    tree, found = get_ast(code), defaultdict(list)
    for name in sorted(plugins.operator_names()):
        try:
            operator = plugins.get_operator(name)()
        except TypeError:
            continue  # needs arguments of its own
        places = (p for node in ast_nodes(tree) for p in operator.mutation_positions(node))
        for n, ((line, column), _) in enumerate(places):
            found[line, column].append(Mutant(module, name, n, line))
    return found


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


def code_of(module: str) -> str:
    return (ROOT / "src" / "napari_hagmil" / module).read_text(encoding="utf-8")


def mutated(mutant: Mutant) -> str:
    operator = plugins.get_operator(mutant.operator)()
    changed: str | None = mutate_code(code_of(mutant.module), operator, mutant.occurrence)
    return changed or code_of(mutant.module)


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


def outcome(copy: Path, tests: list[str], limit: float) -> str:
    """Run tests on the package's copy: "survived", "killed" or "timeout"."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        run_tests(copy, tests)
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "timeout"


def run_tests(copy: Path, tests: list[str]) -> None:
    """Run tests in a fork, which ends with their status."""
    # The same cases for every mutant, none made smaller; a busy machine kills no mutant.
    phases, checks = (Phase.explicit, Phase.generate), list(HealthCheck)
    quiet = settings(deadline=None, derandomize=True, phases=phases, suppress_health_check=checks)
    settings.register_profile("mutants", quiet)
    settings.load_profile("mutants")
    with Path(os.devnull).open("w") as nothing:
        for stream in (1, 2):
            os.dup2(nothing.fileno(), stream)
    os.chdir(ROOT)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    # No more than these tests need: each fork loads its plugins and tests anew.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not window"]
    options += ["--assert=plain", *(word for name in PLUGINS for word in ("-p", name))]
    # What has been loaded before the fork is no test of ours.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = 1
    try:
        status = int(sys.modules["pytest"].main([*options, *tests]))
    finally:
        os._exit(status)


def copied() -> Path:
    """A copy of the package in a folder of its own."""
    copy = Path(tempfile.mkdtemp(prefix="mutants-"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "napari_hagmil", copy / "napari_hagmil", ignore=ignored)
    return copy


def examine(chosen: list[Mutant], tests: dict[str, list[str]], out: Path, most: int) -> None:
    """Run what is not on record yet, and put it there, a line each."""
    done = {json.dumps(one["mutant"]) for one in records(out)}
    due = [one for one in chosen if json.dumps(asdict(one)) not in done][:most]
    copy, limits = copied(), dict[tuple[str, ...], float]()
    try:
        for n, mutant in enumerate(due, start=1):
            run = tests[mutant.module]
            limit = limits.get(tuple(run))
            if limit is None:
                started = time.monotonic()
                if outcome(copy, run, 1800) != "survived":
                    raise SystemExit(f"the tests of {mutant.module} fail without any mutant")
                limit = limits[tuple(run)] = max(LEAST_S, SLOWER * (time.monotonic() - started))
            put(copy, mutant.module, mutated(mutant))
            found = outcome(copy, run, limit)
            put(copy, mutant.module, code_of(mutant.module))
            with out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"mutant": asdict(mutant), "outcome": found}) + "\n")
            print(f"[{n}/{len(due)}] {found}: {mutant.module}:{mutant.line}", flush=True)
    finally:
        shutil.rmtree(copy)


def put(copy: Path, module: str, code: str) -> None:
    """Write a module into the copy; what was compiled of it before could look as new."""
    file = copy / "napari_hagmil" / module
    for old in file.parent.glob(f"__pycache__/{file.stem}.*"):
        old.unlink()
    file.write_text(code, encoding="utf-8")


def records(out: Path) -> Iterator[dict[str, dict[str, str]]]:
    if out.exists():
        yield from map(json.loads, out.read_text(encoding="utf-8").splitlines())


def tell(out: Path) -> None:
    """Say how many were killed, module by module, and show what survived."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in records(out):
        mutant = Mutant(**one["mutant"])
        killed = one["outcome"] != "survived"
        for name in (mutant.module, "all"):
            counts[name][0] += killed
            counts[name][1] += 1
        if not killed:
            lines = (code_of(mutant.module).splitlines(), mutated(mutant).splitlines())
            print(f"\nsurvived: {mutant.module}:{mutant.line}")
            print("\n".join(list(difflib.unified_diff(*lines, n=0, lineterm=""))[3:]))
    for name, (killed, n) in sorted(counts.items()):
        print(f"{name}: {killed} of {n} killed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the record, a line per mutant")
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=10_000, help="stop after so many")
    args = parser.parse_args()
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    tests = {
        module: group["tests"]
        for group in configured["mutation"]["group"]
        for module in group["modules"]
    }
    for name in (*HEAVY, *PLUGINS):
        importlib.import_module(name)
    chosen = draw(sorted(tests), args.sample, args.seed)
    examine(chosen, tests, args.out.absolute(), args.most)
    tell(args.out)


if __name__ == "__main__":
    main()

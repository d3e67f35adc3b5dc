"""Tests in a fork of this process, which has loaded what is slow to import."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from mutants import PACKAGE, ROOT
from reach import Tracer

#: Loaded once, before the forks.
HEAVY = ("torch", "numpy", "scipy.stats", "scipy.optimize", "zarr", "shapely", "pyarrow.parquet")
HEAVY += ("cv2", "matplotlib.figure", "PIL.Image", "sklearn.metrics", "tifffile", "torch._dynamo")

#: Of pytest, which the settings or the tests ask for.
PLUGINS = ("_hypothesis_pytestplugin", "pytest_benchmark.plugin", "pytest_timeout")

#: A mutant that waits for ever uses no processor: so many times the limit by the clock end it.
ASLEEP = 20


@dataclass(frozen=True)
class Ended:
    """How a run of tests ended: "survived", "killed" or "timeout", by which test."""

    outcome: str
    test: str
    seconds: float


class Chosen:
    """A plugin of pytest that runs the tests that are asked for, and notes what fails."""

    def __init__(self, tests: set[str] | None, failed: Path) -> None:
        self._tests, self._failed = tests, failed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._tests is not None:
            items[:] = [one for one in items if one.nodeid in self._tests]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.write_text(report.nodeid, encoding="utf-8")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed.write_text(f"{report.nodeid} (import)", encoding="utf-8")


def load_heavy() -> None:
    for name in (*HEAVY, *PLUGINS):
        importlib.import_module(name)


def copied() -> Path:
    """A copy of the package in a folder of its own."""
    copy = Path(tempfile.mkdtemp(prefix="mutants-"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, copy / "napari_hagmil", ignore=ignored)
    return copy


def put(copy: Path, module: str, code: str) -> None:
    """Write a module into the copy; what was compiled of it before could look as new."""
    file = copy / "napari_hagmil" / module
    for old in file.parent.glob(f"__pycache__/{file.stem}.*"):
        old.unlink()
    file.write_text(code, encoding="utf-8")


def run_tests(copy: Path, files: list[str], tests: set[str] | None, limit: int) -> Ended:
    """Run tests of some files (all without a set) on the package's copy, until one fails.

    The limit is of seconds of the processor, since a busy machine kills no mutant.
    """
    started = time.monotonic()
    failed = copy / "failed"
    failed.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        _end_with(copy, ["-x", *files], Chosen(tests, failed), lambda: None)
    status = _wait(child, ASLEEP * limit)
    seconds = round(time.monotonic() - started, 1)
    if status in (None, -signal.SIGXCPU, -signal.SIGKILL):
        return Ended("timeout", "", seconds)
    test = failed.read_text(encoding="utf-8") if failed.exists() else ""
    # 5: nothing was collected.
    return Ended("survived" if status in (0, 5) else "killed", test, seconds)


def trace_tests(copy: Path, files: list[str], modules: list[str], out: Path) -> None:
    """Measure in a fork which tests run which lines."""
    child = os.fork()
    if child == 0:
        tracer = Tracer(copy / "napari_hagmil", modules)
        _end_with(copy, files, tracer, lambda: tracer.reach().write(out))
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        raise SystemExit("the tests fail without any mutant")


def _wait(child: int, limit: float) -> int | None:
    """The status of a child; None where it has to be ended."""
    ends = time.monotonic() + limit
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _end_with(copy: Path, arguments: list[str], plugin: object, after: Callable[[], None]) -> None:
    """Run pytest in this fork, which ends with its status."""
    # The same cases for every mutant, none made smaller; a busy machine kills no mutant.
    phases, checks = (Phase.explicit, Phase.generate), list(HealthCheck)
    quiet = settings(deadline=None, derandomize=True, phases=phases, suppress_health_check=checks)
    settings.register_profile("mutants", quiet)
    settings.load_profile("mutants")
    with (copy / "said").open("w") as said:
        for stream in (1, 2):
            os.dup2(said.fileno(), stream)
    os.chdir(ROOT)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    # No more than these tests need: each fork loads its plugins and tests anew.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-q", "-p", "no:cacheprovider", "-m", "not slow and not window", "--assert=plain"]
    options += [word for name in PLUGINS for word in ("-p", name)]
    # What has been loaded before the fork is no test of ours.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    status = 1
    try:
        status = int(pytest.main([*options, *arguments], plugins=[plugin]))
        after()
    finally:
        os._exit(status)

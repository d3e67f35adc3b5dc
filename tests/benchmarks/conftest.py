"""Rows that benchmarks measured, and the page that they are written to: docs/benchmarks.md.

A run of some benchmarks replaces their rows alone; rows of another machine or of other versions go
with the first row of a new one.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE, KEPT = ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "results" / "benchmarks.json"

#: In the order of the page.
SECTIONS = {
    "encoder": "The encoder on a CPU",
    "analyze": "Analysing a slide",
    "growth": "Cost against the size of a slide",
    "viewer": "The viewer beside its peers",
    "window": "The window",
    "slides": "Reading tiles",
    "training": "A training step",
    "gpu": "On a GPU",
}
#: Whose versions decide how fast something is.
PACKAGES = ("torch", "onnxruntime", "numpy", "napari", "dask", "zarr", "tifffile", "imagecodecs")

HEAD = """# Benchmarks

Written by `make bench`, not by hand; `make bench TEST_ARGS=tests/benchmarks/test_encoder.py`
measures the rows of one file again. *Load* is the machine's load average while a row was measured:
above the number of its cores other programs took part of the time, and seconds of the clock say
little; seconds of the processor, which are told beside them, grow too, by a half or so, but alike
for all sides. Sides take turns, and the least of several rounds counts. A goal that was missed
stands here as missed.
"""


@dataclass(frozen=True)
class Row:
    """A row of the page."""

    section: str
    what: str
    measured: str
    goal: str
    met: bool | None
    date: str
    load: float


#: Section, what, measured, goal, met.
Note = Callable[..., None]

_ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture
def note(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Note:
    """Note a row; outside of `make bench` nothing is noted."""
    enabled = bool(request.config.getoption("benchmark_enable"))

    def add(
        section: str, what: str, measured: str, goal: str = "", met: bool | None = None
    ) -> None:
        assert section in SECTIONS
        if not enabled:
            return
        now = datetime.now(UTC).date().isoformat()
        row = Row(section, what, measured, goal, met, now, round(os.getloadavg()[0], 1))
        request.config.stash.setdefault(_ROWS, []).append(row)
        with capsys.disabled():
            print(f"\n{what}: {measured}" + (f" (goal {goal})" if goal else ""))

    return add


def pytest_sessionfinish(session: pytest.Session) -> None:
    rows = session.config.stash.get(_ROWS, [])
    if rows:
        keep(rows, KEPT)
        PAGE.write_text(page(json.loads(KEPT.read_text("utf-8"))), "utf-8")


def keep(rows: list[Row], path: Path) -> None:
    """Put rows into the file of all rows, in the place of those that say the same."""
    where = {"machine": machine(), "versions": versions()}
    kept = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    before = kept.get("rows", []) if {k: kept.get(k) for k in where} == where else []
    new = {(row.section, row.what): asdict(row) for row in rows}
    merged = {(row["section"], row["what"]): row for row in before} | new
    document = {**where, "rows": list(merged.values())}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")


def machine() -> str:
    """What measured, in words."""
    cpu = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        names = [line for line in cpus.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def versions() -> dict[str, str]:
    """Python's and the packages'."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def page(document: dict) -> str:
    """The page of all rows."""
    said = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    lines = [HEAD, f"{document['machine']}. {said}. Commit {commit()} or the one after.\n"]
    for section, title in SECTIONS.items():
        rows = [row for row in document["rows"] if row["section"] == section]
        if not rows:
            continue
        lines += [f"## {title}\n", "| what | measured | goal | | date | load |"]
        lines.append("|---|---|---|---|---|---|")
        for row in rows:
            met = {True: "met", False: "**missed**", None: ""}[row["met"]]
            cells = (row["what"], row["measured"], row["goal"], met, row["date"], str(row["load"]))
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def commit() -> str:
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"

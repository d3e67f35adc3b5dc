"""Damage files of every kind at random, and see that each is read or refused in one sentence.

    python tests/fuzz/fuzz_files.py --cases 20000
    python tests/fuzz/fuzz_files.py --cases 1 --first 4711 --only journal

Each kind has a process of its own. What may come of a damaged file: nothing amiss, or a
`HagmilError` of one line. Another exception, a crash, a hang, more memory or a file left behind
outside its folder fail the run. A case is made from its number alone, so that it can be repeated.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import fuzz_mutations as mutations
import fuzz_targets as targets

from napari_hagmil.errors import HagmilError

MAX_SECONDS, MAX_BYTES = 10, 6 * 2**30


class _HungError(BaseException):
    """Raised by the alarm: no `except Exception` may take it."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """End what takes longer."""

    def ring(number: int, frame: object) -> None:
        raise _HungError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Cases:
    """The cases of one target.

    Parameters
    ----------
    name : str
        Of the target.
    folder : Path
        Empty.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.target = name, targets.TARGETS[name]
        self.intact, self.work = folder / "intact", folder / "work"
        self.intact.mkdir()
        self.given = self.target.make(self.intact).relative_to(self.intact)
        self.files = sorted(
            path.relative_to(self.intact)
            for pattern in self.target.files
            for path in self.intact.glob(pattern)
            if path.is_file()
        )
        assert self.files

    def run(self, number: int) -> str:
        """Run one case: "read", "refused", or what went wrong."""
        rng = random.Random(f"{self.name} {number}")
        self._fresh()
        damaged = self.work / rng.choice(self.files)
        damaged.write_bytes(mutations.damaged(damaged.read_bytes(), damaged.suffix, rng))
        return self._read()

    def run_intact(self) -> str:
        """Run the case without damage."""
        self._fresh()
        return self._read()

    def _fresh(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.intact, self.work)

    def _read(self) -> str:
        try:
            with limited(MAX_SECONDS):
                self.target.read(self.work / self.given)
        except HagmilError as error:
            said = str(error)
            return "refused" if said and "\n" not in said else f"not one line: {said[:200]!r}"
        # Whatever else comes is what this program looks for.
        except (Exception, _HungError) as error:
            place = next(
                (
                    f"{Path(frame.filename).name}:{frame.lineno}"
                    for frame in reversed(traceback.extract_tb(error.__traceback__))
                    if "napari_hagmil" in frame.filename
                ),
                "?",
            )
            return f"{type(error).__name__} at {place}: {str(error)[:120]}"
        return "read"


def run(name: str, numbers: range, folder: Path) -> tuple[Counter[str], dict[str, int]]:
    """Run cases of a target: how many ended how, and the first case of every failure."""
    cases = Cases(name, folder)
    said = cases.run_intact()
    assert said == "read", said
    counts: Counter[str] = Counter()
    failures: dict[str, int] = {}
    for number in numbers:
        said = cases.run(number)
        counts[said if said in ("read", "refused") else "failed"] += 1
        if said not in ("read", "refused"):
            failures.setdefault(said[:90], number)
    return counts, failures


def _child(name: str, first: int, cases: int) -> None:
    """One target, in this process."""
    faulthandler.enable()
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts, failures = run(name, range(first, first + cases), Path(folder))
    report = {"target": name, **counts, "seconds": round(time.monotonic() - start)}
    print(json.dumps(report), flush=True)
    for said, number in failures.items():
        print(f"  {name} {number}: {said}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(targets.TARGETS), default=())
    parser.add_argument("--child", choices=list(targets.TARGETS), help=argparse.SUPPRESS)
    wish = parser.parse_args()
    if wish.child:
        _child(wish.child, wish.first, wish.cases)
        return 0
    failed = 0
    for name in wish.only or targets.TARGETS:
        given = ["--child", name, "--first", str(wish.first), "--cases", str(wish.cases)]
        answer = subprocess.run(
            [sys.executable, __file__, *given], capture_output=True, text=True, check=False
        )
        print(answer.stdout, end="", flush=True)
        if answer.returncode:
            print(f"  {name}: ended with {answer.returncode}: {answer.stderr[-2000:]}", flush=True)
        failed += bool(answer.returncode or "failed" in answer.stdout)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

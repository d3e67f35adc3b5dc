"""Run commands of the package as processes of their own, and tell what they cost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Runs a command of the package, then tells the peak of its memory. What the system tells of an
#: ended process counts what its parent held when it was started, too.
_DRIVER = """
import sys
from pathlib import Path
from napari_hagmil.cli import main
try:
    sys.exit(main(sys.argv[1:]))
finally:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else ["VmHWM 0"]
    print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Spent:
    """What a process has cost.

    Attributes
    ----------
    seconds, user, system : float
        Of the clock, and of the processor.
    peak : int
        Bytes of memory at the most; 0 where that is not known.
    """

    seconds: float
    user: float
    system: float
    peak: int

    @property
    def processor(self) -> float:
        return self.user + self.system


class Started:
    """A process that was started; `wait` ends it and tells its cost.

    Its whole output goes to a file: a pipe that nobody reads would stop it.
    """

    def __init__(self, arguments: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self._begun = time.perf_counter()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )

    def wait(self) -> Spent:
        _, status, usage = os.wait4(self._process.pid, 0)
        seconds = time.perf_counter() - self._begun
        self._process.returncode = os.waitstatus_to_exitcode(status)
        said = self._log.read_text("utf-8", "replace")
        assert self._process.returncode == 0, said[-2000:]
        told = [line.split()[1] for line in said.splitlines() if line.startswith("peak ")]
        peak = 1024 * int(told[-1]) if told else 0
        return Spent(seconds, usage.ru_utime, usage.ru_stime, peak)


def command(folder: Path, *arguments: object, **environment: str) -> Started:
    """Start ``napari-hagmil`` with arguments; its log and its cache lie in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["-c", _DRIVER, *map(str, arguments)]
    own = {"HAGMIL_CACHE": str(folder / "cache"), "HAGMIL_FEATURES_GB": "1", **environment}
    return Started(words, folder / "log.txt", own)


def is_idle() -> bool:
    """Whether other programs leave this machine's cores alone: seconds of the clock then count."""
    return os.getloadavg()[0] < (os.cpu_count() or 1) + 1 and psutil.cpu_percent(0.5) < 40

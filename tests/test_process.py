"""What a process sets before torch is loaded: how threads wait, and what the allocator keeps."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref

import pytest

from napari_hagmil.process import freeze_what_is_loaded

#: Bytes that a block takes, and what of them the process still holds once the block is freed.
BLOCK = 48 * 2**20
FREED = """
import json, os, sys
from pathlib import Path
{start}
def resident(): return int(Path("/proc/self/statm").read_text().split()[1])
def held(): return resident() * os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else 0
before = held()
block = bytearray(b"1") * {size}
del block
policy = os.environ.get("OMP_WAIT_POLICY")
print(json.dumps([held() - before, policy, "torch" in sys.modules]))
"""
WINDOW = "import napari_hagmil.widgets"
COMMAND = """
from napari_hagmil.cli import main
try: main(["--version"])
except SystemExit: pass
"""


def started(start: str, **environment: str) -> tuple[int, str | None, bool]:
    plain = {k: v for k, v in os.environ.items() if k not in {"OMP_WAIT_POLICY", "HAGMIL_MALLOPT"}}
    answer = subprocess.run(
        [sys.executable, "-c", FREED.format(start=start, size=BLOCK)],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kept, policy, torch = json.loads(answer.stdout.splitlines()[-1])
    return kept, policy, torch


@pytest.mark.parametrize("start", [COMMAND, WINDOW], ids=["command", "window"])
def test_threads_sleep_while_they_wait_and_torch_is_not_loaded_before(start: str) -> None:
    assert started(start)[1:] == ("PASSIVE", False)


def test_a_policy_of_the_users_own_stays() -> None:
    assert started(COMMAND, OMP_WAIT_POLICY="ACTIVE")[1] == "ACTIVE"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux's")
@pytest.mark.parametrize("start", [COMMAND, WINDOW], ids=["command", "window"])
def test_freed_memory_is_used_again_unless_the_variable_says_no(start: str) -> None:
    assert started(start)[0] > 0.9 * BLOCK
    assert started(start, HAGMIL_MALLOPT="0")[0] < 0.1 * BLOCK


def test_what_is_loaded_is_left_out_of_collections_and_what_comes_later_is_not():
    class Later:
        pass

    freeze_what_is_loaded()
    try:
        assert gc.get_freeze_count() > 10_000
        later = Later()
        later.itself, gone = later, weakref.ref(later)
        del later
        gc.collect()
        assert gone() is None
    finally:
        gc.unfreeze()

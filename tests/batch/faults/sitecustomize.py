"""Faults in a process and its children: a wrong clock, renames that fail, slides that do harm.

Python imports this by itself where the folder is on PYTHONPATH. HAGMIL_FAULTS says what is wrong:
``skew=3600,rename=0.05,slides=1``. A rename or link fails in one of two ways, as on a network
drive: it was not done, or it was done and the answer was lost. With ``slides``, a process for
slides that opens one whose name begins with ``segfault``, ``hang`` or ``greedy`` comes to harm.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import sys
import time

said = dict(part.split("=") for part in os.environ.get("HAGMIL_FAULTS", "").split(",") if part)
skew, share = float(said.get("skew", 0)), float(said.get("rename", 0))
rng = random.Random()


def skewed(clock):
    return lambda: clock() + skew


def failing(work, lost_answer):
    def wrapped(source, target, **how):
        if os.fspath(target).startswith(("/dev", "/proc")) or rng.random() >= share:
            return work(source, target, **how)
        if rng.random() < 0.5:
            raise OSError(errno.EIO, "a fault was injected: not done", os.fspath(target))
        work(source, target, **how)
        raise OSError(lost_answer, "a fault was injected: done, and the answer lost", str(target))

    return wrapped


def open_slide(event, details):
    """What a broken reader does, at the moment at which it opens the file."""
    if event != "open" or not isinstance(details[0], str):
        return
    name = details[0].rpartition(os.sep)[2]
    if not name.endswith(".tiff"):
        return
    if name.startswith("segfault"):
        ctypes.string_at(0)
    elif name.startswith("hang"):
        time.sleep(3600)
    elif name.startswith("greedy"):
        eaten = []
        while len(eaten) < 100:
            eaten.append(b"x" * 2**26)
            time.sleep(0.05)


if said.get("slides") and "spawn_main" in " ".join(sys.orig_argv):
    sys.addaudithook(open_slide)
if skew:
    time.time = skewed(time.time)
if share:
    # NFS sends a request again whose answer was lost, and is told that the name is gone, or taken.
    os.replace = failing(os.replace, errno.ENOENT)
    os.rename = failing(os.rename, errno.ENOENT)
    os.link = failing(os.link, errno.EEXIST)

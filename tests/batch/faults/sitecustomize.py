"""Faults in a process and its children: a wrong clock, and renames that fail as on a network drive.

Python imports this by itself where the folder is on PYTHONPATH. HAGMIL_FAULTS says what is wrong:
``skew=3600,rename=0.05``. A rename or link fails in one of two ways: it was not done, or it was
done and the answer was lost.
"""

from __future__ import annotations

import errno
import os
import random
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


if skew:
    time.time = skewed(time.time)
if share:
    # NFS sends a request again whose answer was lost, and is told that the name is gone, or taken.
    os.replace = failing(os.replace, errno.ENOENT)
    os.rename = failing(os.rename, errno.ENOENT)
    os.link = failing(os.link, errno.EEXIST)

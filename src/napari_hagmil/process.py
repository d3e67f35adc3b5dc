"""How a process of ours waits and allocates: set once, before torch is loaded.

Nothing here changes a result, only what it costs the machine.
"""

from __future__ import annotations

import ctypes
import os
import sys

#: glibc's mallopt parameters and their values, bytes (malloc.h). By default the feature maps of
#: each batch are mapped, zeroed page by page and given back at once; so large a threshold keeps
#: them for the next batch.
_TRIM_THRESHOLD = (-1, 2**30)
_TOP_PAD = (-2, 2**26)
_MMAP_THRESHOLD = (-3, 2**30)


def prepare_process() -> None:
    """Let threads sleep while they wait, and memory stay for the next batch.

    OpenMP reads its policy when torch is loaded: call this before. A policy that the user set
    stays. ``HAGMIL_MALLOPT=0`` leaves the allocator as it is.
    """
    # Threads that spin while they wait take the core that another process needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux" and os.environ.get("HAGMIL_MALLOPT") != "0":
        keep_freed_memory()


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for reuse; False where another allocator is at work."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return all(mallopt(*setting) == 1 for setting in (_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD))

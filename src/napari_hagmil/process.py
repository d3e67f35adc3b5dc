"""Process settings: how threads wait, how memory is kept, how signals end the process.

Nothing here changes a result, only its cost in time and memory.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

#: glibc's mallopt parameters and their values, bytes (malloc.h). By default the feature maps of
#: each batch are mapped, zeroed page by page and given back at once; so large a threshold keeps
#: them for the next batch.
_TRIM_THRESHOLD = (-1, 2**30)
_TOP_PAD = (-2, 2**26)
_MMAP_THRESHOLD = (-3, 2**30)


def prepare_process() -> None:
    """Let waiting threads sleep, and keep freed memory for the next batch.

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


def freeze_what_is_loaded() -> None:
    """Leave what is in memory now out of later collections of garbage.

    napari collects garbage for each layer that is removed, and with torch loaded that takes 0.2 s a
    time: half of what it takes to go from slide to slide.
    """
    gc.collect()
    gc.freeze()


def see_one_gpu(number: int) -> None:
    """Hide all GPUs but one from this process, counted among those that it sees.

    CUDA looks once, when the first tensor is moved there: call this before.
    """
    seen = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    os.environ["CUDA_VISIBLE_DEVICES"] = seen[number % len(seen)] if seen else str(number)


class StoppedError(KeyboardInterrupt):
    """The system asked the process to end; handled like Ctrl-C, so that drafts are removed."""


def end_by_raising() -> None:
    """Let SIGTERM and SIGHUP raise `StoppedError` in the main thread, and not end it at once.

    For commands only: a window's loop runs no Python for long. What the caller of the process
    decided, as nohup does of SIGHUP, stays.
    """
    if threading.current_thread() is threading.main_thread():
        for one in _ENDS:
            if signal.getsignal(one) is signal.SIG_DFL:
                signal.signal(one, _stop)


def end_at_once() -> None:
    """Undo `end_by_raising`."""
    if threading.current_thread() is threading.main_thread():
        for one in _ENDS:
            if signal.getsignal(one) is _stop:
                signal.signal(one, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    # A second one must not interrupt the tidying up.
    for one in _ENDS:
        signal.signal(one, signal.SIG_IGN)
    raise StoppedError(signal.Signals(number).name)


_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was too small, as Python, numpy, torch, onnxruntime and OpenCV say it."""
    if isinstance(error, MemoryError):
        return True
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    if cv2 is not None and isinstance(error, cv2.error):
        return getattr(error, "code", 0) == _CV_NO_MEMORY
    return isinstance(error, Exception) and any(sign in str(error) for sign in _NO_MEMORY)


#: How allocators without a class of errors say it: torch's on CPUs, by system, and onnxruntime's.
_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory:",
    "Failed to allocate memory",
    "bad_alloc",
)
#: OpenCV's StsNoMem.
_CV_NO_MEMORY = -4


def machine() -> str:
    """An identifier of this machine, this boot of it, and this container."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def runs(pid: int) -> bool:
    """Whether a process of this machine is running, as far as can be told."""
    if os.name == "nt":  # There, 0 is Ctrl-C and not a question: trust the heartbeat.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # It runs, but under another user; or no system counts so far.
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and only waits for its parent to collect its exit status."""
    try:
        # The name, in brackets, may hold anything; the state follows the last of them.
        said = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return said[:1] in ([b"Z"], [b"X"])

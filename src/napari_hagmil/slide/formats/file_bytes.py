"""Bytes of a file, from any thread, and a fingerprint that does not read all of them."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

_EDGE = 64 * 1024
_SAMPLE = 4096
_N_SAMPLES = 32


class FileBytes:
    """An open file that is read by position; threads share no cursor.

    Attributes
    ----------
    size : int
        Bytes.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.size = path.stat().st_size
        self._lock = threading.Lock()

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Return `n_bytes` from `offset`, or fewer where the file ends."""
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), n_bytes, offset)
        with self._lock:  # Windows has no pread.
            self._file.seek(offset)
            return self._file.read(n_bytes)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def fingerprint(path: Path) -> str:
    """Hash of a file's size, both ends and samples between; the path does not count.

    It tells slides apart, and a slide from its changed copy in all but contrived cases; it is
    no proof that two files are equal.
    """
    file = FileBytes(path)
    try:
        digest = hashlib.sha256(f"slide-v1:{file.size}".encode())
        digest.update(file.read(0, _EDGE))
        digest.update(file.read(max(0, file.size - _EDGE), _EDGE))
        for i in range(1, _N_SAMPLES):
            digest.update(file.read(file.size * i // _N_SAMPLES, _SAMPLE))
        return digest.hexdigest()[:32]
    finally:
        file.close()

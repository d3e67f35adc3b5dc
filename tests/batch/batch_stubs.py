"""What stands for the analysis of a slide where a test is about the run, importable by name."""

from __future__ import annotations

import json
import os
import signal
import time

from napari_hagmil.errors import SlideReadError
from napari_hagmil.ledger import write_manifest


def work(record, settings, folder):
    """Do what the slide's name says; the file's text is the result."""
    kind = record.name.split("-")[0]
    folder.mkdir(parents=True)
    (folder / "half.txt").write_text("half")
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif kind == "hang":
        time.sleep(600)
    elif kind == "greedy":
        eaten = bytearray(700 * 2**20)
        eaten[::4096] = b"x" * len(eaten[::4096])
        time.sleep(600)
    elif kind == "unreadable":
        raise SlideReadError(record.name, "cannot be decoded", remedy="copy it again")
    elif kind == "full":
        raise OSError(28, "No space left on device", "a file")
    elif kind == "readonly":
        raise OSError(30, "Read-only file system", "a file")
    elif kind == "bug":
        raise RuntimeError("an error that nobody foresaw")
    elif kind == "once":
        mark = record.path.with_suffix(".mark")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "slow":
        time.sleep(0.05)
    (folder / "half.txt").unlink()
    (folder / "data.bin").write_bytes(record.name.encode() * 1000)
    document = {"state": "done", "notes": [], "cost": {"seconds": time.time()}, "host": os.getpid()}
    (folder / "result.json").write_text(json.dumps(document))
    write_manifest(folder)
    return "done"


class SeenGpu:
    """Tells which GPUs a process sees, when as many processes as asked for are there."""

    def __call__(self):
        return self.answer

    def answer(self, request):
        folder, number, n = request
        (folder / f"{number}.here").touch()
        while len(list(folder.glob("*.here"))) < n:
            time.sleep(0.01)
        yield os.environ["CUDA_VISIBLE_DEVICES"]

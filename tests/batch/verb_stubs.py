"""What stands for encoding and evaluating a slide; apart, since it loads torch."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from napari_hagmil.errors import EncoderError, OutputError
from napari_hagmil.features.encode import EncodeEvent


@dataclass(frozen=True)
class VerbStub:
    """Does what the slide's name says, in each step and verb."""

    verb: str

    def __call__(self):
        return self.encode if self.verb == "encode" else self.evaluate

    def encode(self, request):
        step, record = request
        if step == "lay out":
            yield EncodeEvent("laid out", record.name, 0, 2)
            return
        yield EncodeEvent("encoded", record.name, 1, 2)
        act(record)
        yield EncodeEvent("done", record.name, 2, 2, state="done")

    def evaluate(self, request):
        act(request[1])
        yield request[1].name


@dataclass(frozen=True)
class NeverUp:
    """Ends, or raises, before it answers anything."""

    why: str

    def __call__(self):
        if self.why == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise EncoderError("the encoder", "is not here", remedy="name another")


def act(record):
    if record.name == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if record.name == "hang":
        time.sleep(600)
    if record.name == "once" and not record.path.exists():
        record.path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if record.name == "disk":
        raise OutputError("the disk", "is full", remedy="make room")

"""The errors of this package, as a tree.

::

    HagmilError
    ├── SlideFormatError (ValueError)      the file is not a slide that can be read
    │   └── MissingPixelSizeError          … its µm per pixel is missing or implausible
    ├── SlideReadError (OSError)           a place of an open slide cannot be decoded
    ├── SlideChangedError (RuntimeError)   the file was written to or replaced while it was read
    ├── NoTissueError (ValueError)         nothing to look at
    ├── AnnotationError (ValueError)       a GeoJSON or steering file does not say what it should
    ├── CohortError (ValueError)           a cohort's table does not say what it should
    ├── ProtocolError (ValueError)         a training protocol does not say what it should
    ├── TrainingError (RuntimeError)       a training cannot go on
    ├── ManifestError (ValueError)         the list of a folder's files and their hashes is broken
    ├── FeatureStoreError (ValueError)     stored features are missing, unfinished or of others
    ├── BundleError (ValueError)           a model bundle is broken or does not fit
    ├── EncoderError (RuntimeError)        an encoder cannot be used here
    ├── DeviceError (RuntimeError)         the device asked for is absent
    ├── OfflineError (OSError)             the network is needed, and the user forbade it
    ├── ProcessError (RuntimeError)        worker processes do not start
    ├── OutputError (OSError)              a result cannot be written
    ├── JournalError (OSError)             a review cannot be saved
    ├── ReviewHeldError (RuntimeError)     another window holds the review
    ├── MissingExtraError (ImportError)    an optional dependency is not installed
    └── CancelledError                     the user stopped the work

Every error carries a `Problem`: subject, rule, value and remedy. The library raises; the command
line and the window render the same problem, each with the remedy that its user can reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Front = Literal["library", "command line", "window"]
"""Who reads a sentence: a caller in Python, a user of the command line, a user of the window."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A remedy whose words depend on the reader: a Python caller, the command line, the window.

    Attributes
    ----------
    library : str
        For a caller in Python: "give mpp= in µm per pixel of level 0".
    command_line, window : str
        For the others; empty: the same.
    """

    library: str
    command_line: str = ""
    window: str = ""

    def on(self, front: Front) -> str:
        """The words for one kind of reader."""
        own = {"command line": self.command_line, "window": self.window}
        return own.get(front) or self.library


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and what to do about it: the content of an error or a warning.

    Attributes
    ----------
    subject : str
        What it is about: "tumor_001.tif".
    rule : str
        What holds, or should, as the rest of the clause: "needs a positive pixel size".
    value : object
        What was found instead; None where there is nothing to show.
    remedy : str or Remedy
        What to do, as an imperative: "choose another folder".
    """

    subject: str
    rule: str = ""
    value: object = None
    remedy: str | Remedy = ""

    @property
    def statement(self) -> str:
        """The problem without its remedy: for a sentence that ends with another."""
        # What other libraries say may have several lines; a name keeps its own.
        text = f"{self.subject} {_on_one_line(self.rule)}".strip()
        return text if self.value is None else f"{text}, got {_on_one_line(str(self.value))}"

    def sentence(self, front: Front = "library") -> str:
        """The problem as one sentence, without a full stop."""
        text = self.statement
        remedy = self.remedy.on(front) if isinstance(self.remedy, Remedy) else self.remedy
        return f"{text}; {remedy}" if remedy else text


def _on_one_line(text: str) -> str:
    lines = text.splitlines()
    return text if len(lines) < 2 and text == "".join(lines) else " ".join(filter(None, lines))


class HagmilError(Exception):
    """Anything this package raises on purpose.

    Parameters
    ----------
    subject, rule, value, remedy
        Of its `Problem`. ``str(error)`` is the sentence for a caller in Python.
    """

    def __init__(
        self,
        subject: str = "",
        rule: str = "",
        *,
        value: object = None,
        remedy: str | Remedy = "",
    ) -> None:
        self.problem = Problem(subject, rule, value, remedy)
        # One argument: what pickle hands back, and what OSError does not take for an errno.
        super().__init__(self.problem.sentence())

    def sentence(self, front: Front) -> str:
        """The problem in the words of one kind of reader."""
        return self.problem.sentence(front)


def statement_of(error: Exception) -> str:
    """What an error says; of this package's, without its remedy."""
    return error.problem.statement if isinstance(error, HagmilError) else str(error)


def system_reason(error: OSError) -> str:
    """Why the system refused, "No space left on device"; also where an error of ours wraps it."""
    cause = error.__cause__
    refused = cause if isinstance(error, HagmilError) and isinstance(cause, OSError) else error
    return refused.strerror or str(refused)


class SlideFormatError(HagmilError, ValueError):
    """The file is not a slide that this package can read."""


class MissingPixelSizeError(SlideFormatError):
    """The slide's µm per pixel is missing or implausible."""


class SlideReadError(HagmilError, OSError):
    """A place of an open slide cannot be decoded."""


class SlideChangedError(HagmilError, RuntimeError):
    """The slide's file was written to or replaced while it was read."""


class NoTissueError(HagmilError, ValueError):
    """The slide, or the mask given for it, holds no tissue."""


class AnnotationError(HagmilError, ValueError):
    """A GeoJSON or steering file does not say what it should."""


class CohortError(HagmilError, ValueError):
    """A cohort's table does not say what it should, or cannot be split as asked.

    Parameters
    ----------
    subject : str
        What is wrong, "cohort.csv cannot be used".
    problems : sequence of str
        Everything that is wrong, so that one round of corrections is enough.
    """

    #: Problems that the message spells out; the rest is counted.
    shown = 12

    def __init__(self, subject: str, problems: Sequence[str] = ()) -> None:
        some = list(problems[: self.shown])
        if len(problems) > self.shown:
            some.append(f"and {len(problems) - self.shown} more")
        super().__init__(f"{subject}: {'; '.join(some)}" if some else subject)
        self.problems = tuple(problems)


class ProtocolError(HagmilError, ValueError):
    """A training protocol does not say what it should."""


class TrainingError(HagmilError, RuntimeError):
    """A training cannot go on: its loss is not finite, or nothing is left to learn from."""


class ManifestError(HagmilError, ValueError):
    """The list of a folder's files and their hashes is broken."""


class FeatureStoreError(HagmilError, ValueError):
    """Stored features are missing, unfinished, or of another slide, encoder or depth."""


class BundleError(HagmilError, ValueError):
    """A model bundle is broken, or does not fit what it is used with."""


class EncoderError(HagmilError, RuntimeError):
    """An encoder cannot be used here."""


class DeviceError(HagmilError, RuntimeError):
    """The device asked for is not there."""


class OfflineError(HagmilError, OSError):
    """The network is needed, and the offline switch forbids it."""


class ResultError(HagmilError, ValueError):
    """An analysis cannot be read back from its folder, or is of another slide."""


class ProcessError(HagmilError, RuntimeError):
    """Worker processes do not start."""


class OutputError(HagmilError, OSError):
    """A result cannot be written."""


class JournalError(HagmilError, OSError):
    """A review cannot be saved."""


class ReviewHeldError(HagmilError, RuntimeError):
    """Another window holds the review of this slide."""


class MissingExtraError(HagmilError, ImportError):
    """An optional dependency is not installed."""


class DownloadError(HagmilError, OSError):
    """A public file cannot be fetched, or is another than it was."""


class CancelledError(HagmilError):
    """The user stopped the work; what was found until then stays."""

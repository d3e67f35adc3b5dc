"""What can go wrong, as a tree.

::

    HagmilError
    ├── SlideFormatError (ValueError)      the file is not a slide that can be read
    │   └── MissingPixelSizeError          … its µm per pixel is missing or implausible
    ├── SlideReadError (OSError)           a place of an open slide cannot be decoded
    ├── NoTissueError (ValueError)         nothing to look at
    ├── AnnotationError (ValueError)       a GeoJSON or steering file does not say what it should
    ├── CohortError (ValueError)           a cohort's table does not say what it should
    ├── ProtocolError (ValueError)         a training protocol does not say what it should
    ├── FeatureStoreError (ValueError)     stored features are missing, unfinished or of others
    ├── BundleError (ValueError)           a model bundle is broken or does not fit
    ├── EncoderError (RuntimeError)        an encoder cannot be used here
    ├── DeviceError (RuntimeError)         the device asked for is absent
    ├── OutputError (OSError)              a result cannot be written
    ├── JournalError (OSError)             a review cannot be saved
    ├── ReviewHeldError (RuntimeError)     another window has the review in hand
    ├── MissingExtraError (ImportError)    an optional dependency is not installed
    └── CancelledError                     the user stopped the work

Every message is one sentence: subject, rule, value, remedy. The library raises, the
application shows.
"""

from __future__ import annotations

from collections.abc import Sequence


class HagmilError(Exception):
    """Anything this package raises on purpose."""


class SlideFormatError(HagmilError, ValueError):
    """The file is not a slide that this package can read."""


class MissingPixelSizeError(SlideFormatError):
    """The slide's µm per pixel is missing or implausible."""


class SlideReadError(HagmilError, OSError):
    """A place of an open slide cannot be decoded."""


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

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        some = list(self.problems[: self.shown])
        if len(self.problems) > self.shown:
            some.append(f"and {len(self.problems) - self.shown} more")
        super().__init__(f"{subject}: {'; '.join(some)}")


class ProtocolError(HagmilError, ValueError):
    """A training protocol does not say what it should."""


class FeatureStoreError(HagmilError, ValueError):
    """Stored features are missing, unfinished, or of another slide, encoder or depth."""


class BundleError(HagmilError, ValueError):
    """A model bundle is broken, or does not fit what it is used with."""


class EncoderError(HagmilError, RuntimeError):
    """An encoder cannot be used here."""


class DeviceError(HagmilError, RuntimeError):
    """The device asked for is not there."""


class OutputError(HagmilError, OSError):
    """A result cannot be written."""


class JournalError(HagmilError, OSError):
    """A review cannot be saved."""


class ReviewHeldError(HagmilError, RuntimeError):
    """Another window has the review of this slide in hand."""


class MissingExtraError(HagmilError, ImportError):
    """An optional dependency is not installed."""


class CancelledError(HagmilError):
    """The user stopped the work; what was found until then stays."""

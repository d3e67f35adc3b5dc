"""Errors, told to people."""

from __future__ import annotations

from napari_hagmil.errors import HagmilError


def sentence(error: BaseException) -> str:
    """An error as one sentence for people."""
    if isinstance(error, HagmilError):
        text = error.sentence("window")
    else:
        text = f"unexpected {type(error).__name__}: {error}"
    # A file's name keeps its case.
    return text if "." in text.split(maxsplit=1)[0] else text[:1].upper() + text[1:]

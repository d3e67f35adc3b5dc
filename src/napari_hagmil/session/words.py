"""Errors, told to people."""

from __future__ import annotations

import re

from napari_hagmil.errors import HagmilError

#: How the library asks for a pixel size; a window has a field for it.
_ASKED = re.compile(r"mpp= \(on the command line --mpp\)(?: in µm per pixel of level 0)?")


def sentence(error: BaseException) -> str:
    """An error as one sentence for people."""
    if isinstance(error, HagmilError):
        text = str(error)
    else:
        text = f"unexpected {type(error).__name__}: {error}"
    # A file's name keeps its case.
    text = in_the_window(text)
    return text if "." in text.split(maxsplit=1)[0] else text[:1].upper() + text[1:]


def in_the_window(text: str) -> str:
    """A sentence of the library whose remedy is there on the screen, not on the command line."""
    return _ASKED.sub("the µm per pixel in the tab Slide", text)

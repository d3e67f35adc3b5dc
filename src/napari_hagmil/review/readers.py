"""Readers kept apart by name: each who gives one has a folder of their own among a slide's reviews.

Without a name the review is the one that everybody shares.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from napari_hagmil.untrusted import well_formed

#: Begins the name of a reader's folder.
PREFIX = "reader-"

#: Characters of a name that are kept: with its prefix it must fit a file system.
LONGEST = 60

#: What some file system does not take in a name, and what stands for it.
_ODD = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|%\[\]]|\.$')
_CODE = re.compile("%([0-9A-F]{2})")


def tidy_reader(name: str) -> str:
    """A reader's name in one spelling: composed, single spaces, none at its ends."""
    text = unicodedata.normalize("NFC", well_formed(name))
    return " ".join(text.split())[:LONGEST].strip()


def folder_name(reader: str) -> str:
    """Under which name a reader's folder is made; empty for the review that everybody shares."""
    name = tidy_reader(reader)
    return PREFIX + _ODD.sub(lambda found: f"%{ord(found[0]):02X}", name) if name else ""


def reader_folder(reviews: Path, reader: str) -> Path:
    """The folder of a reader among the reviews of a slide; without a name that of all.

    Capitals make no other reader: "ada" goes on where "Ada" began.
    """
    wanted = folder_name(reader)
    own = reviews / wanted
    if not wanted:
        return reviews
    if own.is_dir() or not reviews.is_dir():
        return own
    there = (one for one in sorted(reviews.glob(f"{PREFIX}*")) if one.is_dir())
    return next((one for one in there if one.name.casefold() == wanted.casefold()), own)


def reader_of(folder: Path) -> str:
    """The reader whose folder it is; empty for the review that everybody shares."""
    if not folder.name.startswith(PREFIX):
        return ""
    coded = folder.name.removeprefix(PREFIX)
    return _CODE.sub(lambda found: chr(int(found[1], 16)), coded)

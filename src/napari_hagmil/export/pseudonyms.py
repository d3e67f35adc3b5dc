"""Keyed pseudonyms, for results that name neither the slide's file nor its folders.

The same key gives the same slide the same pseudonym, so that results can be joined. Without the
key nobody can find the name behind a pseudonym, not even by trying names.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import replace
from pathlib import Path

from platformdirs import user_data_path

from napari_hagmil.cascade.result import SlideResult
from napari_hagmil.errors import HagmilError, OutputError, SlideReadError, system_reason
from napari_hagmil.files import replacing, write_private
from napari_hagmil.untrusted import read_regular

#: Bytes of a key.
_KEY = 32


class Pseudonym:
    """The pseudonym of one slide.

    Parameters
    ----------
    path : Path
        Of the slide.
    key : bytes

    Attributes
    ----------
    name : str
        "slide-" and 16 letters and digits.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        digest = hmac.new(key, os.fsencode(path.name), hashlib.sha256).digest()
        self.name = "slide-" + base64.b32encode(digest[:10]).decode().lower()
        places = {path, path.absolute(), path.resolve()}
        words = {str(place) for place in places} | {str(place.parent) for place in places}
        words |= {path.name, path.stem, path.absolute().parent.name}
        # The longest first: what is left of a path would still be a name.
        longest = sorted((one for one in words if len(one) > 1), key=len, reverse=True)
        self._words = re.compile("|".join(map(re.escape, longest)), re.IGNORECASE)

    def hide(self, text: str) -> str:
        """Replace the slide's name, and every path to it, by the pseudonym."""
        return self._words.sub(self.name, text)

    def result(self, result: SlideResult) -> SlideResult:
        """Return the result with the pseudonym in place of the name, also in its notes."""
        return replace(
            result,
            slide=replace(result.slide, name=self.name),
            notes=tuple(map(self.hide, result.notes)),
            unfit=self.hide(result.unfit),
        )

    def error(self, error: HagmilError | OSError) -> HagmilError:
        """Return the error with the pseudonym; raise it ``from None``: its cause holds the name."""
        if not isinstance(error, HagmilError):
            reason = self.hide(system_reason(error))
            return SlideReadError(self.name, f"cannot be read ({reason})", remedy="check its file")
        said = error.problem
        hidden = SlideReadError(self.name, remedy=said.remedy)
        value = None if said.value is None else self.hide(str(said.value))
        hidden.problem = replace(
            said, subject=self.hide(said.subject), rule=self.hide(said.rule), value=value
        )
        hidden.args = (hidden.problem.sentence(),)
        return hidden


def own_key(path: Path | None = None) -> bytes:
    """The user's key; made on first use, readable by the user alone.

    Parameters
    ----------
    path : Path, optional
        By default ``pseudonym.key`` in the user's data folder.

    Raises
    ------
    OutputError
        When it can be neither read nor made.
    """
    path = path or user_data_path("napari-hagmil", appauthor=False) / "pseudonym.key"
    try:
        if not path.exists():
            with replacing(path) as draft:
                write_private(draft, secrets.token_hex(_KEY))
        key = bytes.fromhex(read_regular(path, 1024).decode("ascii").strip())
        if len(key) < _KEY:
            raise ValueError("it is too short")
    except (OSError, ValueError) as error:
        raise OutputError(
            f"the key of pseudonyms, {path.name},",
            f"can be neither read nor made ({error})",
            remedy="remove it to have a new one, which gives other pseudonyms",
        ) from error
    return key

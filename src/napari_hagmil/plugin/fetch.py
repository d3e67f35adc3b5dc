"""Public files, fetched when the user asks: each by its address, checked by its hash."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.errors import DownloadError
from napari_hagmil.files import replacing
from napari_hagmil.permission import require_network

#: Where files are fetched from instead of their own hosts: an address to which the file's name is
#: added, a mirror's or a test's.
MIRROR = "HAGMIL_MIRROR"

_SILENCE = 30.0
_PIECE = 2**20


@dataclass(frozen=True, slots=True)
class PublicFile:
    """A file that anybody may fetch.

    Attributes
    ----------
    name : str
        As it is called here; may hold a folder.
    url : str
        Its address.
    sha256 : str
        Of its bytes: anything else is refused.
    n_bytes : int
        Its size; no more is read.
    licence, source : str
        Under which terms, and whose it is.
    """

    name: str
    url: str
    sha256: str
    n_bytes: int
    licence: str
    source: str


#: A small region of a slide of breast tissue, H&E at 20×.
CMU_1 = PublicFile(
    "CMU-1-Small-Region.svs",
    "https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs",
    "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7",
    1_938_955,
    "CC0-1.0",
    "OpenSlide test data, Carnegie Mellon University",
)


def fetch(
    file: PublicFile, folder: Path, on_progress: Callable[[float], None] | None = None
) -> Path:
    """Fetch a file, unless it is there already.

    Parameters
    ----------
    file : PublicFile
    folder : Path
        Where it is kept; made when missing.
    on_progress : callable, optional
        Called with the fraction done.

    Returns
    -------
    Path
        Whose bytes have the file's hash.

    Raises
    ------
    OfflineError
        When the network is forbidden.
    DownloadError
        When it cannot be reached, or is another file than it was.
    OutputError
        When it cannot be written.
    """
    path = folder / file.name
    if path.is_file() and _sha256(path) == file.sha256:
        return path
    mirror = os.environ.get(MIRROR, "")
    url = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url
    require_network(f"{file.name} from {url}")
    with replacing(path) as draft:
        _download(url, file, draft, on_progress or (lambda share: None))
    return path


def _download(
    url: str, file: PublicFile, draft: Path, on_progress: Callable[[float], None]
) -> None:
    digest, n_read = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as answer, draft.open("wb") as out:
            while piece := answer.read(_PIECE):
                n_read += len(piece)
                if n_read > file.n_bytes:
                    break
                digest.update(piece)
                out.write(piece)
                on_progress(n_read / file.n_bytes)
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors
        raise DownloadError(
            file.name,
            f"cannot be fetched from {url} ({getattr(error, 'reason', None) or error})",
            remedy=f"look after the network, or set {MIRROR} to where you have it",
        ) from error
    if digest.hexdigest() != file.sha256:
        raise DownloadError(
            file.name,
            f"from {url} is not the file that it was: its hash is another",
            remedy="fetch it later, or use a slide of your own",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

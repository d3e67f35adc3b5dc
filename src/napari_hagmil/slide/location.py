"""The location of a slide: on a disk, or behind a URL that is carried in a `Path`."""

from __future__ import annotations

import re
from pathlib import Path

#: A scheme of at least two letters, so that the drive letter of a Windows path is no match. A chain
#: ("simplecache::s3://…") is one scheme.
_URL = re.compile(r"([A-Za-z][\w+.-]+(?:::[A-Za-z][\w+.-]+)*):/+")


def url_of(path: str | Path) -> str | None:
    """Return the URL that a path stands for; None when it lies on a disk.

    A `Path` keeps one of the two slashes of a URL: both spellings are understood, so that a URL
    can be passed wherever a path can. ``file:`` URLs are paths.

    Examples
    --------
    >>> url_of(Path("https://host/slide.zarr"))
    'https://host/slide.zarr'
    >>> url_of("slides/a.svs") is None
    True
    """
    text = path.as_posix() if isinstance(path, Path) else path
    found = _URL.match(text)
    if found is None or found[1].lower() == "file":
        return None
    return f"{found[1]}://{text[found.end() :]}"


def local_path(path: str | Path) -> Path:
    """Return the path on disk; ``file:`` URLs lose their scheme."""
    text = path.as_posix() if isinstance(path, Path) else path
    found = _URL.match(text)
    if found is not None and found[1].lower() == "file":
        return Path("/" + text[found.end() :])
    return Path(path)

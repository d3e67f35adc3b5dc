"""Read-only Zarr stores, on disk or behind a URL, that check every chunk they return."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

from zarr.abc.store import RangeByteRequest, Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, WrapperStore

from napari_hagmil.errors import MissingExtraError, SlideFormatError
from napari_hagmil.permission import is_this_machine, require_network
from napari_hagmil.slide.formats.ome_zarr.guard import Check
from napari_hagmil.slide.location import url_of

#: Names of metadata documents: never chunks.
_DOCUMENTS = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")

#: Bytes of a document of text that are read: OME-XML of many planes has some 10 MB.
_MOST_TEXT = 16 * 2**20

#: Seconds without a byte after which a server is given up, and those that one object may take.
_SILENCE, _MOST = 30.0, 300.0

#: A gap that no two parts of a shard have, overlapping or not: none are fetched as one.
_NEVER = -(2**62)

#: Protocols of fsspec that stay on this machine.
_LOCAL = ("file", "local", "memory")


class GuardedStore(WrapperStore):  # type: ignore[misc]
    """A store that counts what is read, and refuses chunks that would swell.

    Attributes
    ----------
    checks : dict of str to callable
        By an array's path: raises ValueError when a chunk of it must not be decoded.
    bytes_read : int
        Since it was last taken.
    """

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.checks: dict[str, Check] = {}
        self.bytes_read = 0
        self._lock = threading.Lock()

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Fetch a document or a chunk."""
        found = await self._store.get(key, prototype, byte_range)
        return self._checked(key, found, byte_range)

    async def get_partial_values(
        self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]
    ) -> list[Any]:
        """Fetch parts of shards."""
        ranges = list(key_ranges)
        found = await self._store.get_partial_values(prototype, ranges)
        return [
            self._checked(key, buffer, part)
            for (key, part), buffer in zip(ranges, found, strict=True)
        ]

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Fetch as `get` does, without an event loop (zarr from 3.2 on)."""
        found = self._store.get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._checked(key, found, byte_range)

    async def get_ranges(
        self, key: str, byte_ranges: Sequence[Any], *, prototype: Any, **how: Any
    ) -> AsyncIterator[Any]:
        """Fetch parts of a shard (zarr from 3.2 on), none merged with the next: each is checked."""
        how["max_gap_bytes"] = _NEVER
        async for group in Store.get_ranges(self, key, byte_ranges, prototype=prototype, **how):
            yield group

    def get_ranges_sync(
        self, key: str, byte_ranges: Sequence[Any], *, prototype: Any, **how: Any
    ) -> Any:
        """Fetch as `get_ranges` does, without an event loop."""
        how["max_gap_bytes"] = _NEVER
        return super().get_ranges_sync(key, byte_ranges, prototype=prototype, **how)

    async def _get_many(self, requests: Iterable[tuple[Any, ...]]) -> AsyncIterator[Any]:
        for request in requests:
            yield request[0], await self.get(*request)

    def take_bytes_read(self) -> int:
        """Return how many bytes were read since the last call."""
        with self._lock:
            n_bytes, self.bytes_read = self.bytes_read, 0
        return n_bytes

    def holds(self, key: str) -> bool:
        """Whether there is such an object."""
        return bool(sync(self._store.exists(key)))

    def text(self, key: str) -> str:
        """Read the beginning of a document; empty where there is none."""
        part = RangeByteRequest(0, _MOST_TEXT)
        found = sync(self._store.get(key, default_buffer_prototype(), part))
        return "" if found is None else found.to_bytes().decode("utf-8", errors="replace")

    def fetch(self, keys: Sequence[str]) -> list[bytes]:
        """Fetch objects as they are stored, unchecked; empty where there is none."""
        return list(sync(self._fetch(keys)))

    async def _fetch(self, keys: Sequence[str]) -> list[bytes]:
        prototype = default_buffer_prototype()
        found = await asyncio.gather(*(self._store.get(key, prototype) for key in keys))
        return [b"" if buffer is None else buffer.to_bytes() for buffer in found]

    def _checked(self, key: str, buffer: Any, part: Any) -> Any:
        if buffer is not None and not key.endswith(_DOCUMENTS):
            data = buffer.to_bytes()
            with self._lock:
                self.bytes_read += len(data)
            for path, check in self.checks.items():
                if not path or key.startswith(path + "/"):
                    check(data, part)
        return buffer


def local_keys(folder: Path, limit: int) -> list[str] | None:
    """Names of all objects under a folder, with slashes; None when there are more than `limit`."""
    keys: list[str] = []
    waiting = [(folder, "")]
    while waiting:
        place, prefix = waiting.pop()
        with os.scandir(place) as entries:
            for entry in entries:
                if len(keys) + len(waiting) >= limit:
                    return None
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((place / entry.name, f"{prefix}{entry.name}/"))
                else:
                    keys.append(prefix + entry.name)
    return keys


def open_guarded(path: Path) -> GuardedStore:
    """Open what a path or URL names, for reading.

    Raises
    ------
    MissingExtraError
        When a URL's protocol wants a package that is not installed.
    SlideFormatError
        When the protocol is unknown.
    OfflineError
        When a URL leads to another machine, and the user wants no use of the network.
    """
    url = url_of(path)
    if url is None:
        return GuardedStore(LocalStore(path, read_only=True))
    scheme = url.partition("://")[0]
    if scheme.rpartition("::")[2] not in _LOCAL and not is_this_machine(url):
        require_network(f"the slide {path.name}")
    try:
        options = _patience(scheme)
        return GuardedStore(FsspecStore.from_url(url, read_only=True, storage_options=options))
    except ImportError as error:
        raise MissingExtraError(
            scheme,
            "addresses need a package that is not installed",
            remedy=f"run: pip install {_package(scheme)}",
        ) from error
    except ValueError as error:
        raise SlideFormatError(
            path.name,
            f"cannot be reached ({error})",
            remedy="give an https or s3 address, or a folder",
        ) from error


def _patience(scheme: str) -> dict[str, Any]:
    """Options of a web address: a server that says nothing for long is given up."""
    if scheme not in ("http", "https"):
        return {}
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=_MOST, sock_connect=_SILENCE, sock_read=_SILENCE)
    return {"client_kwargs": {"timeout": timeout}}


def _package(scheme: str) -> str:
    from fsspec.registry import known_implementations

    name = scheme.rpartition("::")[2]
    package = str(known_implementations.get(name, {}).get("class", "fsspec")).partition(".")[0]
    return "'napari-hagmil[remote]'" if package == "fsspec" else package

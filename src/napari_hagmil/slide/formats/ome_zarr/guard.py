"""Check what a Zarr chunk declares on its way from the store to the codec.

Codecs trust what a chunk's header declares: 100 KB of zeros may claim to be 2 GB. Some codecs can
run code. Both are refused here.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Callable
from math import prod
from typing import Any

import imagecodecs

from napari_hagmil.errors import SlideFormatError

#: Codecs that may stand between a chunk and its bytes, by their names in both formats. Others
#: can run code (numcodecs' pickle) or have no bound.
COMPRESSORS = frozenset({"blosc", "zstd", "gzip", "zlib", "bz2", "lz4"})
_HARMLESS = frozenset(
    {"bytes", "transpose", "sharding_indexed", "crc32c", "crc32", "adler32", "fletcher32"}
    | {"delta", "shuffle", "bitround", "fixedscaleoffset", "quantize", "astype", "packbits"}
)

#: What incompressible bytes grow by, generously.
_SLACK = 1.1, 2**20

#: A zstd frame starts so; blosc and lz4 have no mark.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

#: Bytes that are inflated at a time, to be counted and forgotten.
_STEP = 2**20

Check = Callable[[bytes, Any], None]
"""Given a chunk's bytes and which part of the stored object they are (None: all of it)."""


def compressor_of(array: Any, name: str) -> str:
    """Name the one codec that compresses an array's chunks; "" for none.

    Raises
    ------
    SlideFormatError
        When a codec is not on the list of those that are safe.
    """
    codecs = [*array.filters, *array.compressors]
    if array.metadata.zarr_format == 3:
        codecs += list(array.metadata.codecs)
    names = [_codec_name(codec) for codec in codecs]
    for codec in names:
        if codec not in COMPRESSORS | _HARMLESS:
            raise SlideFormatError(
                name,
                f"stores its chunks with the codec {codec}, which is not read here",
                remedy="write it again with blosc, zstd or gzip",
            )
    return next((codec for codec in names if codec in COMPRESSORS), "")


def _codec_name(codec: Any) -> str:
    """``"blosc"`` for numcodecs' Blosc, Zarr 3's BloscCodec and "numcodecs.blosc"."""
    stated = getattr(codec, "codec_id", None) or codec.to_dict().get("name", "")
    return str(stated).rpartition(".")[2]


def chunk_check(array: Any, compressor: str) -> Check:
    """Make the check of an array's chunks.

    It raises ValueError for a chunk that is larger than its pixels could ever be, or that
    declares, or inflates to, more than them.
    """
    n_bytes = prod(array.chunks) * array.dtype.itemsize
    limit = int(n_bytes * _SLACK[0]) + _SLACK[1]

    def check_one(data: bytes) -> None:
        size = len(data) if len(data) > limit else _decoded_size(compressor, data, limit)
        if size > limit:
            raise ValueError(f"it swells to {size / 1e6:.0f} MB where {n_bytes / 1e6:.1f} MB fit")

    if array.shards is None:
        return lambda data, _: check_one(data)
    return _shard_check(array, check_one)


def _shard_check(array: Any, check_one: Callable[[bytes], None]) -> Check:
    """Check the chunks of a shard, whether it is read in parts or whole."""
    codec = next(c for c in array.metadata.codecs if _codec_name(c) == "sharding_indexed")
    n_chunks = prod(s // c for s, c in zip(array.shards, array.chunks, strict=True))
    n_index = 16 * n_chunks + 4 * sum(_codec_name(c) == "crc32c" for c in codec.index_codecs)
    at_end = str(codec.index_location).endswith("end")

    def check(data: bytes, part: Any) -> None:
        start = getattr(part, "start", None)
        if part is None:
            index = data[-n_index:] if at_end else data[:n_index]
            for offset, size in struct.iter_unpack("<QQ", index[: 16 * n_chunks]):
                if size < 2**63:  # all ones: no such chunk
                    check_one(data[offset : offset + size])
        elif start is not None and (at_end or start >= n_index):
            check_one(data)

    return check


def _decoded_size(compressor: str, data: bytes, limit: int) -> int:
    """Bytes that a chunk decodes to, found without holding more than `limit` of them."""
    if compressor == "blosc" and len(data) >= 16:
        # Blosc believes this length, and reads what lies behind the chunk in memory.
        if struct.unpack_from("<I", data, 12)[0] > len(data):
            raise ValueError("it is cut short")
        return int(struct.unpack_from("<I", data, 4)[0])
    if compressor == "lz4" and len(data) >= 4:
        return int(struct.unpack_from("<I", data, 0)[0])
    if compressor == "zstd" and data[:4] == _ZSTD_MAGIC:
        return zstd_size(data) or len(imagecodecs.zstd_decode(data, out=limit))
    if compressor in ("gzip", "zlib"):
        return _inflated(zlib.decompressobj(47), data, limit)
    if compressor == "bz2":
        return _inflated(bz2.BZ2Decompressor(), data, limit)
    return len(data)


def zstd_size(data: bytes) -> int:
    """Decoded bytes that the header of a zstd frame declares; 0 when it declares none."""
    if len(data) < 18:
        return 0
    descriptor = data[4]
    flag, single = descriptor >> 6, bool(descriptor & 0x20)
    at = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    if flag == 0 and not single:
        return 0
    n_bytes = (1, 2, 4, 8)[flag]
    return int.from_bytes(data[at : at + n_bytes], "little") + (256 if n_bytes == 2 else 0)


def _inflated(decoder: Any, data: bytes, limit: int) -> int:
    """Count what a stream inflates to, up to the first byte too many."""
    total, rest = 0, data
    try:
        while total <= limit and not decoder.eof:
            part = decoder.decompress(rest, _STEP)
            total += len(part)
            rest = getattr(decoder, "unconsumed_tail", b"")
            if not part and not rest:
                break
    except (zlib.error, OSError):
        return total  # damaged: the codec will say so
    return total

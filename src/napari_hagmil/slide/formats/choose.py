"""Which backend reads a file, and why: decided by its content."""

from __future__ import annotations

from pathlib import Path

from napari_hagmil.errors import SlideFormatError
from napari_hagmil.slide.formats.image import ImageReader
from napari_hagmil.slide.formats.orientation import upright
from napari_hagmil.slide.formats.tiff.reader import TiffReader, UnstitchedTiffError
from napari_hagmil.slide.interface import SlideReader
from napari_hagmil.slide.location import url_of

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")
_ZARR_DOCUMENTS = ("zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata")

#: The first bytes of formats that only OpenSlide reads, and the names of these formats.
_OPENSLIDE_MAGIC = {
    b"[Virtual Microscope Specimen]": "a Hamamatsu VMS",
    b"[Uncompressed Virtual Microscope": "a Hamamatsu VMU",
    b"ZISRAWFILE": "a Zeiss CZI",
    b"SQLite format 3": "a Sakura svslide",
}

_HEAD_BYTES = 132


def choose_reader(path: Path) -> SlideReader:
    """Open a path with the backend for its content.

    Raises
    ------
    SlideFormatError
        When no backend reads it.
    MissingExtraError
        When the backend needs a package that is not installed.
    """
    if url_of(path) is not None:
        return _zarr_reader(path)
    try:
        if path.is_dir():
            return _folder_reader(path)
        if path.exists() and not path.is_file():
            # Opening a pipe would block, and reading a device may never end.
            raise SlideFormatError(path.name, "is no regular file", remedy="give a slide's file")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except SlideFormatError:
        raise
    except (OSError, ValueError) as error:  # a ValueError of a path with a zero byte
        raise SlideFormatError(
            path.name,
            f"cannot be opened ({getattr(error, 'strerror', None) or error})",
            remedy="check the path and your access to it",
        ) from error
    # The .mrxs itself is a JPEG thumbnail: only its name and its folder say that it is a slide.
    if path.suffix.lower() == ".mrxs":
        return _openslide_reader(path, "a 3DHistech MIRAX")
    return _file_reader(path, head)


def _file_reader(path: Path, head: bytes) -> SlideReader:
    if head[:4] in _TIFF_MAGIC:
        try:
            tiff = TiffReader(path)
            return upright(tiff, path.name, tiff.orientation)
        except UnstitchedTiffError as error:
            return _openslide_reader(path, error.problem.sentence())
    if head.startswith(_IMAGE_MAGIC):
        image = ImageReader(path)
        return upright(image, path.name, image.orientation)
    if head[128:] == b"DICM":
        return _dicom_reader(path)
    for magic, why in _OPENSLIDE_MAGIC.items():
        if head.startswith(magic):
            return _openslide_reader(path, why)
    vendor = _openslide_vendor(path)
    if vendor is not None:
        return _openslide_reader(path, f"a slide that only OpenSlide knows ({vendor})")
    raise SlideFormatError(
        path.name,
        f"is neither TIFF, DICOM, PNG nor JPEG (it starts with {head[:4]!r})",
        remedy="give a slide that was copied whole",
    )


def _folder_reader(path: Path) -> SlideReader:
    if any((path / name).is_file() for name in _ZARR_DOCUMENTS):
        return _zarr_reader(path)
    return _dicom_reader(path)


def _zarr_reader(path: Path) -> SlideReader:
    from napari_hagmil.slide.formats.ome_zarr.reader import ZarrReader  # slow to import

    return ZarrReader(path)


def _dicom_reader(path: Path) -> SlideReader:
    from napari_hagmil.slide.formats.dicom import DicomReader  # an optional extra

    return DicomReader(path)


def _openslide_reader(path: Path, why: str) -> SlideReader:
    from napari_hagmil.slide.formats.openslide import OpenSlideReader  # an optional extra

    return OpenSlideReader(path, why)


def _openslide_vendor(path: Path) -> str | None:
    from napari_hagmil.slide.formats.openslide import knows  # an optional extra

    return knows(path)

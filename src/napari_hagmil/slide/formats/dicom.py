"""DICOM whole-slide images, through wsidicom (an optional extra)."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from napari_hagmil.errors import MissingExtraError, Problem, SlideFormatError
from napari_hagmil.slide.color_profile import bounded
from napari_hagmil.slide.formats.damage import damaged_tile, reason_of
from napari_hagmil.slide.formats.file_bytes import fingerprint
from napari_hagmil.slide.formats.segments import check_scan, check_segment
from napari_hagmil.slide.interface import (
    Address,
    LevelGrid,
    Meter,
    Pixels,
    PixelSize,
    SlideFacts,
)

_NAMES = {
    "1.2.840.10008.1.2.4.50": "JPEG",
    "1.2.840.10008.1.2.4.51": "JPEG",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
}

#: Files of a folder that are looked into; a slide has about ten instances.
_MAX_FILES = 2000


class DicomReader:
    """The instances of one DICOM slide.

    Parameters
    ----------
    path : Path
        The folder, or one instance of it; its siblings of the same series belong to it.
    """

    backend = "dicom"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wsi: Any = None
        wsidicom = _wsidicom()
        # pydicom warns about every value that is a letter too long; none concerns a pixel.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._files = _instances(path)
            try:
                self._wsi = wsidicom.WsiDicom.open(self._files)
                self._levels = list(self._wsi.levels)
                self.facts = self._facts()
            except Exception as error:  # wsidicom's errors share no base
                self.close()
                raise SlideFormatError(
                    path.name,
                    f"is not a DICOM slide that can be read ({reason_of(error)}; "
                    f"its {_labels(self._files[0])})",
                    remedy="give the instances of a VL whole-slide image",
                ) from error

    def close(self) -> None:
        """Close the files."""
        if self._wsi is not None:
            self._wsi.close()

    def fingerprint(self) -> str:
        """Hash of the instances; neither names nor order count."""
        parts = sorted(fingerprint(file) for file in self._files)
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:32]

    def read_tile(self, address: Address, meter: Meter) -> Pixels | None:
        """Decode one tile."""
        index, row, column = address
        data = self._levels[index].default_instance.image_data
        place = _point(column, row), data.default_z, data.default_path
        grid = self.facts.grids[index]
        try:
            encoded = data.get_encoded_tile(*place)
            meter.add(len(encoded))
            check_segment(encoded, grid.compression, grid.tile)
            pixels = np.asarray(data.get_decoded_tile(*place))
            if grid.compression == "JPEG":
                inside = grid.shape[0] - row * grid.tile[0], grid.shape[1] - column * grid.tile[1]
                # The grey is looked for in wsidicom's pixels, the scan with one decoder.
                if pixels[: inside[0], : inside[1]][-4:, -4:].std() == 0:
                    check_scan(encoded, _decoded(encoded), inside, _decoded)
        except Exception as error:  # wsidicom's errors share no base
            raise damaged_tile(self.path.name, address, error) from error
        return pixels if pixels.ndim == 3 else pixels[..., None]

    def _facts(self) -> SlideFacts:
        grids = []
        for level in self._levels:
            data = level.default_instance.image_data
            grids.append(
                LevelGrid(
                    (int(level.size.height), int(level.size.width)),
                    (int(level.tile_size.height), int(level.tile_size.width)),
                    _compression(data),
                )
            )
        finest, light = self._levels[0], _light(self._files)
        data = finest.default_instance.image_data
        channels = int(data.samples_per_pixel)
        size = PixelSize((float(finest.mpp.height), float(finest.mpp.width)), "DICOM pixel spacing")
        counts = {"label": self._wsi.labels, "macro": self._wsi.overviews}
        return SlideFacts(
            grids=tuple(grids),
            n_channels=channels,
            is_rgb=channels == 3,
            fluorescence="" if channels == 3 else "1 grey channel",
            pixel_sizes=(size,),
            objective=_objective(light),
            color_profile=bounded(light.get("ICCProfile")),
            vendor="DICOM",
            associated=tuple(name for name, found in counts.items() if found is not None),
            problems=tuple(_beside(self.path.name, data)),
            why="DICOM instances of one series",
        )


def _beside(name: str, data: Any) -> Iterator[Problem]:
    """Name what the finest level has beside the picture that is shown."""
    counts = {"focal planes": len(data.focal_planes), "optical paths": len(data.optical_paths)}
    for what, count in counts.items():
        if count > 1:
            yield Problem(name, f"holds more than is shown: {count - 1} more {what}")


def _wsidicom() -> Any:
    try:
        import wsidicom
    except ImportError as error:
        raise MissingExtraError(
            "A DICOM slide",
            "needs wsidicom, which is not installed",
            remedy="run: pip install 'napari-hagmil[dicom]'",
        ) from error
    return wsidicom


def _instances(path: Path) -> list[Path]:
    """Files of the slide: those in the folder, or the siblings of an instance in its series."""
    import pydicom

    folder = path if path.is_dir() else path.parent
    series: dict[str, list[Path]] = {}
    scans = set()
    for file in sorted(folder.iterdir())[:_MAX_FILES]:
        if file.is_file() and _is_dicom(file):
            uid, is_scan = _series_of(pydicom, file)
            series.setdefault(uid, []).append(file)
            scans |= {uid} if uid and is_scan else set()
    if path.is_file():
        return next((files for uid, files in series.items() if uid and path in files), [path])
    series.pop("", None)
    if not series:
        raise SlideFormatError(
            path.name, "is a folder without DICOM instances", remedy="give the folder of one slide"
        )
    if len(scans) > 1:
        raise SlideFormatError(
            path.name,
            f"holds the instances of {len(scans)} DICOM slides",
            remedy="give one instance of the slide that you mean; its series is found beside it",
        )
    # Labels and overviews may be series of their own, beside that of the scan.
    return series[scans.pop()] if scans else [file for files in series.values() for file in files]


def finest_instance(path: Path) -> Path:
    """The instance of a slide's finest level.

    Parameters
    ----------
    path : Path
        As `DicomReader` takes it.

    Raises
    ------
    SlideFormatError
        When there is none.
    """
    import pydicom

    best: tuple[int, Path] | None = None
    tags = ["ImageType", "TotalPixelMatrixColumns"]
    for file in _instances(path) if path.is_dir() or (path.is_file() and _is_dicom(path)) else ():
        header = pydicom.dcmread(file, specific_tags=tags, stop_before_pixels=True, force=True)
        width = int(header.get("TotalPixelMatrixColumns") or 0)
        is_scan = "VOLUME" in (header.get("ImageType") or ())
        if is_scan and width and (best is None or width > best[0]):
            best = width, file
    if best is None:
        raise SlideFormatError(
            path.name, "is no DICOM slide", remedy="give the folder of a DICOM slide"
        )
    return best[1]


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _series_of(pydicom: Any, path: Path) -> tuple[str, bool]:
    """Series of an instance, and whether it is a scan; no series for what cannot be read."""
    tags = ["SeriesInstanceUID", "ImageType"]
    try:
        header = pydicom.dcmread(path, specific_tags=tags, stop_before_pixels=True)
        return str(header.SeriesInstanceUID), "VOLUME" in (header.get("ImageType") or ())
    except Exception:  # a damaged sibling must not cost the slide
        return "", False


def _labels(path: Path) -> str:
    """Say what the instance calls itself, for the one sentence that refuses it."""
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    kind = "\\".join(header.get("ImageType") or ()) or "missing"
    return f"ImageType is {kind}, its photometric {header.get('PhotometricInterpretation')}"


def _decoded(encoded: bytes) -> Pixels:
    return np.atleast_3d(np.asarray(imagecodecs.jpeg8_decode(encoded)))


def _point(column: int, row: int) -> Any:
    from wsidicom.geometry import Point

    return Point(column, row)


def _light(files: list[Path]) -> Any:
    """How the first instance of the pyramid that says so was lit and seen; empty where none does.

    Of several optical paths the first is shown.
    """
    import pydicom

    tags = ["ImageType", "OpticalPathSequence"]
    for file in files:
        header = pydicom.dcmread(file, specific_tags=tags, stop_before_pixels=True, force=True)
        if "VOLUME" in (header.get("ImageType") or ()):
            for light in header.get("OpticalPathSequence") or ():
                return light
    return {}


def _objective(light: Any) -> float | None:
    """Magnification of the objective, where it is stated."""
    power = light.get("ObjectiveLensPower")
    return float(power) if power else None


def _compression(data: Any) -> str:
    uid = str(data.transfer_syntax)
    return _NAMES.get(uid, f"DICOM transfer syntax {uid}")

"""Slides with names, a barcode, a date and folders planted in every field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import made_slides as made
import numpy as np
import odd_slides as odd
import tifffile

from planted import PLANTED

FIELDS = "|".join(f"Field{i} = {text}" for i, text in enumerate(PLANTED))

Picture = np.ndarray


def aperio(path: Path, levels: Sequence[Picture]) -> Path:
    """SVS, with a label."""
    tags = [(code, 2, 0, PLANTED[i], True) for i, code in enumerate((270, 305, 315, 316, 33432))]
    with tifffile.TiffWriter(path) as tiff:
        for i, level in enumerate(levels):
            said = f"Aperio Image Library\r\n{level.shape}|AppMag = 40|MPP = 0.25|{FIELDS}"
            options = {"tile": (256, 256), "compression": "zlib", "photometric": "rgb"}
            tiff.write(level, description=said, metadata=None, extratags=tags[2:], **options)
            if i == 0:
                tiff.write(level[::8, ::8].copy(), photometric="rgb", metadata=None)
        label = levels[0][:90, :80].copy()
        tiff.write(label, photometric="rgb", subfiletype=1, description="label " + FIELDS)
    return path


def ome_tiff(path: Path, levels: Sequence[Picture]) -> Path:
    """OME-TIFF: an experimenter, the image's name, its description, a channel's name."""
    made.write_ome_tiff(path, levels)
    said = tifffile.tiffcomment(path)
    person = f'<Experimenter UserName="{FIELDS}"/><Image Description="{PLANTED[1]}" '
    said = said.replace("<Image ", person).replace('Name="Image0"', f'Name="{PLANTED[2]}"')
    said = said.replace("<Channel ", f'<Channel Name="{PLANTED[1]}" ')
    tifffile.tiffcomment(path, said.encode())
    return path


def ndpi(path: Path, levels: Sequence[Picture]) -> Path:
    """NDPI, with a maker, a program and a reference that say too much."""
    odd.ndpi(path, levels[0])
    content = path.read_bytes().replace(b"made by a test", PLANTED[2].encode().ljust(14))
    path.write_bytes(content)
    return path


def dicom(path: Path, levels: Sequence[Picture]) -> Path:
    """A folder of DICOM instances with a patient."""
    import dicom_slides
    import pydicom

    dicom_slides.write_dicom(path, levels)
    for file in sorted(path.iterdir()):
        instance = pydicom.dcmread(file)
        instance.PatientName, instance.PatientID = PLANTED[0], PLANTED[2]
        instance.PatientBirthDate, instance.InstitutionName = PLANTED[3], PLANTED[4]
        instance.ContainerIdentifier, instance.AccessionNumber = PLANTED[2], PLANTED[5]
        instance.StudyDate = instance.ContentDate = PLANTED[3]
        instance.StudyDescription = instance.SeriesDescription = PLANTED[1]
        instance.ReferringPhysicianName = PLANTED[0]
        instance.save_as(file)
    return path


#: How each format is written, and the end of its file's name.
FORMATS: dict[str, tuple[Callable[[Path, Sequence[Picture]], Path], str]] = {
    "svs": (aperio, ".svs"),
    "ome": (ome_tiff, ".ome.tif"),
    "ndpi": (ndpi, ".ndpi"),
    "dicom": (dicom, ""),
}


def plant(folder: Path, kind: str, levels: Sequence[Picture], n: int = 0) -> Path:
    """Write a slide whose folders and name are planted, too."""
    write, ending = FORMATS[kind]
    place = folder / PLANTED[4] / PLANTED[1]
    place.mkdir(parents=True, exist_ok=True)
    return write(place / f"{PLANTED[5]} {PLANTED[3]}-{n}{ending}", levels)

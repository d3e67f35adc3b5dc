"""Which picture of a TIFF is the slide, and that its facts are its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import made_slides as made
import numpy as np
import pytest
import tifffile

from napari_hagmil.slide import open_slide

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


@dataclass(frozen=True)
class One:
    """A picture of a file: name, rows and columns, µm per pixel (0: not stated), lens, levels."""

    name: str
    shape: tuple[int, int]
    mpp: float = 0.0
    lens: float = 0.0
    levels: int = 1


SCAN = One("scan", (512, 640), 0.5, 20, 2)


def xml(pictures: Sequence[One], quote: str = '"') -> bytes:
    """OME-XML of pictures of three samples; the k-th has the k-th page."""
    lenses, images = "", ""
    for i, one in enumerate(pictures):
        size = "".join(f'PhysicalSize{a}="{one.mpp}" PhysicalSize{a}Unit="µm" ' for a in "XY")
        if one.lens:
            lenses += f'<Objective ID="Objective:{i}" NominalMagnification="{one.lens}"/>'
        images += (
            f'<Image ID="Image:{i}" Name="{one.name}">'
            + (f'<ObjectiveSettings ID="Objective:{i}"/>' if one.lens else "")
            + f'<Pixels ID="Pixels:{i}" DimensionOrder="XYCZT" Type="uint8" '
            f'SizeX="{one.shape[1]}" SizeY="{one.shape[0]}" SizeC="3" SizeZ="1" SizeT="1" '
            f'{size if one.mpp else ""}><Channel ID="Channel:{i}:0" SamplesPerPixel="3"/>'
            f'<TiffData IFD="{i}" PlaneCount="1"/></Pixels></Image>'
        )
    head = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{OME}">'
    text = f'{head}<Instrument ID="Instrument:0">{lenses}</Instrument>{images}</OME>'
    return text.replace('"', quote).encode()


def write(path: Path, pictures: Sequence[One], quote: str = '"') -> Path:
    """An OME-TIFF whose k-th picture is grey of value 10 (k + 1)."""
    options = {"photometric": "rgb", "tile": (256, 256), "compression": "zlib", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        for i, one in enumerate(pictures):
            pixels = np.full((*one.shape, 3), 10 * (i + 1), np.uint8)
            text = xml(pictures, quote) if i == 0 else None
            tiff.write(pixels, description=text, subifds=one.levels - 1, software=False, **options)
            for level in range(1, one.levels):
                tiff.write(pixels[:: 2**level, :: 2**level], subfiletype=1, **options)
    return path


CASES = {
    "macro first, of an implausible pixel size": (One("macro", (300, 100), 16.4), SCAN),
    "macro first, of a plausible pixel size": (One("", (300, 100), 4.0, 1.25), SCAN),
    "macro as tifffile names pictures": (One("Image0", (300, 100), 8.0), SCAN),
    "larger macro by name": (One("macro image", (1000, 900), 16.4), SCAN),
    "larger macro by its pixels": (One("", (1000, 900), 16.4), SCAN),
    "larger macro without a pixel size": (One("x", (1000, 900)), SCAN),
    "larger label": (One("slide.svs - label", (1000, 900)), SCAN),
    "label of the same size": (One("label", (512, 640), 0.5), SCAN),
    "thumbnail behind": (SCAN, One("Thumbnail 2", (900, 900), 0.6)),
    "two scans": (One("scan", (300, 400), 0.5, 20, 2), SCAN, One("macro", (700, 700), 9.0)),
    "two scans of other lenses": (One("scan", (400, 400), 0.25, 40, 2), SCAN),
    "a scan called after macrophages": (
        One("macro", (90, 90)),
        One("CD68 macrophages", *((SCAN.shape, 0.5, 20, 2))),
    ),
}


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("name", CASES)
def test_the_scan_is_opened_with_its_own_facts(name: str, quote: str, tmp_path: Path) -> None:
    pictures = CASES[name]
    (at,) = (i for i, one in enumerate(pictures) if (one.shape, one.levels) == (SCAN.shape, 2))
    with open_slide(write(tmp_path / "a.ome.tif", pictures, quote)) as slide:
        assert [level.shape for level in slide.levels] == [(512, 640), (256, 320)]
        assert (slide.mpp, slide.mpp_source) == (0.5, "OME PhysicalSize")
        assert slide.objective == 20
        assert (slide.read(0, (0, 0), (2, 2)) == 10 * (at + 1)).all()
        others = [w for w in slide.warnings if "another scan" in w]
        assert len(others) == name.startswith("two scans") + ("without" in name)
        assert len(slide.associated) == len(pictures) - 1


def test_a_file_of_a_macro_alone_opens_it(tmp_path: Path) -> None:
    with open_slide(write(tmp_path / "a.ome.tif", [One("macro", (300, 200), 8.0)])) as slide:
        assert (slide.shape, slide.mpp) == ((300, 200), 8.0)


@pytest.mark.parametrize(
    ("description", "resolution", "kind"),
    [("label 1000x900", None, "label"), ("Macro Image", None, "macro"), ("", 16.4, "macro")],
    ids=["label", "macro", "unnamed, with its resolution"],
)
def test_a_generic_tiff_is_its_scan_though_the_macro_is_larger(
    description, resolution, kind, tmp_path: Path
) -> None:
    options = {"photometric": "rgb", "metadata": None, "software": False}
    sizes = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    macro = {"resolution": (1e4 / resolution,) * 2} if resolution else {"resolution": (72, 72)}
    unit = {"resolutionunit": "CENTIMETER" if resolution else "INCH"}
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        pixels = np.full((1000, 900, 3), 7, np.uint8)
        tiff.write(pixels, description=description, rowsperstrip=100, **macro, **unit, **options)
        for step in (1, 2):
            scan = np.full((600 // step, 800 // step, 3), 9, np.uint8)
            tiff.write(scan, tile=(256, 256), subfiletype=int(step > 1), **sizes, **options)
    with open_slide(tmp_path / "a.tif") as slide:
        assert [level.shape for level in slide.levels] == [(600, 800), (300, 400)]
        assert (slide.mpp, slide.associated) == (0.5, (kind,))
        assert (slide.read(0, (0, 0), (2, 2)) == 9).all()


@pytest.mark.parametrize("side", [400, 4000], ids=["smaller macro", "larger macro"])
def test_leicas_scan_is_not_its_macro(side: int, tmp_path: Path) -> None:
    scan = [np.full((1024 // s, 1024 // s, 3), 9, np.uint8) for s in (1, 4)]
    made.write_scn(tmp_path / "a.scn", scan, macro=np.full((side, side // 2, 3), 7, np.uint8))
    with open_slide(tmp_path / "a.scn") as slide:
        assert [level.shape for level in slide.levels] == [(1024, 1024), (256, 256)]
        assert (slide.mpp, slide.objective) == (made.MPP, 20)
        assert slide.associated == ("macro",)
        assert not slide.warnings

"""What stands in for the real slides where they are not: the same names, kinds and stated facts.

Pixels are a phantom's. What a scanner's own file alone can show is tested on `real_slides_dir`.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import cv2
import made_slides as made
import numpy as np
import odd_slides as odd
import tifffile

#: Rows and columns of the slide that most tests use.
SHAPE = (2967, 2220)

_APERIO = "Aperio Image Library v11.2.1 \n"


def write_stand_ins(folder: Path, phantom: Path) -> Path:
    """Write the folder of slides.

    Parameters
    ----------
    folder : Path
        Is made.
    phantom : Path
        A phantom slide of 4096 px or more; its pixels are taken.
    """
    pixels = tifffile.imread(phantom, level=0)
    scan = np.ascontiguousarray(pixels[600 : 600 + SHAPE[0], 900 : 900 + SHAPE[1]])
    (folder / "broken").mkdir(parents=True)
    _svs(folder / "CMU-1-Small-Region.svs", scan)
    _coarse_jpeg_2000(folder / "luna-1065626.svs", pixels)
    for kind in ("jpeg", "webp"):
        _wrong_mpp(folder / f"CMU-1-wrong-mpp.{kind}.tiff", scan, kind)
    _boxes(folder / "openslide-python-boxes.tiff")
    _vectra(folder / "pathml-small_vectra.qptiff", scan)
    _fluorescence(folder / "slideio-test3-DAPI-2-387.ndpi", scan)
    square = cv2.cvtColor(pixels[900:3400, 900:3400], cv2.COLOR_RGB2BGR)
    (folder / "histoprep-slide.jpeg").write_bytes(cv2.imencode(".jpg", square)[1].tobytes())
    if find_spec("pydicom"):
        from dicom_slides import write_dicom

        write_dicom(folder / "CMU-1-Small-Region-dicom", [scan], mpp=0.499)
        _no_dicom_slide(folder)
    _broken(folder / "broken", scan)
    return folder


def put_in_place(made: Path, real: Path) -> Path:
    """Put the real slides that are there (`make data` fetches some) in place of the made ones."""
    for path in sorted(real.rglob("*")):
        stand_in = made / path.relative_to(real)
        if path.is_file() and stand_in.is_file():
            shutil.copyfile(path, stand_in)
    return made


def _svs(path: Path, scan: np.ndarray) -> None:
    """One level of RGB in JPEG tiles, thumbnail, label and macro."""
    encoded, _ = odd.tiles_of(
        scan, 240, level=85, colorspace="RGB", outcolorspace="RGB", subsampling="420"
    )
    split = [odd.abbreviated(tile) for tile in encoded]
    tables = split[0][0]
    about = "46000x32914 [42673,5576 2220x2967] (240x240) JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990"
    names = "|Filename = CMU-1|Date = 12/29/09|User = b414003d-95c6-48b0-9369-8010ed517ba7"
    pages = [
        {
            "data": iter([rest for _, rest in split]),
            "shape": scan.shape,
            "dtype": np.uint8,
            "tile": (240, 240),
            "compression": "jpeg",
            "description": f"{_APERIO}{about}{names}",
            "extratags": [(347, 7, len(tables), tables, True)],
        },
        {"data": scan[::4, ::4].copy(), "rowsperstrip": 16, "description": f"{_APERIO}2220x2967 -"},
        _extra(scan[:463, :387], "label 387x463", 1),
        _extra(scan[:431, :1280], "macro 1280x431", 9),
    ]
    odd.write_pages(path, pages)
    with tifffile.TiffFile(path, mode="r+") as tiff:  # tifffile's writer takes all JPEG for YCbCr
        tiff.pages[0].tags["PhotometricInterpretation"].overwrite(2)


def _extra(pixels: np.ndarray, text: str, kind: int) -> dict[str, object]:
    return {"data": pixels.copy(), "subfiletype": kind, "description": f"{_APERIO}{text}"}


def _coarse_jpeg_2000(path: Path, pixels: np.ndarray) -> None:
    """Two levels of JPEG 2000, of the kind whose stream says nothing of YCbCr."""
    odd.svs_2000(path, np.ascontiguousarray(pixels[1024:2048, 1024:2304]))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        said = odd.APERIO.replace("MPP = 0.5", "MPP = 0.5026")
        tiff.pages[0].tags["ImageDescription"].overwrite(said)


def _wrong_mpp(path: Path, scan: np.ndarray, kind: str) -> None:
    """A BigTIFF whose tags state a hundredth of the pixel size."""
    per_cm = 1e4 / 0.00499
    tifffile.imwrite(
        path,
        scan,
        bigtiff=True,
        photometric="rgb",
        tile=(256, 256),
        compression=kind,
        compressionargs={"level": 80, "lossless": False} if kind == "webp" else {"level": 80},
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
        metadata=None,
    )


def _boxes(path: Path) -> None:
    """Four small levels in small tiles, at the resolution of a screen."""
    picture = np.full((250, 300, 3), 255, np.uint8)
    picture[:125, :150], picture[:125, 150:], picture[125:, :150] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
    )
    with tifffile.TiffWriter(path) as tiff:
        for level in made.halved(picture, (1, 2, 4, 8)):
            tiff.write(
                level,
                photometric="rgb",
                subfiletype=int(level is not picture),
                tile=(64, 64),
                compression="deflate",
                resolution=(28.3464, 28.3464),
                resolutionunit="CENTIMETER",
                metadata=None,
            )


def _vectra(path: Path, scan: np.ndarray) -> None:
    """Three grey channels of one level in strips, and pictures beside them."""
    channels = [(255 - scan[:1440, :1920, i]) // 6 for i in range(3)]  # as most use of 8 bits
    grey = {"photometric": "minisblack", "rowsperstrip": 16, "compression": "lzw"}
    facts = [odd._qpi(name, "FullResolution") for name in ("DAPI", "FITC", "Cy3")]
    size = {"resolution": (20139.7, 20139.7), "resolutionunit": "CENTIMETER"}
    pages = [
        grey | said | size | {"data": np.ascontiguousarray(channel)}
        for channel, said in zip(channels, facts, strict=True)
    ]
    for page, color in zip(pages, ("0,0,255", "0,255,0", "255,255,0"), strict=True):
        said = page["description"].replace("20x", "10x").replace("255,0,0", color)
        page["description"] = said
    odd.write_pages(path, [*pages, {"data": scan[::8, ::8].copy()} | odd._qpi("", "Thumbnail")])


def _fluorescence(path: Path, scan: np.ndarray) -> None:
    """Hamamatsu's fluorescence: dark RGB, a filter's name among the tags."""
    dark = np.zeros((2048, 2048, 3), np.uint8)
    dark[..., 2] = 255 - scan[:2048, :2048, 0]
    odd.ndpi(path, dark, lens=40.0, light="DAPI", per_cm=43826)


def _no_dicom_slide(folder: Path) -> None:
    """An instance whose pixels are of another kind than it says."""
    import pydicom

    whole = folder / "CMU-1-Small-Region-dicom" / "level-0.dcm"
    instance = pydicom.dcmread(whole)
    instance.ImageType, instance.PhotometricInterpretation = ["ORIGINAL", "PRIMARY"], "MONOCHROME9"
    instance.save_as(folder / "broken" / "pathml-small_dicom.dcm")


def _broken(folder: Path, scan: np.ndarray) -> None:
    (folder / "broken.svs").write_bytes(b"no slide " * 111 + b"..")
    unreadable = folder / "openslide-python-unreadable.svs"
    shutil.copy(folder.parent / "CMU-1-Small-Region.svs", unreadable)
    with tifffile.TiffFile(unreadable, mode="r+") as tiff:
        page = tiff.pages[0]
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    with unreadable.open("r+b") as file:
        for offset, n_bytes in places:
            file.seek(offset)
            file.write(b"\xff" * n_bytes)
    made.write_generic(folder / "unopenable.tiff", [scan[:512, :512]])
    with tifffile.TiffFile(folder / "unopenable.tiff", mode="r+") as tiff:
        tiff.pages[0].tags["Compression"].overwrite(52479)

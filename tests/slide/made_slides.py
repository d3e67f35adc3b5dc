"""The same pixels in every format that can be written here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numcodecs
import numpy as np
import tifffile
import zarr

Picture = np.ndarray

MPP = 0.5
SCN = "http://www.leica-microsystems.com/scn/2010/10/01"


def halved(pixels: Picture, steps: Sequence[int]) -> list[Picture]:
    """The pixels, smaller by each step."""
    return [
        pixels
        if step == 1
        else cv2.resize(
            pixels,
            (pixels.shape[1] // step, pixels.shape[0] // step),
            interpolation=cv2.INTER_AREA,
        )
        for step in steps
    ]


def write_generic(path: Path, levels: Sequence[Picture], **options: Any) -> Path:
    """A page per level, lossless unless told otherwise."""
    settings = {"tile": (256, 256), "compression": "deflate", "predictor": True} | options
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for level in levels:
            per_cm = 1e4 / (MPP * levels[0].shape[0] / level.shape[0])
            tiff.write(
                level,
                photometric="rgb",
                subfiletype=int(level is not levels[0]),
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                metadata=None,
                **settings,
            )
    return path


def write_jpeg(path: Path, levels: Sequence[Picture]) -> Path:
    """Lossy, with subsampled colour."""
    return write_generic(path, levels, compression="jpeg", predictor=None)


def write_strips(path: Path, levels: Sequence[Picture]) -> Path:
    """One level in strips of 100 rows."""
    return write_generic(path, levels[:1], tile=None, rowsperstrip=100)


def write_jpeg_2000(
    path: Path, levels: Sequence[Picture], kind: int = 33005, *, thumbnail: bool = True
) -> Path:
    """Aperio's JPEG 2000, reversible, of either kind; the stream states its colour transform."""
    with tifffile.TiffWriter(path) as tiff:
        for i, level in enumerate(levels):
            tiles = [
                imagecodecs.jpeg2k_encode(tile, codecformat="j2k", reversible=True, mct=True)
                for tile in _tiles(level, 256)
            ]
            tiff.write(
                iter(tiles),
                shape=level.shape,
                dtype=np.uint8,
                tile=(256, 256),
                compression=kind,
                photometric="rgb",
                description=f"Aperio Image Library v12\n|AppMag = 20|MPP = {MPP}",
                metadata=None,
            )
            if i == 0 and thumbnail:
                small = cv2.resize(levels[0], (90, 110), interpolation=cv2.INTER_AREA)
                tiff.write(small, photometric="rgb", description="Aperio", metadata=None)
    return path


def _tiles(pixels: Picture, side: int) -> list[Picture]:
    rows, columns = (-(-s // side) * side for s in pixels.shape[:2])
    missing = (0, rows - pixels.shape[0]), (0, columns - pixels.shape[1]), (0, 0)
    padded = np.pad(pixels, missing, mode="edge")
    return [
        np.ascontiguousarray(padded[y : y + side, x : x + side])
        for y in range(0, rows, side)
        for x in range(0, columns, side)
    ]


def write_ome_tiff(path: Path, levels: Sequence[Picture]) -> Path:
    """Levels in sub-IFDs."""
    options = {"photometric": "rgb", "tile": (128, 128), "compression": "zlib"}
    metadata = {"axes": "YXS"} | {
        key: value
        for axis in "XY"
        for key, value in (
            (f"PhysicalSize{axis}", MPP),
            (f"PhysicalSize{axis}Unit", "µm"),
        )
    }
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, **options)
    return path


def write_scn(
    path: Path,
    levels: Sequence[Picture],
    *,
    more: Sequence[Picture] = (),
    macro: Picture | None = None,
    at: tuple[int, int] = (0, 0),
) -> Path:
    """Leica's: a macro image and the scan (and one `more`), told apart by XML in the first page.

    The scan lies `at` that pixel (y, x) of its own size on the glass.
    """
    if macro is None:
        macro = cv2.resize(levels[-1], (60, 120), interpolation=cv2.INTER_AREA)
    height, width = levels[0].shape[:2]
    nm = round(MPP * 1000)

    def dimensions(pictures: Sequence[Picture], first: int) -> str:
        return "".join(
            f'<dimension sizeX="{p.shape[1]}" sizeY="{p.shape[0]}" r="{i}" ifd="{first + i}"/>'
            for i, p in enumerate(pictures)
        )

    def image(name: str, pictures: Sequence[Picture], first: int, view: str) -> str:
        lens = 20 if first else 0.60833
        size = f'sizeX="{pictures[0].shape[1]}" sizeY="{pictures[0].shape[0]}"'
        return (
            f'<image name="{name}" uuid="urn:uuid:{first}"><creationDate>2020-01-01T00:00:00Z'
            '</creationDate><device model="Leica SCN400" version="1"/>'
            f"<pixels {size}>{dimensions(pictures, first)}</pixels>{view}"
            f"<scanSettings><objectiveSettings><objective>{lens}</objective></objectiveSettings>"
            "<illuminationSettings><numericalAperture>0.4</numericalAperture><illuminationSource>"
            "brightfield</illuminationSource></illuminationSettings></scanSettings></image>"
        )

    # The picture that shows the whole collection is the macro.
    glass = f'sizeX="{(width + at[1]) * nm}" sizeY="{(2 * height + at[0]) * nm}"'
    size, offset = (
        f'sizeX="{width * nm}" sizeY="{height * nm}"',
        f'offsetX="{at[1] * nm}" offsetY="{at[0] * nm}"',
    )
    part, whole = f"<view {size} {offset}/>", f'<view {glass} offsetX="0" offsetY="0"/>'
    xml = (
        f'<?xml version="1.0"?><scn xmlns="{SCN}"><collection name="c" uuid="urn:uuid:9" '
        f"{glass}><barcode>secret</barcode>"
        f"{image('c', [macro], 0, whole)}{image('scan', levels, 1, part)}"
        + (image("scan 2", more, 1 + len(levels), part) if more else "")
        + "</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for i, level in enumerate([macro, *levels, *more]):
            tiff.write(
                level,
                photometric="rgb",
                tile=(256, 256),
                compression="deflate",
                description=xml if i == 0 else None,
                resolution=(1e4 / MPP, 1e4 / MPP),
                resolutionunit="CENTIMETER",
                software=False,
                metadata=None,
            )
    return path


def write_philips(path: Path, levels: Sequence[Picture]) -> Path:
    """Philips': levels padded to whole tiles; the XML tells their true pixel spacing."""
    side = 512

    def attribute(name: str, value: str, kind: str = "IString") -> str:
        tag = f'Name="{name}" Group="0x301D" Element="0x1" PMSVR="{kind}"'
        return f"<Attribute {tag}>{value}</Attribute>"

    def spacing(index: int) -> str:
        step = levels[0].shape[0] / levels[index].shape[0]
        size = f"{MPP / 1000 * round(step):.8f}"
        inner = attribute("DICOM_PIXEL_SPACING", f'"{size}" "{size}"', "IDoubleArray")
        inner += attribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", str(index), "IUInt16")
        return f'<DataObject ObjectType="PixelDataRepresentation">{inner}</DataObject>'

    scans = "".join(spacing(i) for i in range(len(levels)))
    pyramid = attribute(
        "PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE", f"<Array>{scans}</Array>", "IDataObjectArray"
    )
    wsi = attribute("PIM_DP_IMAGE_TYPE", "WSI") + pyramid
    xml = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        + attribute("DICOM_MANUFACTURER", "PHILIPS")
        + attribute(
            "PIM_DP_SCANNED_IMAGES",
            f'<Array><DataObject ObjectType="DPScannedImage">{wsi}</DataObject></Array>',
            "IDataObjectArray",
        )
        + "</DataObject>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for i, level in enumerate(levels):
            rows, columns = (-(-s // side) * side for s in level.shape[:2])
            missing = (0, rows - level.shape[0]), (0, columns - level.shape[1]), (0, 0)
            tiff.write(
                np.pad(level, missing, constant_values=255),
                photometric="rgb",
                tile=(side, side),
                compression="deflate",
                description=xml if i == 0 else "",
                software="Philips DP v1.0",
                subfiletype=int(i > 0),
                metadata=None,
            )
    return path


def write_zarr(path: Path, levels: Sequence[Picture], version: str = "0.5", **options: Any) -> Path:
    """OME-Zarr, (c, y, x)."""
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for i, level in enumerate(levels):
        step = levels[0].shape[0] / level.shape[0]
        settings = {"chunks": (3, 256, 256), "fill_value": 0} | options
        group.create_array(str(i), data=np.moveaxis(level, -1, 0).copy(), **settings)
        scale = [1.0, MPP * step, MPP * step]
        transforms = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(i), "coordinateTransformations": transforms})
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    axes = [{"name": "c", "type": "channel"}, *space]
    image = {"axes": axes, "datasets": datasets, "version": version}
    if version == "0.4":
        group.attrs["multiscales"] = [image]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [image]}
    return path


def write_plain_zarr(path: Path, levels: Sequence[Picture]) -> Path:
    """One array (y, x, c) without a word about it."""
    options = {"chunks": (200, 300, 3), "compressors": numcodecs.Zlib(), "zarr_format": 2}
    zarr.create_array(path, data=levels[0], **options)
    return path


def write_png(path: Path, levels: Sequence[Picture]) -> Path:
    """A plain picture."""
    path.write_bytes(imagecodecs.png_encode(levels[0]))
    return path


def write_vms(path: Path, pixels: Picture) -> Path:
    """Hamamatsu's VMS: a key file beside a JPEG with restart markers, and a JPEG map."""
    names = {"ImageFile": f"{path.stem}.jpg", "MapFile": f"{path.stem}_map.jpg"}
    small = cv2.resize(pixels, (256, 256), interpolation=cv2.INTER_AREA)
    for name, picture in ((names["ImageFile"], pixels), (names["MapFile"], small)):
        options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_RST_INTERVAL, 8]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        encoded = cv2.imencode(".jpg", picture[..., ::-1], options)[1]
        (path.parent / name).write_bytes(encoded.tobytes())
    height, width = (round(side * MPP * 1000) for side in pixels.shape[:2])
    lines = {"NoLayers": 1, "NoJpegColumns": 1, "NoJpegRows": 1, **names}
    lines |= {"MacroImage": names["MapFile"], "OptimisationFile": ""}
    lines |= {"PhysicalWidth": width, "PhysicalHeight": height}
    lines |= {"SourceLens": 20, "LayerSpacing": 0}
    text = "".join(f"{key}={value}\n" for key, value in lines.items() if value != "")
    path.write_text(f"[Virtual Microscope Specimen]\n{text}")
    return path

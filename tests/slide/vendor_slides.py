"""Slides of vendors whose files only OpenSlide reads, written as its documentation describes them.

The scan is laid in tiles that overlap, as cameras take it, so that what reads them must stitch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import tifffile
from made_slides import MPP, Picture

#: A tile's side and what it shares with its neighbour, px of level 0.
SIDE, OVERLAP = 256, 16
ADVANCE = SIDE - OVERLAP

OBJECTIVE = 20


def _scan(pixels: Picture) -> dict[tuple[int, int], Picture]:
    """Overlapping tiles of a picture, by row and column; they cover it whole."""
    rows, columns = ((side - OVERLAP) // ADVANCE for side in pixels.shape[:2])
    if pixels.shape[:2] != (rows * ADVANCE + OVERLAP, columns * ADVANCE + OVERLAP):
        raise ValueError(f"tiles do not cover {pixels.shape}")
    return {(r, c): _tile(pixels, r, c) for r in range(rows) for c in range(columns)}


def _extent(tiles: dict[tuple[int, int], Picture]) -> tuple[int, int]:
    rows, columns = max(tiles)
    return rows + 1, columns + 1


def write_mrxs(path: Path, levels: Sequence[Picture], empty: int = 1) -> Path:
    """Write MIRAX of two levels: a stub beside a folder of Slidedat.ini, Index.dat, Data0000.dat.

    `empty` positions of the camera on each side were not scanned.
    """
    scan = _scan(levels[0])
    rows, columns = _extent(scan)
    across, down = columns + 2 * empty, rows + 2 * empty
    tiles = {(r + empty, c + empty): tile for (r, c), tile in scan.items()}
    folder = path.with_suffix("")
    folder.mkdir()
    path.write_bytes(imagecodecs.jpeg8_encode(levels[0][:64, :64].copy()))
    data = bytearray(b"data of a slide")

    def stored(payload: bytes) -> tuple[int, int]:
        start = len(data)
        data.extend(payload)
        return start, len(payload)

    pages = []
    for concat in (1, 2):
        entries = []
        for (row, column), picture in _joined(tiles, concat):
            place = stored(imagecodecs.png_encode(picture))
            entries.append(struct.pack("<4i", row * across + column, *place, 0))
        pages.append(struct.pack("<2i", len(entries), 0) + b"".join(entries))
    positions = b"".join(
        struct.pack("<b2i", 0, x * ADVANCE, y * ADVANCE) for y in range(down) for x in range(across)
    )
    record = struct.pack("<7i", 1, 0, 0, 0, *stored(positions), 0)
    (folder / "Index.dat").write_bytes(_mirax_index("slide-of-a-test", pages, record))
    (folder / "Data0000.dat").write_bytes(data)
    (folder / "Slidedat.ini").write_text(_slidedat("slide-of-a-test", across, down), "utf-8-sig")
    return path


def _tile(pixels: Picture, row: int, column: int) -> Picture:
    y, x = row * ADVANCE, column * ADVANCE
    return np.ascontiguousarray(pixels[y : y + SIDE, x : x + SIDE])


def _joined(
    tiles: dict[tuple[int, int], Picture], concat: int
) -> Iterator[tuple[tuple[int, int], Picture]]:
    """Tiles joined in squares of `concat`, each shrunk to the size of one; white where none is."""
    part = SIDE // concat
    squares = sorted({(r // concat * concat, c // concat * concat) for r, c in tiles})
    for row, column in squares:
        joined = np.full((SIDE, SIDE, 3), 255, np.uint8)
        for i in range(concat):
            for j in range(concat):
                tile = tiles.get((row + i, column + j))
                if tile is not None:
                    joined[i * part : (i + 1) * part, j * part : (j + 1) * part] = cv2.resize(
                        tile, (part, part), interpolation=cv2.INTER_AREA
                    )
        yield (row, column), joined


def _mirax_index(name: str, pages: list[bytes], record: bytes) -> bytes:
    """Two roots, tables of pointers to lists, and the lists' pages."""
    index = bytearray(b"01.02" + name.encode())
    roots = len(index)
    tables = [roots + 8, roots + 8 + 4 * len(pages)]
    index += struct.pack("<2i", *tables)
    lists = tables[1] + 4
    blocks = [*pages, record]
    index += struct.pack(f"<{len(blocks)}i", *(lists + 8 * i for i in range(len(blocks))))
    place = lists + 8 * len(blocks)
    for block in blocks:
        index += struct.pack("<2i", 0, place)
        place += len(block)
    return bytes(index + b"".join(blocks))


def _slidedat(name: str, across: int, down: int) -> str:
    hierarchy = {
        "INDEXFILE": "Index.dat",
        "HIER_COUNT": 1,
        "HIER_0_NAME": "Slide zoom level",
        "HIER_0_COUNT": 2,
        "HIER_0_VAL_0_SECTION": "LEVEL_0",
        "HIER_0_VAL_1_SECTION": "LEVEL_1",
        "NONHIER_COUNT": 1,
        "NONHIER_0_NAME": "VIMSLIDE_POSITION_BUFFER",
        "NONHIER_0_COUNT": 1,
        "NONHIER_0_VAL_0": "default",
        "NONHIER_0_VAL_0_SECTION": "POSITIONS",
    }
    sections = {
        "GENERAL": {
            "SLIDE_VERSION": "01.02",
            "SLIDE_ID": name,
            "IMAGENUMBER_X": across,
            "IMAGENUMBER_Y": down,
            "OBJECTIVE_MAGNIFICATION": OBJECTIVE,
            "CameraImageDivisionsPerSide": 1,
        },
        "HIERARCHICAL": hierarchy,
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"},
    }
    for level in (0, 1):
        sections[f"LEVEL_{level}"] = {
            "IMAGE_CONCAT_FACTOR": level,
            "OVERLAP_X": OVERLAP / 2**level,
            "OVERLAP_Y": OVERLAP / 2**level,
            "MICROMETER_PER_PIXEL_X": MPP * 2**level,
            "MICROMETER_PER_PIXEL_Y": MPP * 2**level,
            "IMAGE_FILL_COLOR_BGR": 0xFFFFFF,
            "DIGITIZER_WIDTH": SIDE,
            "DIGITIZER_HEIGHT": SIDE,
            "IMAGE_FORMAT": "PNG",
        }
    return "".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())
        for section, lines in sections.items()
    )


def write_bif(path: Path, levels: Sequence[Picture]) -> Path:
    """Write a Ventana BIF of two levels, with the joints of its tiles in XML."""
    tiles = _scan(levels[0])
    rows, columns = _extent(tiles)
    scan = (
        f'<iScan Magnification="{OBJECTIVE}" ScanRes="{MPP}" Z-layers="1" '
        'ScannerModel="VENTANA iScan HT" UniqueID="1"/>'
    ).encode()
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:

        def write(picture: Picture, description: str, xml: bytes | None, **options) -> None:
            tiff.write(
                picture,
                photometric="rgb",
                description=description,
                software="ScanOutputManager 1.1",
                extratags=[(700, 1, len(xml), xml, True)] if xml else [],
                metadata=None,
                **options,
            )

        write(levels[0][:200, :100], "Label Image", scan)
        for level, concat in enumerate((1, 2)):
            mosaic = np.zeros(
                (-(-rows // concat) * SIDE, -(-columns // concat) * SIDE, 3), np.uint8
            )
            for (row, column), picture in _joined(tiles, concat):
                y, x = row * SIDE // concat, column * SIDE // concat
                mosaic[y : y + SIDE, x : x + SIDE] = picture
            xml = _encode_info(rows, columns) if level == 0 else None
            description = f"level={level} mag={OBJECTIVE // concat} quality=95"
            write(mosaic, description, xml, tile=(SIDE, SIDE), compression="lzw")
    return path


def _encode_info(rows: int, columns: int) -> bytes:
    """Joints of neighbours; tiles are counted from the lower left, every second row backwards."""

    def number(row: int, column: int) -> int:
        from_below = rows - 1 - row
        return 1 + from_below * columns + (columns - 1 - column if from_below % 2 else column)

    def joint(direction: str, first: int, second: int) -> str:
        overlap = (OVERLAP, 0) if direction == "RIGHT" else (0, OVERLAP)
        return (
            f'<TileJointInfo FlagJoined="1" Confidence="99" Direction="{direction}" '
            f'Tile1="{first}" Tile2="{second}" OverlapX="{overlap[0]}" OverlapY="{overlap[1]}"/>'
        )

    joints = [
        joint("RIGHT", number(r, c), number(r, c + 1))
        for r in range(rows)
        for c in range(columns - 1)
    ]
    joints += [
        joint("UP", number(r, c), number(r - 1, c)) for r in range(1, rows) for c in range(columns)
    ]
    return (
        '<EncodeInfo Ver="2"><SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" '
        f'Width="{SIDE}" Height="{SIDE}" NumRows="{rows}" NumCols="{columns}" '
        f'Pos-X="0" Pos-Y="0">{"".join(joints)}</ImageInfo></SlideStitchInfo>'
        '<AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    ).encode()


def write_czi(
    path: Path, levels: Sequence[Picture], *, pixel_type: int = 3, compression: int = 5
) -> Path:
    """Write a Zeiss CZI: overlapping blocks in Zstandard, and a coarse level in one plain block.

    Another pixel type or compression (of the blocks of level 0) is only said, not written.
    """
    origin = (-1000, 2000)  # where the stage stood
    blocks = []
    for m, ((r, c), tile) in enumerate(_scan(levels[0]).items()):
        place = origin[0] + r * ADVANCE, origin[1] + c * ADVANCE
        blocks.append((place, 1, m, tile))
    blocks.append((origin, 2, 0, levels[1]))
    header = 32 + 512
    body, entries = bytearray(), []
    for place, step, m, picture in blocks:
        kind = pixel_type, compression if step == 1 else 0
        entry = _czi_entry((place, step, m), picture, header + len(body), kind)
        entries.append(entry)
        payload = picture[..., ::-1].tobytes()
        if step == 1:
            payload = imagecodecs.zstd_encode(payload)
        head = struct.pack("<iiq", 0, 0, len(payload)) + entry
        body += _czi_segment(b"ZISRAWSUBBLOCK", head.ljust(256, b"\0") + payload)
    directory = header + len(body)
    listed = struct.pack("<i124x", len(entries)) + b"".join(entries)
    body += _czi_segment(b"ZISRAWDIRECTORY", listed, padded=False)
    described = header + len(body)
    xml = _czi_xml(levels[0].shape)
    body += _czi_segment(b"ZISRAWMETADATA", struct.pack("<ii248x", len(xml), 0) + xml)
    attached = header + len(body)
    body += _czi_segment(b"ZISRAWATTDIR", struct.pack("<i252x", 0))
    guid = bytes(range(16))
    first = struct.pack("<4i", 1, 0, 0, 0) + guid + guid
    first += struct.pack("<iqqiq", 0, directory, described, 0, attached)
    path.write_bytes(_czi_segment(b"ZISRAWFILE", first.ljust(512, b"\0")) + body)
    return path


def _czi_segment(name: bytes, payload: bytes, *, padded: bool = True) -> bytes:
    data = payload + bytes(-len(payload) % 32 if padded else 0)
    return name.ljust(16, b"\0") + struct.pack("<qq", len(data), len(payload)) + data


def _czi_entry(
    where: tuple[tuple[int, int], int, int], picture: Picture, position: int, kind: tuple[int, int]
) -> bytes:
    """A directory entry; kind: 3 is BGR of 8 bits, 5 Zstandard, 0 uncompressed."""
    place, step, m = where
    height, width = picture.shape[:2]
    entry = b"DV" + struct.pack(
        "<iqiib5xi", kind[0], position, 0, kind[1], 0 if step == 1 else 2, 5
    )
    dimensions = (
        (b"X", place[1], width * step, width),
        (b"Y", place[0], height * step, height),
        (b"C", 0, 1, 1),
        (b"S", 0, 1, 1),
        (b"M", m, 1, 1),
    )
    for name, start, size, stored in dimensions:
        entry += name.ljust(4, b"\0") + struct.pack("<iifi", start, size, 0, stored)
    return entry


def _czi_xml(shape: tuple[int, ...]) -> bytes:
    meters = f"<Value>{MPP * 1e-6}</Value>"
    return (
        "<ImageDocument><Metadata><Information>"
        f"<Image><SizeX>{shape[1]}</SizeX><SizeY>{shape[0]}</SizeY><SizeS>1</SizeS>"
        '<ObjectiveSettings><ObjectiveRef Id="Objective:1"/></ObjectiveSettings></Image>'
        '<Instrument><Objectives><Objective Id="Objective:1">'
        f"<NominalMagnification>{OBJECTIVE}</NominalMagnification></Objective></Objectives>"
        "</Instrument></Information><Scaling><Items>"
        f'<Distance Id="X">{meters}</Distance><Distance Id="Y">{meters}</Distance>'
        "</Items></Scaling></Metadata></ImageDocument>"
    ).encode()


def spoil_first_tile(path: Path) -> None:
    """Overwrite the first tile of level 0 with noise, in a MIRAX or a CZI."""
    file, head = (
        (path.with_suffix("") / "Data0000.dat", b"\x89PNG")
        if path.suffix == ".mrxs"
        else (path, b"\x28\xb5\x2f\xfd")
    )
    data = bytearray(file.read_bytes())
    start = data.index(head)
    n_bytes = data.index(head, start + 4) - start
    # Headers of the next block stand before its own bytes.
    n_bytes -= 32 + 256 if path.suffix == ".czi" else 0
    data[start : start + n_bytes] = np.random.default_rng(3).bytes(n_bytes)
    file.write_bytes(data)

"""Files that are broken or lie: one clear sentence each, and the rest goes on."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import imagecodecs
import numcodecs
import numpy as np
import odd_slides
import pytest
import tifffile
import zarr

from napari_hagmil.cli import main
from napari_hagmil.errors import HagmilError, SlideFormatError, SlideReadError
from napari_hagmil.geometry import Region
from napari_hagmil.slide import (
    check_slide,
    open_slide,
    read_patches,
    read_region,
    read_scaled,
    slide_info,
)
from napari_hagmil.slide.formats import image
from napari_hagmil.slide.formats.tiff import guard as tiff_guard
from napari_hagmil.slide.hatching import hatch

BROKEN = {
    "broken.svs": "broken.svs is neither TIFF, DICOM, PNG nor JPEG",
    "openslide-python-unreadable.svs": "has a damaged tile at level 0, row 0, column 0",
    "unopenable.tiff": "is compressed with method 52479",
    "pathml-small_dicom.dcm": "is not a DICOM slide that can be read",
}


def refusal(path: Path) -> str:
    """The sentence with which a file is refused, at opening or at the first read."""
    with pytest.raises(HagmilError) as caught, open_slide(path) as slide:
        read_region(slide, Region(0, 0, 64, 64))
    text = str(caught.value)
    assert isinstance(caught.value, SlideFormatError | SlideReadError)
    assert text.startswith(path.name), text
    assert "\n" not in text
    assert not text.endswith(".")
    return text


@contextlib.contextmanager
def at_most(n_bytes: float) -> Iterator[None]:
    """Fail when more is allocated than that."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BROKEN)
def test_every_broken_file_is_refused_in_one_sentence(slides_dir: Path, name: str) -> None:
    if name.endswith(".dcm"):
        pytest.importorskip("wsidicom")
    assert BROKEN[name] in refusal(slides_dir / "broken" / name)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert "cannot be opened (No such file or directory)" in refusal(tmp_path / "gone.svs")


def test_an_empty_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.svs").touch()
    assert "is neither TIFF" in refusal(tmp_path / "empty.svs")
    (tmp_path / "folder").mkdir()
    pytest.importorskip("wsidicom")
    assert "without DICOM instances" in refusal(tmp_path / "folder")


def damaged_svs(slides_dir: Path, tmp_path: Path, damage: str) -> tuple[Path, tuple[int, int]]:
    """A copy of CMU-1 with tile 30 (row 3, column 0) damaged, and the tile's corner."""
    path = Path(shutil.copy(slides_dir / "CMU-1-Small-Region.svs", tmp_path / f"{damage}.svs"))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        page = tiff.pages[0]
        offset, n_bytes = page.dataoffsets[34], page.databytecounts[34]
        if damage in ("count", "stopped"):
            counts = list(page.databytecounts)
            counts[34] = 0 if damage == "count" else n_bytes // 2
            page.tags["TileByteCounts"].overwrite(counts)
    data = bytearray(path.read_bytes())
    tile = slice(offset, offset + n_bytes)
    if damage == "random":
        data[tile] = np.random.default_rng(0).bytes(n_bytes)
    elif damage == "zeros":
        data[tile] = bytes(n_bytes)
    elif damage == "stopped":  # as an editor would cut it: with an end marker
        data[offset + n_bytes // 2 - 2 : offset + n_bytes // 2] = b"\xff\xd9"
    elif damage == "truncated":
        data[offset + n_bytes // 2 : offset + n_bytes] = bytes(n_bytes - n_bytes // 2)
    if damage != "count":
        path.write_bytes(data)
    return path, (3 * 240, 4 * 240)


@pytest.mark.parametrize("damage", ["random", "zeros", "truncated", "stopped"])
def test_a_damaged_tile_is_named_and_the_rest_is_read(slides_dir, tmp_path, damage) -> None:
    path, (y, x) = damaged_svs(slides_dir, tmp_path, damage)
    whole = tifffile.imread(slides_dir / "CMU-1-Small-Region.svs")
    with open_slide(path) as slide:
        with pytest.raises(SlideReadError, match=f"{path.name} .* level 0, row 3, column 4"):
            slide.read(0, (y + 5, x + 5), (10, 10))
        assert list(slide.unreadable) == [(0, 3, 4)]
        regions = [Region(r * 240, c * 240, 240, 240) for r in range(5) for c in range(6)]
        got = dict(read_patches(slide, regions, 240))
    assert len(got) == 30
    for index, region in enumerate(regions):
        if (region.y, region.x) == (y, x):
            assert isinstance(got[index], SlideReadError)
        else:
            expected = whole[region.y : region.y + 240, region.x : region.x + 240]
            np.testing.assert_array_equal(got[index], expected)


def test_a_tile_that_is_really_grey_is_no_damage(tmp_path) -> None:
    grey = np.full((512, 512, 3), 128, np.uint8)
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, grey, tile=(256, 256), compression="jpeg", photometric="rgb")
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(0, (0, 0), (512, 512)), grey)


def test_the_viewer_draws_a_damaged_tile_as_hatching(slides_dir, tmp_path) -> None:
    path, (y, x) = damaged_svs(slides_dir, tmp_path, "zeros")
    with open_slide(path) as slide:
        levels = slide.view_levels()
        tile = np.asarray(levels[0][y : y + 240, x : x + 240])
        assert set(np.unique(tile)) == {64, 160}
        assert (0, 3, 4) in slide.unreadable


def test_an_absent_tile_is_background_and_the_slide_says_so(slides_dir, tmp_path) -> None:
    path, (y, x) = damaged_svs(slides_dir, tmp_path, "count")
    with open_slide(path) as slide:
        assert (slide.read(0, (y, x), (240, 240)) == 255).all()
        assert any("no pixels for 1 of 130 tiles of level 0" in w for w in slide.warnings)
        assert slide_info(slide)["levels"][0]["sparse_tiles"] == 1
        assert not slide.unreadable


def test_a_file_cut_in_half_is_refused(slides_dir: Path, tmp_path: Path, pyramid: Path) -> None:
    for source in (slides_dir / "CMU-1-Small-Region.svs", slides_dir / "luna-1065626.svs", pyramid):
        path = tmp_path / f"half-{source.name}"
        path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
        refusal_text = None
        try:
            with open_slide(path) as slide:
                far = slide.shape[0] - 300, slide.shape[1] - 300
                slide.read(0, far, (300, 300))
                slide.read(0, (0, 0), slide.shape)
        except HagmilError as error:
            refusal_text = str(error)
        assert refusal_text is not None
        assert path.name in refusal_text


# -- files that lie -----------------------------------------------------------------------


def lie(path: Path, **tags: object) -> Path:
    """Overwrite tags of the first page."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name, value in tags.items():
            tiff.pages[0].tags[name].overwrite(value)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A 64×64 TIFF of one tile."""
    path = tmp_path / "tiny.tif"
    tifffile.imwrite(
        path,
        np.full((64, 64, 3), 200, np.uint8),
        tile=(64, 64),
        compression="zlib",
        photometric="rgb",
        metadata=None,
    )
    return path


def test_an_absurd_tile_is_refused_before_it_is_decoded(tiny: Path) -> None:
    lie(tiny, TileWidth=16384, TileLength=16384)
    assert "declares tiles of 16384×16384 pixels (805 MB)" in refusal(tiny)


def test_an_absurd_picture_is_refused(tiny: Path) -> None:
    lie(tiny, ImageWidth=60000, ImageLength=60000)
    assert "lists 1 tiles where its size needs" in refusal(tiny)


def test_a_small_deflate_stream_that_swells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    path.write_bytes(b"")
    tifffile.imwrite(
        path,
        np.zeros((9472, 9472, 3), np.uint8),
        tile=(9472, 9472),
        compression="zlib",
        photometric="rgb",
        metadata=None,
    )
    assert path.stat().st_size < 2**20
    assert "declares tiles of 9472×9472 pixels" in refusal(path)


def test_a_jpeg_that_is_larger_than_its_tile_is_not_decoded(tmp_path: Path) -> None:
    big = bytearray(imagecodecs.jpeg8_encode(np.zeros((64, 64, 3), np.uint8)))
    at = big.index(b"\xff\xc0")
    big[at + 5 : at + 9] = struct.pack(">HH", 8192, 8192)
    path = tmp_path / "sof.tif"
    tifffile.imwrite(
        path,
        iter([bytes(big)]),
        shape=(64, 64, 3),
        dtype=np.uint8,
        tile=(64, 64),
        compression="jpeg",
        photometric="rgb",
        metadata=None,
    )
    assert "it holds 8192×8192 pixels where 64×64 fit" in refusal(path)


def test_a_jpeg_2000_that_is_larger_than_its_tile_is_not_decoded(tmp_path: Path) -> None:
    big = imagecodecs.jpeg2k_encode(np.zeros((256, 256, 3), np.uint8), codecformat="j2k")
    path = tmp_path / "siz.tif"
    tifffile.imwrite(
        path,
        iter([big]),
        shape=(64, 64, 3),
        dtype=np.uint8,
        tile=(64, 64),
        compression=33005,
        photometric="rgb",
        metadata=None,
    )
    assert "it holds 256×256 pixels where 64×64 fit" in refusal(path)


def test_a_webp_that_is_larger_than_its_tile_is_not_decoded(tmp_path: Path) -> None:
    for lossless in (False, True):
        big = imagecodecs.webp_encode(np.zeros((300, 200, 3), np.uint8), lossless=lossless)
        path = tmp_path / f"webp{lossless}.tif"
        tifffile.imwrite(
            path,
            iter([big]),
            shape=(64, 64, 3),
            dtype=np.uint8,
            tile=(64, 64),
            compression="webp",
            photometric="rgb",
            metadata=None,
        )
        assert "it holds 300×200 pixels where 64×64 fit" in refusal(path)


@pytest.mark.parametrize(("code", "name"), [(50002, "JPEG XL"), (34887, "LERC"), (22610, "XR")])
def test_decoders_without_a_bound_are_not_asked(tmp_path: Path, code: int, name: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        iter([bytes(500)]),
        shape=(64, 64, 3),
        dtype=np.uint8,
        tile=(64, 64),
        compression=code,
        photometric="rgb",
        metadata=None,
    )
    assert f"{name}, which is not decoded here" in refusal(path)


@pytest.mark.parametrize("code", [8, 50000, 34925])
def test_a_stream_that_swells_beyond_its_tile_stays_small(tmp_path: Path, code: int) -> None:
    encode = {8: zlib.compress, 50000: imagecodecs.zstd_encode, 34925: imagecodecs.lzma_encode}
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        iter([encode[code](bytes(100_000_000))]),
        shape=(64, 64, 3),
        dtype=np.uint8,
        tile=(64, 64),
        compression=code,
        photometric="rgb",
        metadata=None,
    )
    with at_most(10e6), open_slide(path) as slide, contextlib.suppress(SlideReadError):
        slide.read(0, (0, 0), (64, 64))


def test_a_chain_of_pages_that_loops_is_refused(tiny: Path) -> None:
    data = bytearray(tiny.read_bytes())
    first = struct.unpack("<I", data[4:8])[0]
    n_tags = struct.unpack("<H", data[first : first + 2])[0]
    after = first + 2 + 12 * n_tags
    data[after : after + 4] = struct.pack("<I", first)
    tiny.write_bytes(data)
    assert "its chain of pages is a loop" in refusal(tiny)


def test_endless_pages_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tiff_guard, "MAX_PAGES", 20)
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as tiff:
        for _ in range(21):
            tiff.write(np.zeros((16, 16), np.uint8), metadata=None)
    assert "has more than 20 pages" in refusal(path)


def test_a_page_outside_of_the_file_is_refused(tiny: Path) -> None:
    data = bytearray(tiny.read_bytes())
    data[4:8] = struct.pack("<I", len(data) - 3)
    tiny.write_bytes(data)
    refusal(tiny)


def test_a_tile_outside_of_the_file_is_damaged(tiny: Path) -> None:
    with tifffile.TiffFile(tiny) as tiff:
        count = tiff.pages[0].databytecounts[0]
    lie(tiny, TileByteCounts=count + 10**6)
    assert "beyond the end of the file" in refusal(tiny)


def test_colours_that_are_no_rgb_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cmyk.tif"
    tifffile.imwrite(path, np.zeros((32, 32, 4), np.uint8), photometric="separated")
    assert "stores colours as TIFF photometric 5" in refusal(path)


def test_pixels_of_unusual_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "double.tif"
    tifffile.imwrite(path, np.zeros((32, 32), np.float64))
    assert "has pixels of 64 bits (float64)" in refusal(path)


def test_a_png_that_swells_is_refused(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b""))
    assert "has 100000×100000 pixels, too many" in refusal(path)


def test_a_truncated_plain_jpeg_is_refused(slides_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpeg"
    data = (slides_dir / "histoprep-slide.jpeg").read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "it is cut short" in refusal(path)


@pytest.mark.parametrize("seed", range(25))
def test_random_damage_never_raises_anything_else(pyramid: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(pyramid.read_bytes())
    with tifffile.TiffFile(pyramid) as tiff:
        offsets = [page.offset for page in tiff.pages]
    for _ in range(rng.integers(1, 12)):
        # Tags are where parsers break: hit them more often than pixels.
        at = (
            rng.choice(offsets) + rng.integers(0, 400)
            if rng.random() < 0.8
            else rng.integers(len(data))
        )
        data[min(int(at), len(data) - 1)] = rng.integers(256)
    path = tmp_path / "fuzzed.tif"
    path.write_bytes(data)
    with contextlib.suppress(HagmilError), open_slide(path) as slide:
        slide_info(slide)
        read_region(slide, Region(300, 300, 600, 600))


# -- what is damaged, at every resolution ----------------------------------------------------


def spoiled(path: Path, source: Path, level: int, index: int) -> Path:
    """A copy whose one tile of one level is noise."""
    shutil.copy(source, path)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.series[0].levels[level].keyframe
        offset, n_bytes = page.dataoffsets[index], page.databytecounts[index]
    data = bytearray(path.read_bytes())
    data[offset : offset + n_bytes] = np.random.default_rng(1).bytes(n_bytes)
    path.write_bytes(data)
    return path


def is_hatched(pixels: np.ndarray) -> bool:
    return set(np.unique(pixels)) == {64, 160}


def test_hatching_is_no_grey_at_any_level_of_the_viewer(slides_dir, tmp_path) -> None:
    path, (y, x) = damaged_svs(slides_dir, tmp_path, "zeros")
    with open_slide(path) as slide:
        coarse = slide.view_levels()[-1]
        assert coarse.shape == (1484, 1110, 3)
        tile = coarse[y // 2 : (y + 240) // 2, x // 2 : (x + 240) // 2]
        assert is_hatched(tile)
        assert not is_hatched(coarse[y // 2 - 60 : y // 2, x // 2 : x // 2 + 120])
        picture = read_scaled(slide, Region(0, 0, 2967, 2220), (371, 278), mark_unreadable=True)
        assert is_hatched(picture[y // 8 + 1 : (y + 240) // 8 - 1, x // 8 + 1 : (x + 240) // 8 - 1])


def test_stripes_run_on_from_one_block_to_the_next() -> None:
    whole = np.zeros((100, 100, 3), np.uint8)
    hatch(whole, [(0, 0, 100, 100)])
    part = np.zeros((40, 50, 3), np.uint8)
    hatch(part, [(0, 0, 40, 50)], (33, 21))
    np.testing.assert_array_equal(part, whole[33:73, 21:71])


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_hatching_shows_under_any_contrast(dtype) -> None:
    pixels = np.full((32, 32, 1), 5, dtype)
    hatch(pixels, [(0, 0, 32, 32)])
    assert pixels.max() == (65535 if dtype == np.uint16 else 1)
    assert pixels.min() == 0


@pytest.mark.usefixtures("real_slides_dir")  # a bound that holds for the pixels of a scan
def test_what_a_coarse_level_has_lost_is_read_from_a_finer_one(pyramid, tmp_path) -> None:
    path = spoiled(tmp_path / "coarse.tif", pyramid, 2, 0)
    with open_slide(path) as slide, open_slide(pyramid) as whole:
        region = Region(0, 0, 1032, 1032)
        (_, got), *_ = read_patches(slide, [region], 256)
        assert isinstance(got, np.ndarray)
        expected = read_scaled(whole, region, (256, 256)).astype(int)
        assert np.abs(got - expected).mean() < 2  # JPEG twice, not once
        assert (2, 0, 0) in slide.unreadable


def test_every_tile_has_a_status(pyramid, tmp_path) -> None:
    path = spoiled(tmp_path / "one.tif", pyramid, 0, 5)
    with open_slide(path) as slide:
        assert slide.tile_status((0, 0, 5)) == "unseen"
        counts = check_slide(slide, on_progress=(shares := []).append)
        assert slide.tile_status((0, 0, 5)) == "unread"
        assert slide.tile_status((1, 0, 0)) == "read"
        assert [c["unread"] for c in counts] == [1, 0, 0]
        assert [sum(c.values()) for c in counts] == [12 * 9, 6 * 5, 3 * 3]
        assert shares[-1] == 1
        assert list(slide.unreadable) == [(0, 0, 5)]


def test_a_tile_that_is_absent_is_not_unread(slides_dir, tmp_path) -> None:
    path, _ = damaged_svs(slides_dir, tmp_path, "count")
    with open_slide(path) as slide:
        assert check_slide(slide)[0] == {"read": 129, "absent": 1, "unread": 0}
        assert slide.tile_status((0, 3, 4)) == "absent"


def test_info_checks_a_slide_on_demand(pyramid, tmp_path, capsys) -> None:
    path = spoiled(tmp_path / "one.tif", pyramid, 0, 5)
    assert main(["info", str(pyramid), "--check"]) == 0
    assert "tiles=108 read, 0 absent, 0 unread" in capsys.readouterr().out
    assert main(["info", str(path), "--check", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["levels"][0]["tiles"]["unread"] == 1
    assert "one.tif has 1 tiles that cannot be decoded" in said.err
    assert len(said.err.strip().splitlines()) == 1


# -- what only claims to be large ------------------------------------------------------------


def huge_zarr(path: Path, version: int, side: int = 10**6) -> Path:
    """A canvas of a terapixel, of which one corner and the middle are stored."""
    array = zarr.create_array(
        path, shape=(side, side, 3), chunks=(256, 256, 3), dtype="u1", zarr_format=version
    )
    array[256:512, 512:768] = 90
    array[side // 2 : side // 2 + 256, side // 2 : side // 2 + 256] = 60
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_an_empty_canvas_of_a_terapixel_is_shown_and_takes_no_memory(tmp_path, version) -> None:
    path = huge_zarr(tmp_path / "huge.zarr", version)
    with at_most(300e6), open_slide(path) as slide:
        coarsest = slide.view_levels()[-1]
        counts = check_slide(slide)[0]
        small = read_scaled(slide, Region(0, 0, 8192, 8192), (64, 64))
        np.testing.assert_array_equal(slide.read(0, (250, 500), (20, 300))[6:, 12:268], 90)
        assert any("15264644 of 15264649" in warning for warning in slide.warnings)
        assert slide.tile_status((0, 9, 9)) == "absent"
    assert counts == {"read": 5, "absent": 15264644, "unread": 0}
    assert (coarsest[-100:] == 255).all()
    assert (coarsest[0, 1] < 255).all()
    assert (small[2:4, 4:6] == 90).all()


def test_a_large_tiff_without_tiles_is_shown_as_background(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    side = 20_000
    n_tiles = (-(-side // 256)) ** 2
    tiles = iter([zlib.compress(np.full((256, 256, 3), 70, np.uint8)), *[b""] * (n_tiles - 1)])
    tifffile.imwrite(
        path,
        tiles,
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(256, 256),
        compression="zlib",
        photometric="rgb",
        metadata=None,
    )
    with open_slide(path) as slide:
        coarsest = slide.view_levels()[-1]
        assert slide.tiles_read == 1  # the last level reads what is there, and nothing else
        assert check_slide(slide)[0] == {"read": 1, "absent": n_tiles - 1, "unread": 0}
        assert any(f"{n_tiles - 1} of {n_tiles} tiles" in warning for warning in slide.warnings)
    assert (coarsest[:8, :8] == 70).all()
    assert (coarsest[20:] == 255).all()


def png_that_claims(path: Path, side: int, colour: int, depth: int) -> Path:
    path.write_bytes(imagecodecs.png_encode(np.zeros((16, 16, 3), np.uint8)))
    data = bytearray(path.read_bytes())
    data[16:26] = struct.pack(">IIBB", side, side, depth, colour)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("colour", "depth", "side"), [(2, 8, 11_600), (6, 8, 10_100), (2, 16, 8200)]
)
def test_a_plain_picture_is_refused_by_the_bytes_it_would_take(
    tmp_path, colour, depth, side
) -> None:
    path = png_that_claims(tmp_path / "large.png", side, colour, depth)
    assert "too many to be decoded at once" in refusal(path)
    # Just below the limit it is tried, and found to hold less than it claims.
    path = png_that_claims(tmp_path / "less.png", side - 300, colour, depth)
    assert "cannot be decoded" in refusal(path)


def test_a_progressive_jpeg_takes_more_and_may_be_less_large(tmp_path: Path) -> None:
    frame = np.zeros((64, 64, 3), np.uint8)
    for progressive, side, refused in ((False, 8000, False), (True, 8000, True)):
        ok, encoded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])
        assert ok
        data = bytearray(encoded.tobytes())
        at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
        path = tmp_path / f"{progressive}.jpg"
        path.write_bytes(data)
        if refused:
            assert "too many to be decoded at once (576 MB" in refusal(path)
        else:
            open_slide(path).close()


def test_a_jpeg_of_endless_scans_is_not_decoded(tmp_path: Path) -> None:
    _, encoded = cv2.imencode(
        ".jpg", np.zeros((64, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    )
    data = encoded.tobytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    path = tmp_path / "scans.jpg"
    path.write_bytes(data[:-2] + scan * 1000 + data[-2:])
    assert "scans where at most 64 are read" in refusal(path)


def test_a_picture_that_cannot_be_decoded_is_tried_once(slides_dir, tmp_path, monkeypatch) -> None:
    path = tmp_path / "cut.jpeg"
    data = (slides_dir / "histoprep-slide.jpeg").read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    calls = []
    decode = image._decoded_jpeg
    monkeypatch.setattr(image, "_decoded_jpeg", lambda d: calls.append(1) or decode(d))
    with open_slide(path) as slide:
        assert check_slide(slide)[0] == {"read": 0, "absent": 0, "unread": 9}
        assert is_hatched(slide.view_levels()[-1])
        assert all("it is cut short" in said for said in slide.unreadable.values())
    assert len(calls) == 2  # once, and once more to know that the scan has stopped


def test_a_blosc_chunk_that_is_cut_short_is_unread(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    zarr.create_array(
        tmp_path / "a.zarr",
        data=pixels,
        chunks=(128, 128, 3),
        compressors=numcodecs.Blosc(),
        zarr_format=2,
    )
    chunk = tmp_path / "a.zarr/0.1.0"
    chunk.write_bytes(chunk.read_bytes()[:-500])
    with open_slide(tmp_path / "a.zarr") as slide:
        assert check_slide(slide)[0] == {"read": 3, "absent": 0, "unread": 1}
        assert "it is cut short" in slide.unreadable[0, 0, 1]


def test_a_strip_of_an_ndpi_that_stops_is_unread(he_pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.ndpi"
    expected = odd_slides.ndpi(path, he_pixels[700:1300, 500:1100])[0]
    with open_slide(path) as slide:
        page = slide.reader._levels[0].planes[0].page
        offset, n_bytes = page.dataoffsets[20], page.databytecounts[20]
    data = bytearray(path.read_bytes())
    strip = data[offset : offset + n_bytes]
    # Its scan ends halfway, and its restart marker stands where it stood.
    half = n_bytes // 2
    stopped = strip[:half] + b"\xff\xd9" + bytes(n_bytes - half - 4) + strip[-2:]
    data[offset : offset + n_bytes] = stopped
    path.write_bytes(data)
    with open_slide(path) as slide:
        counts = check_slide(slide)[0]
        assert counts["unread"] == 1
        columns = slide.reader.facts.grids[0].n_tiles[1]
        assert list(slide.unreadable) == [(0, *divmod(20, columns))]
        np.testing.assert_array_equal(slide.read(0, (100, 0), (200, 500)), expected[100:300, :500])


def test_plain_rows_beyond_the_end_of_the_file_are_unread(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1000, 1500, 3), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", metadata=None)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: len(data) // 2])
    with open_slide(tmp_path / "a.tif") as slide:
        np.testing.assert_array_equal(slide.read(0, (7, 9), (240, 1400)), pixels[7:247, 9:1409])
        assert check_slide(slide)[0] == {"read": 2, "absent": 0, "unread": 6}


def test_one_strip_of_gigabytes_is_read_in_parts(tmp_path: Path) -> None:
    side = 30_000
    path = tmp_path / "sparse-on-disk.tif"
    tifffile.imwrite(path, shape=(side, side, 3), dtype=np.uint8, photometric="rgb", metadata=None)
    patch = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    memory = tifffile.memmap(path, mode="r+")
    memory[20_001:20_301, 11_111:11_511] = patch
    memory.flush()
    del memory
    with at_most(50e6), open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read(0, (20_001, 11_111), (300, 400)), patch)

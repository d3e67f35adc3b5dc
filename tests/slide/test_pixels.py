"""Pixels: equal to tifffile's, at any place, level, resolution and from any thread."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import dask.array
import numpy as np
import pytest
import tifffile

from napari_hagmil.errors import MissingPixelSizeError, SlideFormatError, SlideReadError
from napari_hagmil.geometry import Region
from napari_hagmil.slide import (
    lazy,
    open_slide,
    open_spec,
    read_patches,
    read_region,
    read_scaled,
    view,
)

REAL = [
    "CMU-1-Small-Region.svs",
    "CMU-1-wrong-mpp.jpeg.tiff",
    "CMU-1-wrong-mpp.webp.tiff",
    "luna-1065626.svs",
    "openslide-python-boxes.tiff",
    "pathml-small_vectra.qptiff",
    "slideio-test3-DAPI-2-387.ndpi",
]


def area_mean(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The definition, slowly."""
    h, w = (side // factor for side in pixels.shape[:2])
    cut = pixels[: h * factor, : w * factor].astype(np.float64)
    return cut.reshape(h, factor, w, factor, -1).mean(axis=(1, 3))


@pytest.mark.parametrize("name", REAL)
def test_every_level_equals_what_tifffile_reads(slides_dir: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    with open_slide(slides_dir / name) as slide, tifffile.TiffFile(slides_dir / name) as tiff:
        series = tiff.series[0]
        assert len(slide.levels) == len(series.levels)
        for level, expected in zip(slide.levels, series.levels, strict=True):
            if level.index == 0 and "luna" in name:
                continue  # 367 MB of JPEG 2000: its other level and a few tiles will do
            whole = expected.asarray()
            if expected.axes == "CYX":
                whole = np.moveaxis(whole, 0, -1)
            assert level.shape == whole.shape[:2]
            for _ in range(6):
                h, w = (int(rng.integers(1, min(side, 500) + 1)) for side in level.shape)
                y, x = (
                    int(rng.integers(0, n - s + 1))
                    for n, s in zip(level.shape, (h, w), strict=True)
                )
                np.testing.assert_array_equal(
                    slide.read(level.index, (y, x), (h, w)), whole[y : y + h, x : x + w]
                )


def test_jpeg_2000_tiles_equal_what_tifffile_reads(slides_dir: Path) -> None:
    path = slides_dir / "luna-1065626.svs"
    with open_slide(path) as slide, tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        for index in (301, 302):
            tiff.filehandle.seek(page.dataoffsets[index])
            data = tiff.filehandle.read(page.databytecounts[index])
            tile, place, _ = page.decode(data, index)
            np.testing.assert_array_equal(slide.read(0, place[2:4], (512, 512)), tile[0])


def test_outside_of_a_brightfield_slide_is_white(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        got = read_region(slide, Region(-30, -20, 100, 90))
        assert got.shape == (100, 90, 3)
        assert got.dtype == np.uint8
        assert (got[:30] == 255).all()
        assert (got[:, :20] == 255).all()
        np.testing.assert_array_equal(got[30:, 20:], slide.read(0, (0, 0), (70, 70)))
        assert (read_region(slide, Region(10**6, 0, 8, 8)) == 255).all()
        far = read_region(slide, Region(slide.shape[0] - 5, slide.shape[1] - 5, 10, 10))
        assert (far[5:] == 255).all()
        assert (far[:, 5:] == 255).all()


def test_outside_of_a_fluorescence_slide_is_black(slides_dir: Path) -> None:
    for name in ("pathml-small_vectra.qptiff", "slideio-test3-DAPI-2-387.ndpi"):
        with open_slide(slides_dir / name) as slide:
            assert not slide.is_brightfield
            assert (read_region(slide, Region(-8, -8, 8, 8)) == 0).all()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_whole_factors_are_exact_area_means(lossless: Path, he_pixels, factor: int) -> None:
    with open_slide(lossless) as slide:
        region = Region(128, 384, 1024, 512)
        got = read_region(slide, region, mpp=slide.mpp * factor)
        place = he_pixels[128:1152, 384:896]
        assert got.shape == (1024 // factor, 512 // factor, 3)
        # From 4 on the file's own level is used, itself rounded once.
        assert np.abs(got - area_mean(place, factor)).max() <= (0.5 if factor < 4 else 1.0)


def test_an_uneven_factor_is_close_to_the_area_mean(lossless: Path, he_pixels) -> None:
    with open_slide(lossless) as slide:
        got = read_region(slide, Region(0, 0, 1200, 900), mpp=slide.mpp * 3)
        assert got.shape == (400, 300, 3)
        np.testing.assert_allclose(got, area_mean(he_pixels[:1200, :900], 3), atol=0.51)
        uneven = read_region(slide, Region(0, 0, 1200, 900), mpp=slide.mpp * 2.5)
        assert uneven.shape == (480, 360, 3)
        assert np.abs(uneven.mean((0, 1)) - got.mean((0, 1))).max() < 0.5


def test_a_level_whose_size_was_rounded_is_not_blurred(slides_dir: Path) -> None:
    # 10249 / 2562 = 4.0004: asked for 4×, the pixels of that level come out unchanged.
    with open_slide(slides_dir / "luna-1065626.svs") as slide:
        got = read_scaled(slide, Region(6144, 4096, 2048, 2048), (512, 512))
        top = round(6144 / slide.levels[1].downsample[0])
        np.testing.assert_array_equal(got, slide.read(1, (top, 1024), (512, 512)))


def test_memory_stays_bounded_when_much_is_averaged(lossless: Path, monkeypatch) -> None:
    with open_slide(lossless) as slide:
        whole = read_scaled(slide, Region(0, 0, 2816, 2048), (88, 64))
        monkeypatch.setattr("napari_hagmil.slide.region.BLOCK_PIXELS", 256 * 256)
        np.testing.assert_array_equal(read_scaled(slide, Region(0, 0, 2816, 2048), (88, 64)), whole)


def test_asking_for_mpp_without_a_pixel_size_says_what_to_do(slides_dir: Path) -> None:
    with (
        open_slide(slides_dir / "histoprep-slide.jpeg") as slide,
        pytest.raises(MissingPixelSizeError, match="give mpp="),
    ):
        read_region(slide, Region(0, 0, 10, 10), mpp=1.0)


def test_patches_come_with_their_index_and_equal_single_reads(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        regions = [
            Region(y, x, 512, 512) for y in range(-512, 2967, 700) for x in range(0, 2220, 300)
        ]
        for workers in (1, 2):
            got = dict(read_patches(slide, regions, 256, workers=workers))
            assert sorted(got) == list(range(len(regions)))
            for index, pixels in got.items():
                expected = read_scaled(slide, regions[index], (256, 256))
                np.testing.assert_array_equal(pixels, expected)


def test_neighbouring_patches_decode_a_shared_tile_once(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        regions = [
            Region(y + 100, x + 100, 256, 256)
            for y in range(0, 2304, 256)
            for x in range(0, 1792, 256)
        ]
        rng = np.random.default_rng(1)
        list(
            read_patches(slide, [regions[i] for i in rng.permutation(len(regions))], 256, workers=1)
        )
        assert slide.tiles_read == 80
        assert 0 < slide.bytes_read < pyramid.stat().st_size


def test_patches_may_be_abandoned(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        stream = read_patches(slide, [Region(0, 0, 256, 256)] * 500, 256)
        next(stream)
        stream.close()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("pathml-small_vectra.qptiff", "has 3 fluorescence channels, and the cascade needs RGB"),
        ("slideio-test3-DAPI-2-387.ndpi", r"has 1 fluorescence channel \(DAPI 2 \(387\)\)"),
    ],
)
def test_the_encoder_gets_no_fluorescence(slides_dir: Path, name: str, what: str) -> None:
    with open_slide(slides_dir / name) as slide, pytest.raises(SlideFormatError, match=what):
        read_patches(slide, [Region(0, 0, 256, 256)], 256)


def test_many_threads_read_the_same_pixels(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        places = [(y, x) for y in range(0, 2000, 300) for x in range(0, 1900, 310)] * 3
        with open_slide(pyramid) as alone:
            expected = [alone.read(0, place, (200, 220)) for place in places]
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda place: slide.read(0, place, (200, 220)), places))
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_is_read_can_be_written_on(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        first = slide.read(0, (256, 256), (256, 256))
        kept = first.copy()
        slide.read(0, (200, 200), (300, 300))
        slide.read(0, (256, 256), (256, 256))[:] = 0
        first[:] = 0
        np.testing.assert_array_equal(slide.read(0, (256, 256), (256, 256)), kept)


def test_levels_are_lazy_and_step_by_their_shapes(slides_dir: Path) -> None:
    with open_slide(slides_dir / "luna-1065626.svs") as slide:
        assert slide.bytes_read == 0
        assert slide.downsamples == ((1.0, 1.0), (10249 / 2562, 11952 / 2988))
        got = np.asarray(slide.levels[1].data[700:760, 100:150])
        np.testing.assert_array_equal(got, slide.read(1, (700, 100), (60, 50)))
        assert slide.level_for(1.0) == 0
        assert slide.level_for(3.9) == 0
        assert slide.level_for(4.0) == 1
        assert slide.level_for(0.5) == 0


def test_the_viewer_gets_levels_that_step_by_two(slides_dir: Path) -> None:
    with open_slide(slides_dir / "luna-1065626.svs") as slide:
        levels = slide.view_levels()
        assert [a.shape for a in levels] == [
            (10249, 11952, 3),
            (5125, 5976, 3),
            (2562, 2988, 3),
            (1281, 1494, 3),
        ]
        y = 10249 / 2562
        assert slide.view_downsamples == ((1, 1), (2, 2), (y, 4), (2 * y, 8))
        assert isinstance(levels[-1], np.ndarray)
        assert all(128 <= c <= 1024 for a in levels[:-1] for c in a.chunks[:2])
        assert slide.view_levels()[-1] is levels[-1]


def test_virtual_levels_are_area_means(lossless: Path, he_pixels) -> None:
    with open_slide(lossless) as slide:
        levels = slide.view_levels()
        assert [a.shape[:2] for a in levels] == [(2816, 2048), (1408, 1024), (704, 512)]
        got = np.asarray(levels[1][301:777, 5:640])
        expected = area_mean(he_pixels[602:1554, 10:1280], 2)
        assert np.abs(got - expected).max() <= 0.5


def test_the_last_pixels_of_a_virtual_level_average_what_is_there(slides_dir: Path) -> None:
    # 2967 rows: the last of 1484 stands for one row, and must not take in white.
    with open_slide(slides_dir / "CMU-1-Small-Region.svs") as slide:
        coarse = slide.view_levels()[-1]
        assert coarse.shape == (1484, 1110, 3)
        row = slide.read(0, (2966, 0), (1, 2220))
        np.testing.assert_array_equal(coarse[-1:], cv2.resize(row, (1110, 1), interpolation=3))


def test_a_spec_opens_the_same_slide_elsewhere(pyramid: Path) -> None:
    with open_slide(pyramid, mpp=0.25) as slide:
        spec = pickle.loads(pickle.dumps(slide.spec))
        fingerprint = slide.fingerprint
    with open_spec(spec) as again:
        assert again.fingerprint == fingerprint
        assert again.mpp == 0.25


def test_the_fingerprint_is_that_of_the_content(pyramid: Path, tmp_path: Path) -> None:
    copy = shutil.copy(pyramid, tmp_path / "renamed.svs")
    changed = bytearray(pyramid.read_bytes())
    changed[-5000] ^= 1
    other = tmp_path / "pyramid.tif"
    other.write_bytes(changed)
    prints = []
    for path in (pyramid, copy, other):
        with open_slide(path) as slide:
            prints.append(slide.fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_opening_a_slide_does_not_import_torch() -> None:
    code = (
        "import sys, napari_hagmil.slide, napari_hagmil.tissue\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'napari', 'qtpy', 'wsidicom')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_closed_slide_does_not_crash(pyramid: Path) -> None:
    slide = open_slide(pyramid)
    slide.close()
    with pytest.raises(SlideReadError):
        slide.read(0, (0, 0), (10, 10))


def test_a_view_decodes_each_tile_once_and_no_other(slides_dir) -> None:
    with open_slide(slides_dir / "CMU-1-Small-Region.svs") as slide:
        level = view.LevelArray(slide, view.ViewLevel(0, 1))
        rows, columns = slide.tile_shape
        assert level.chunks[0] % rows == level.chunks[1] % columns == 0
        before = slide.tiles_read
        np.asarray(level[: 2 * rows, : 2 * columns])
        assert slide.tiles_read - before == 4


def test_what_lies_around_a_view_and_below_its_middle_is_read_ahead(phantom, monkeypatch) -> None:
    monkeypatch.setattr("napari_hagmil.slide.view.COARSEST", 512)
    with open_slide(phantom) as slide:
        slide.read_views_ahead()
        finer, level = slide.view_levels()[:2]
        side, before = level.chunks[0], slide.tiles_read
        level[side : 3 * side, side : 3 * side]
        slide._ahead.wait()
        read = slide.tiles_read
        assert read - before == 4 + 12 + 4  # the view; all around it; below its middle
        level[: 4 * side, : 4 * side]  # a step to any side
        finer[3 * side : 5 * side, 3 * side : 5 * side]  # twice the zoom
        assert slide.tiles_read == read


def test_nothing_is_read_ahead_once_something_else_is_asked_for(phantom, monkeypatch) -> None:
    with open_slide(phantom) as slide:
        slide.read_views_ahead()
        level = slide.view_levels()[0]
        before = slide.tiles_read
        monkeypatch.setattr("napari_hagmil.slide.ahead.IDLE", 0.0)
        slide._ahead.then([lambda: slide._ahead.stop(), lambda: level._part(0, 0, 256, 256)])
        slide._ahead.wait()
        assert slide.tiles_read == before


@pytest.mark.parametrize(
    ("tile", "side"), [(1, 256), (128, 256), (240, 240), (256, 256), (512, 512), (4096, 512)]
)
def test_chunks_are_whole_tiles_as_far_as_these_are_of_a_views_size(tile, side) -> None:
    assert view._chunk(tile) == side


def test_the_cost_of_a_view_does_not_grow_with_the_slide() -> None:
    """Dask looks at the chunks of the view, not at those of the whole level."""

    class Large:
        ndim, dtype, chunks, name = 3, np.dtype("u1"), (256, 256, 3), "large"
        shape = (400_000, 400_000, 3)

    part = lazy.lazy_array(Large())[1000:1500, 1000:1500]
    graph = dask.array.optimize(part.dask, part.__dask_keys__())
    assert len(dict(graph)) < 100


def test_a_layers_level_is_a_dask_array_whose_views_are_read_without_its_graph(phantom) -> None:
    with open_slide(phantom) as slide:
        level = slide.view_levels()[0]
        whole = lazy.lazy_array(level)
        assert isinstance(whole, dask.array.Array)
        expected = np.asarray(level[100:700, 300:500])
        with dask.config.set(scheduler=_no_graph):
            for index in ((slice(100, 700), slice(300, 500)), np.s_[100:700, 300:500, :]):
                np.testing.assert_array_equal(np.asarray(whole[index]), expected)
            np.testing.assert_array_equal(np.asarray(whole[100:700:2, 301]), expected[::2, 1])
            with pytest.raises(AssertionError, match="computed"):
                np.asarray(whole[100:700, 300:500][::-1])
        np.testing.assert_array_equal((whole[100:700, 300:500] + 0).compute(), expected)
        np.testing.assert_array_equal(np.asarray(whole[..., 1][100:700, 300:500]), expected[..., 1])
        np.testing.assert_array_equal(whole[100:700, 300:500].compute(), expected)


def _no_graph(*args: object, **kwargs: object) -> None:
    raise AssertionError("a graph was computed")


def test_dask_needs_no_distributed_to_choose_threads(slides_dir) -> None:
    slide = str(slides_dir / "CMU-1-Small-Region.svs")
    code = (
        "import sys, numpy, napari_hagmil.slide as s\n"
        f"numpy.asarray(s.open_slide({slide!r}).levels[0].data[:10, :10])\n"
        "assert 'distributed' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Pyramids that are written, and those that are kept on disk for slides without one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import ome_zarr_models.v05.image
import pytest
import tifffile
import zarr

from napari_hagmil.cache import PYRAMIDS
from napari_hagmil.cli import main
from napari_hagmil.errors import CancelledError, OutputError, SlideReadError
from napari_hagmil.slide import (
    TiffStyle,
    check_slide,
    make_pyramid,
    open_slide,
)
from napari_hagmil.slide.pyramids import cache as pyramid_cache
from napari_hagmil.slide.resample import area_mean

SHAPES = ((2967, 2220), (1484, 1110), (742, 555))


@pytest.fixture
def one_level(slides_dir: Path) -> Path:
    return slides_dir / "CMU-1-Small-Region.svs"


# -- written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "style"),
    [
        ("a.tif", TiffStyle("deflate")),
        ("a.tiff", TiffStyle("zstd", tile=512)),
        ("a.zarr", None),
    ],
)
def test_every_level_is_the_exact_area_mean(he_pixels, one_level, tmp_path, name, style) -> None:
    shares: list[float] = []
    path = tmp_path / name
    assert make_pyramid(one_level, path, style=style, on_progress=shares.append) == SHAPES
    with open_slide(path) as slide:
        assert [level.shape for level in slide.levels] == list(SHAPES)
        for level, factor in zip(slide.levels, (1, 2, 4), strict=True):
            expected = area_mean(he_pixels, factor)
            np.testing.assert_array_equal(slide.read(level.index, (0, 0), level.shape), expected)
        assert slide.mpp == pytest.approx(0.499)
        assert slide.is_brightfield
        assert slide.warnings == ()
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_jpeg_stays_close_and_small_and_others_read_it(he_pixels, one_level, tmp_path) -> None:
    openslide = pytest.importorskip("openslide")
    path = tmp_path / "a.tiff"
    make_pyramid(one_level, path)
    assert path.stat().st_size < he_pixels.nbytes / 5
    with open_slide(path) as slide, openslide.OpenSlide(path) as other:
        got = slide.read(0, (0, 0), slide.shape)
        assert np.abs(got.astype(int) - he_pixels).mean() < 1.5
        assert [size[::-1] for size in other.level_dimensions] == list(SHAPES)
        theirs = np.asarray(other.read_region((300, 500), 0, (400, 300)).convert("RGB"))
        np.testing.assert_array_equal(theirs, got[500:800, 300:700])
        assert float(other.properties["openslide.mpp-x"]) == pytest.approx(0.499)


def test_the_zarr_is_valid_ome_zarr(one_level, tmp_path) -> None:
    make_pyramid(one_level, tmp_path / "a.zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    image = ome_zarr_models.v05.image.Image.from_zarr(group)
    assert len(image.attributes.ome.multiscales[0].datasets) == 3


def test_a_picture_without_pixel_size_takes_the_given_one(slides_dir, tmp_path) -> None:
    picture = slides_dir / "histoprep-slide.jpeg"
    make_pyramid(picture, tmp_path / "a.tiff", mpp=0.25)
    make_pyramid(picture, tmp_path / "b.tiff")
    with open_slide(tmp_path / "a.tiff") as a, open_slide(tmp_path / "b.tiff") as b:
        assert a.mpp == pytest.approx(0.25)
        assert b.mpp is None
        assert len(a.levels) == 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_channels_go_into_zarr_and_a_single_one_into_tiff(tmp_path, dtype) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (2, 1500, 1100)).astype(dtype)
    source, grey = tmp_path / "in.ome.tif", tmp_path / "grey.tif"
    options = {"photometric": "minisblack", "metadata": {"axes": "CYX"}}
    tifffile.imwrite(source, pixels, tile=(256, 256), **options)
    tifffile.imwrite(grey, pixels[0], photometric="minisblack", tile=(256, 256))
    make_pyramid(source, tmp_path / "out.zarr")
    make_pyramid(grey, tmp_path / "out.tif", style=TiffStyle("zstd"))
    with open_slide(tmp_path / "out.zarr") as slide:
        assert (slide.n_channels, slide.dtype, slide.is_brightfield) == (2, dtype, False)
        got = slide.read(0, (0, 0), slide.shape)
        np.testing.assert_array_equal(got, np.moveaxis(pixels, 0, -1))
    with open_slide(tmp_path / "out.tif") as slide:
        assert not slide.is_brightfield
        np.testing.assert_array_equal(slide.read(0, (0, 0), slide.shape)[..., 0], pixels[0])
    with pytest.raises(OutputError, match=r"choose a name that ends in \.zarr"):
        make_pyramid(source, tmp_path / "no.tif")


def test_fluorescence_stays_fluorescence(slides_dir, tmp_path) -> None:
    make_pyramid(slides_dir / "slideio-test3-DAPI-2-387.ndpi", tmp_path / "a.zarr")
    with open_slide(tmp_path / "a.zarr") as slide:
        assert not slide.is_brightfield


@pytest.mark.parametrize(
    ("name", "style", "says"),
    [
        ("a.png", None, "must end in"),
        ("taken.tif", None, "exists already"),
        ("no/a.tif", None, "needs the folder no; make it first"),
        ("a.tif", TiffStyle("webp"), "cannot be compressed by 'webp'"),
        ("a.tif", TiffStyle(quality=0), "of quality 0"),
    ],
)
def test_a_target_that_does_not_do_is_one_sentence(one_level, tmp_path, name, style, says) -> None:
    (tmp_path / "taken.tif").write_bytes(b"precious")
    with pytest.raises(OutputError, match=says):
        make_pyramid(one_level, tmp_path / name, style=style)
    assert (tmp_path / "taken.tif").read_bytes() == b"precious"


def cancel(share: float) -> None:
    raise CancelledError("stop")


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_a_cancelled_pyramid_leaves_nothing_behind(one_level, tmp_path, name) -> None:
    with pytest.raises(CancelledError):
        make_pyramid(one_level, tmp_path / name, on_progress=cancel)
    assert list(tmp_path.iterdir()) == []


def test_damage_is_not_written_down_as_glass(slides_dir, tmp_path) -> None:
    broken = slides_dir / "broken" / "openslide-python-unreadable.svs"
    with pytest.raises(SlideReadError, match="has a damaged tile"):
        make_pyramid(broken, tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


def test_the_verb_says_what_it_wrote(one_level, tmp_path, capsys) -> None:
    out = tmp_path / "a.tiff"
    assert main(["pyramid", str(one_level), str(out), "--compression", "zstd", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["levels"] == [list(shape) for shape in SHAPES]
    assert main(["pyramid", str(one_level), str(out)]) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.tiff", "a.zarr"])
@pytest.mark.parametrize("source", ["histoprep-slide.jpeg", "CMU-1-Small-Region.svs"])
def test_a_kill_in_the_middle_leaves_nothing_half_written(slides_dir, tmp_path, name, source):
    out = tmp_path / name
    program = (
        "import os, signal, sys\n"
        "from napari_hagmil.slide import make_pyramid\n"
        "def kill(share):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "make_pyramid(sys.argv[1], sys.argv[2], mpp=0.5, on_progress=kill)\n"
    )
    call = [sys.executable, "-c", program, str(slides_dir / source), str(out)]
    assert subprocess.run(call, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    # The draft that is left goes when the same is written again.
    (draft,) = tmp_path.iterdir()
    os.utime(draft, (1e9, 1e9))
    shares: list[float] = []
    make_pyramid(slides_dir / source, out, mpp=0.5, on_progress=shares.append)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert shares[-1] == 1
    with open_slide(out) as slide, open_slide(slides_dir / source) as before:
        assert slide.shape == before.shape
        assert len(slide.levels) == 3
        assert check_slide(slide)[0]["unread"] == 0


# -- kept ---------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """An empty cache, and slides of a few megapixels that count as large."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("HAGMIL_CACHE", str(folder))
    monkeypatch.setattr(pyramid_cache, "WORTH_PIXELS", 2**20)
    monkeypatch.setattr("napari_hagmil.slide.view.COARSEST", 512)
    return folder / "pyramids"


def test_coarse_levels_are_made_once_and_are_the_same(one_level, cache, monkeypatch) -> None:
    with open_slide(one_level) as slide:
        assert not cache.exists()
        shares: list[float] = []
        kept = [np.asarray(level) for level in slide.view_levels(on_progress=shares.append)]
        assert shares[-1] == 1
        assert [file.name for file, _ in PYRAMIDS.files()] == [f"{slide.fingerprint}-1.tif"]
    with open_slide(one_level) as again:
        levels = again.view_levels(on_progress=cancel)  # nothing is left to do
        assert again.tiles_read == 0
        for level, before in zip(levels[1:], kept[1:], strict=True):
            np.testing.assert_array_equal(level, before)
    monkeypatch.setattr(pyramid_cache, "WORTH_PIXELS", 2**40)
    with open_slide(one_level) as fresh:
        for level, before in zip(fresh.view_levels(), kept, strict=True):
            np.testing.assert_array_equal(level, before)


def test_making_coarse_levels_can_be_cancelled(one_level, cache) -> None:
    with open_slide(one_level) as slide, pytest.raises(CancelledError):
        slide.view_levels(on_progress=cancel)
    assert list(cache.iterdir()) == []


def test_levels_of_a_damaged_slide_are_not_kept_but_hatched(slides_dir, tmp_path, cache) -> None:
    data = bytearray((slides_dir / "CMU-1-Small-Region.svs").read_bytes())
    path = tmp_path / "damaged.svs"
    with tifffile.TiffFile(slides_dir / "CMU-1-Small-Region.svs") as tiff:
        offset, n_bytes = tiff.pages[0].dataoffsets[34], tiff.pages[0].databytecounts[34]
    data[offset : offset + n_bytes] = bytes(n_bytes)
    path.write_bytes(data)
    with open_slide(path) as slide:
        coarse = slide.view_levels()[-1]
        f = round(slide.shape[0] / coarse.shape[0])
        hatched = coarse[720 // f + 1 : 960 // f - 1, 960 // f + 1 : 1200 // f - 1]
        assert set(np.unique(hatched)) == {64, 160}
    assert PYRAMIDS.files() == []


def test_what_was_used_longest_ago_makes_room(one_level, cache, monkeypatch) -> None:
    cache.mkdir(parents=True)
    for age, name in ((100, "old-1.tif"), (50, "newer-1.tif")):
        (cache / name).write_bytes(bytes(1000))
        os.utime(cache / name, (1e9 - age, 1e9 - age))
    (cache / ".old-1.tif.0123.tmp").mkdir()
    os.utime(cache / ".old-1.tif.0123.tmp", (1e9, 1e9))
    with open_slide(one_level) as slide:
        slide.view_levels()
        size = PYRAMIDS.files()[0][1]
    monkeypatch.setenv("HAGMIL_CACHE_GB", str((size + 1500) / 1e9))
    clear = next(file for file, _ in PYRAMIDS.files() if "old" not in file.name)
    clear.unlink()
    with open_slide(one_level) as slide:
        slide.view_levels()
    assert sorted(p.name for p in cache.iterdir() if "-1" in p.name)[1:] == ["newer-1.tif"]
    assert not (cache / ".old-1.tif.0123.tmp").exists()


def test_a_disk_that_takes_nothing_only_costs_time(one_level, cache, caplog) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where a folder should be")
    with open_slide(one_level) as slide:
        assert max(slide.view_levels()[-1].shape) <= 512
    assert "are not kept" in caplog.text


def test_a_kept_file_that_is_broken_is_made_anew(one_level, cache) -> None:
    with open_slide(one_level) as slide:
        expected = slide.view_levels()[-1]
        ((file, _),) = PYRAMIDS.files()
    file.write_bytes(file.read_bytes()[:1000])
    with open_slide(one_level) as slide:
        np.testing.assert_array_equal(slide.view_levels()[-1], expected)
    assert PYRAMIDS.files() == []
    with open_slide(one_level) as slide:
        np.testing.assert_array_equal(slide.view_levels()[-1], expected)
    assert len(PYRAMIDS.files()) == 1


def test_a_kept_tile_that_is_broken_is_read_from_the_slide(one_level, cache) -> None:
    with open_slide(one_level) as slide:
        expected = slide.view_levels()[-1]
        ((file, _),) = PYRAMIDS.files()
    with tifffile.TiffFile(file) as tiff:
        offset = tiff.pages[-1].dataoffsets[0]
    whole = bytearray(file.read_bytes())
    whole[offset + 10 : offset + 40] = bytes(30)
    file.write_bytes(whole)
    with open_slide(one_level) as slide:
        np.testing.assert_array_equal(slide.view_levels()[-1], expected)


def test_the_cache_verb_shows_and_clears(one_level, cache, capsys) -> None:
    with open_slide(one_level) as slide:
        slide.view_levels()
    assert main(["cache", "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["pyramids"]["files"] == 1
    assert main(["cache", "--clear"]) == 0
    assert "0 files of pyramids" in capsys.readouterr().out
    assert PYRAMIDS.files() == []
    assert PYRAMIDS.clear() == 0

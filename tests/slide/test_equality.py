"""Our pixels against OpenSlide's and tiffslide's, at every level, at unaligned places."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_slides as made
import numpy as np
import odd_slides as odd
import pytest

from napari_hagmil.slide import open_slide

openslide = pytest.importorskip("openslide", reason="the extra openslide is not installed")


def from_pixels(write: odd.Write) -> Callable[[Path, list[np.ndarray]], Path]:
    """A writer that makes its levels itself."""

    def written(path: Path, levels: list[np.ndarray]) -> Path:
        write(path, levels[0])
        return path

    return written


#: Real slides and made ones, and the largest difference from OpenSlide and tiffslide that is
#: explained; None: that library does not read the file. OpenSlide undoes JPEG 2000's colour
#: transform in integers, we in floats: single steps in rounding.
REAL: dict[str, tuple[int | None, int | None]] = {
    "CMU-1-Small-Region.svs": (0, 0),
    "luna-1065626.svs": (1, 0),
    "openslide-python-boxes.tiff": (0, 0),
    "CMU-1-wrong-mpp.jpeg.tiff": (0, 0),
    "CMU-1-wrong-mpp.webp.tiff": (None, 0),
    "CMU-1-Small-Region-dicom": (0, None),
}
MADE: dict[str, tuple[Callable[..., Path], int | None, int | None]] = {
    "generic.tif": (made.write_generic, 0, 0),
    "jpeg.tif": (made.write_jpeg, 0, 0),
    "rgb-2000.svs": (made.write_jpeg_2000, 0, 0),
    "leica.scn": (made.write_scn, 0, 0),
    "philips.tiff": (made.write_philips, 0, 0),
    "sub-ifds.ome.tif": (made.write_ome_tiff, None, 0),  # OpenSlide sees its first level only
    "aperio.svs": (from_pixels(odd.svs), 0, 0),
    "hamamatsu.ndpi": (from_pixels(odd.ndpi), 0, 0),
    "big-endian.tif": (from_pixels(odd.generic(byteorder=">")), 0, 0),
    "one-strip.tif": (from_pixels(odd.generic(steps=(1,), tile=None, compression=None)), None, 0),
}


def regions(shape: tuple[int, int], n: int) -> list[tuple[int, int, int, int]]:
    """y, x, height, width at random; the first one ends in the last corner."""
    rng = np.random.default_rng(7)
    found = []
    for i in range(n):
        h, w = (int(rng.integers(1, min(side, 500) + 1)) for side in shape)
        y, x = (int(rng.integers(0, n - s + 1)) for n, s in zip(shape, (h, w), strict=True))
        found.append((shape[0] - h, shape[1] - w, h, w) if i == 0 else (y, x, h, w))
    return found


def compare(path: Path, other: Any, allowed: int) -> None:
    """Compare level 0 at random regions, coarser levels where a place names one pixel."""
    with open_slide(path) as slide:
        for level in slide.levels:
            step = other.level_downsamples[level.index]
            width, height = other.level_dimensions[level.index]
            assert level.shape[1] == width
            assert level.shape[0] <= height  # Leica's canvas also holds the bare glass
            for y, x, h, w in regions(level.shape, 12 if level.index == 0 else 6):
                if level.index and step != round(step):
                    # A level-0 place between two pixels is interpolated by the others.
                    y, x, h, w = 0, 0, y + h, x + w
                theirs = other.read_region((round(x * step), round(y * step)), level.index, (w, h))
                theirs = np.asarray(theirs.convert("RGB")).astype(int)
                ours = slide.read(level.index, (y, x), (h, w)).astype(int)
                assert np.abs(ours - theirs).max() <= allowed, (level.index, y, x, h, w)


def by_openslide(path: Path) -> Any:
    if path.is_dir():  # DICOM: any instance of the pyramid
        path = max(path.iterdir(), key=lambda file: file.stat().st_size)
    return openslide.OpenSlide(path)


def by_tiffslide(path: Path) -> Any:
    tiffslide = pytest.importorskip("tiffslide")
    return tiffslide.TiffSlide(path)


OPENERS = [by_openslide, by_tiffslide]


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("name", REAL)
def test_real_slides_read_as_elsewhere(slides_dir: Path, name: str, opener, request) -> None:
    if name.startswith("luna"):
        request.getfixturevalue("real_slides_dir")  # others read Aperio's own JPEG 2000 alone
    allowed = REAL[name][OPENERS.index(opener)]
    check_both(slides_dir / name, opener, allowed)


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("name", MADE)
def test_made_slides_read_as_elsewhere(made_dir: Path, name: str, opener) -> None:
    allowed = MADE[name][1 + OPENERS.index(opener)]
    check_both(made_dir / name, opener, allowed)


def check_both(path: Path, opener: Callable[[Path], Any], allowed: int | None) -> None:
    if allowed is None:
        # Should a later version read the file, it is to be compared too.
        try:
            other = opener(path)
        except Exception:  # each library raises its own
            return
        with open_slide(path) as slide, other:
            assert len(other.level_dimensions) < len(slide.levels)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tiffslide's, about metadata
        with opener(path) as other:
            compare(path, other, allowed)


@pytest.fixture(scope="module")
def made_dir(he_pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equality")
    levels = made.halved(he_pixels[700:1800, 500:1400], (1, 2, 4))
    for name, (write, *_) in MADE.items():
        write(folder / name, levels)
    return folder


def test_stored_ycbcr_is_made_rgb_as_openslide_does(he_pixels, tmp_path) -> None:
    """Aperio's 33003 without subsampling; tiffslide hands out brightness and colour as they are."""
    path = tmp_path / "ycbcr.svs"
    odd.svs_2000(path, he_pixels[700:1800, 500:1400])
    with by_openslide(path) as other:
        compare(path, other, 1)


def test_fluorescence_strips_read_as_in_openslide(slides_dir: Path) -> None:
    path = slides_dir / "slideio-test3-DAPI-2-387.ndpi"
    with open_slide(path) as slide, openslide.OpenSlide(path) as other:
        for level in slide.levels:
            for y, x, h, w in regions(level.shape, 4):
                y, x = y // 8 * 8, x // 8 * 8
                step = other.level_downsamples[level.index]
                assert step == 2**level.index
                theirs = other.read_region((int(x * step), int(y * step)), level.index, (w, h))
                ours = slide.read(level.index, (y, x), (h, w))
                np.testing.assert_array_equal(ours[..., 0], np.asarray(theirs)[..., 0])

"""What every backend promises, on the same pixels in every format that can be written here."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dicom_slides
import made_slides as made
import numcodecs
import numpy as np
import pytest
import tifffile
import vendor_slides as vendor

from napari_hagmil.errors import SlideFormatError, SlideReadError
from napari_hagmil.slide import Slide, SlideSpec, open_slide, open_spec, slide_info
from napari_hagmil.slide.formats.openslide import OpenSlideReader
from napari_hagmil.slide.interface import Meter

STEPS = (1, 2, 4)


@dataclass(frozen=True)
class Case:
    """A format: how it is written, and what is known of it."""

    name: str
    backend: str
    write: Callable[[Path, list[np.ndarray]], Path]
    compression: str
    mpp_source: str
    levels: int = 3


def through_openslide(path: Path, levels: list[np.ndarray]) -> Path:
    return made.write_generic(path, levels, compression="lzw", predictor=False)


def zarr_04(path: Path, levels: list[np.ndarray]) -> Path:
    return made.write_zarr(path, levels, "0.4", chunks=(1, 256, 256), compressors=numcodecs.Blosc())


def zarr_sharded(path: Path, levels: list[np.ndarray]) -> Path:
    return made.write_zarr(path, levels, shards=(3, 512, 512), chunks=(3, 128, 128))


def ycbcr_2000(path: Path, levels: list[np.ndarray]) -> Path:
    return made.write_jpeg_2000(path, levels, 33003)


TIFF = "TIFF resolution"
CASES = [
    Case("generic.tif", "tiff", made.write_generic, "Deflate", TIFF),
    Case("strips.tif", "tiff", made.write_strips, "Deflate", TIFF, levels=1),
    Case("jp2k.svs", "tiff", made.write_jpeg_2000, "JPEG 2000", "Aperio MPP tag"),
    Case("jp2k-ycc.svs", "tiff", ycbcr_2000, "JPEG 2000", "Aperio MPP tag"),
    Case("sub-ifds.ome.tif", "tiff", made.write_ome_tiff, "Deflate", "OME PhysicalSize"),
    Case("leica.scn", "tiff", made.write_scn, "Deflate", TIFF),
    Case("philips.tiff", "tiff", made.write_philips, "Deflate", "Philips pixel spacing"),
    Case("v4.zarr", "zarr", zarr_04, "Blosc", "OME-Zarr scale"),
    Case("v5.zarr", "zarr", made.write_zarr, "Zstandard", "OME-Zarr scale"),
    Case("sharded.zarr", "zarr", zarr_sharded, "Zstandard", "OME-Zarr scale"),
    Case("plain.zarr", "zarr", made.write_plain_zarr, "Deflate", "none", levels=1),
    Case("plain.png", "image", made.write_png, "PNG", "none", levels=1),
    Case("folder", "dicom", dicom_slides.write_dicom, "JPEG 2000", "DICOM pixel spacing"),
    Case("a.mrxs", "openslide", vendor.write_mrxs, "by OpenSlide", "OpenSlide mpp", levels=2),
    Case("a.bif", "openslide", vendor.write_bif, "by OpenSlide", "OpenSlide mpp", levels=2),
    Case("a.czi", "openslide", vendor.write_czi, "by OpenSlide", "OpenSlide mpp", levels=2),
    Case("any.tif", "openslide", through_openslide, "by OpenSlide", "OpenSlide mpp"),
]
PACKAGES = {"openslide": "openslide", "dicom": "wsidicom"}


@pytest.fixture(scope="session")
def pictures(he_pixels: np.ndarray) -> list[np.ndarray]:
    """1216×976 px of H&E at three levels: what 5×4 overlapping tiles cover."""
    return made.halved(he_pixels[700:1916, 500:1476], STEPS)


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    package = PACKAGES.get(request.param.backend)
    if package is not None:
        pytest.importorskip(package, reason=f"the extra {request.param.backend} is not installed")
    return request.param


@pytest.fixture(scope="session")
def written(case: Case, pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.write(tmp_path_factory.mktemp("contract") / case.name, pictures)


def open_case(case: Case, path: Path) -> Slide:
    """Open as users do, or with OpenSlide what another backend would take."""
    if case.name == "any.tif":
        return Slide(SlideSpec(path), OpenSlideReader(path, "a test"))
    return open_slide(path)


@pytest.fixture
def slide(case: Case, written: Path) -> Iterator[Slide]:
    with open_case(case, written) as opened:
        yield opened


class TestEveryBackend:
    """Run against every case."""

    def test_levels_are_those_of_the_file_and_shrink(self, case, slide, pictures) -> None:
        assert slide.reader.backend == case.backend
        assert len(slide.levels) == case.levels
        for level, picture in zip(slide.levels, pictures[: case.levels], strict=True):
            if "philips" not in case.name:  # which pads to whole tiles
                assert level.shape == picture.shape[:2]
            exact = tuple(a / b for a, b in zip(slide.shape, level.shape, strict=True))
            assert level.downsample == exact
        sizes = [level.shape for level in slide.levels]
        assert sizes == sorted(sizes, reverse=True)

    def test_every_pixel_of_every_level_is_what_was_written(self, case, slide, pictures) -> None:
        for level, picture in zip(slide.levels, pictures[: case.levels], strict=True):
            np.testing.assert_array_equal(
                slide.read(level.index, (0, 0), picture.shape[:2]), picture
            )
        rng = np.random.default_rng(0)
        for _ in range(10):
            h, w = (int(rng.integers(1, n)) for n in pictures[0].shape[:2])
            y, x = (
                int(rng.integers(0, n - s + 1))
                for n, s in zip(pictures[0].shape[:2], (h, w), strict=True)
            )
            np.testing.assert_array_equal(
                slide.read(0, (y, x), (h, w)), pictures[0][y : y + h, x : x + w]
            )

    def test_tiles_cover_the_level_and_are_no_larger_than_its_grid(self, slide) -> None:
        for index, grid in enumerate(slide.reader.facts.grids):
            rows, columns = grid.n_tiles
            assert (rows - 1) * grid.tile[0] < grid.shape[0] <= rows * grid.tile[0]
            assert (columns - 1) * grid.tile[1] < grid.shape[1] <= columns * grid.tile[1]
            for address in ((index, 0, 0), (index, rows - 1, columns - 1)):
                tile = slide.reader.read_tile(address, Meter())
                inside = tuple(
                    min(t, s - i * t)
                    for t, s, i in zip(grid.tile, grid.shape, address[1:], strict=True)
                )
                assert tile.dtype == np.uint8
                assert tile.shape[2] == 3
                assert all(
                    i <= n <= t for i, n, t in zip(inside, tile.shape, grid.tile, strict=False)
                )

    def test_opening_reads_no_pixel_and_reading_is_counted(self, case, slide) -> None:
        assert slide.tiles_read == slide.bytes_read == 0
        slide.read(0, (0, 0), (64, 64))
        assert slide.tiles_read == 1
        if case.backend != "openslide":  # which does not say
            assert 0 < slide.bytes_read < 3_000_000

    def test_threads_read_what_one_reads(self, slide, pictures) -> None:
        places = [(y, x) for y in range(0, 1000, 170) for x in range(0, 800, 130)]

        def read(place: tuple[int, int]) -> np.ndarray:
            return slide.read(0, place, (150, 140))

        with ThreadPoolExecutor(8) as pool:
            for (y, x), got in zip(places, pool.map(read, places), strict=True):
                picture = pictures[0][y : y + 150, x : x + 140]
                np.testing.assert_array_equal(got[: picture.shape[0], : picture.shape[1]], picture)

    def test_the_pixel_size_says_where_it_comes_from(self, case, slide) -> None:
        assert slide.mpp_source == case.mpp_source
        if case.mpp_source != "none":
            assert slide.mpp == pytest.approx(made.MPP, rel=1e-6)

    def test_info_names_the_backend_and_the_reason(self, case, slide) -> None:
        info = json.loads(json.dumps(slide_info(slide)))
        assert info["backend"] == case.backend
        assert info["backend_reason"]
        assert info["compression"] == case.compression
        assert info["brightfield"]
        assert "secret" not in json.dumps(info)

    def test_a_spec_opens_the_same_slide_elsewhere(self, slide) -> None:
        with open_spec(pickle.loads(pickle.dumps(slide.spec))) as again:
            np.testing.assert_array_equal(
                again.read(0, (90, 80), (70, 60)), slide.read(0, (90, 80), (70, 60))
            )

    def test_the_fingerprint_is_that_of_the_content(self, case, slide, written, tmp_path) -> None:
        moved = copied(written, tmp_path / f"moved-{written.name}")
        with open_case(case, moved) as again:
            assert again.fingerprint == slide.fingerprint
        assert len(slide.fingerprint) == 32

    def test_a_changed_slide_has_another_fingerprint(self, case, slide, pictures, tmp_path) -> None:
        changed = [255 - picture for picture in pictures]
        with open_case(case, case.write(tmp_path / case.name, changed)) as other:
            assert other.fingerprint != slide.fingerprint

    def test_a_closed_slide_raises_and_may_be_closed_again(self, case, written) -> None:
        slide = open_case(case, written)
        slide.close()
        slide.close()
        if case.backend != "image":  # which opens its file only to read it
            with pytest.raises(SlideReadError):
                slide.read(0, (300, 300), (10, 10))

    def test_damage_is_an_error_that_names_the_slide_and_others_go_on(
        self, case, written, pictures, tmp_path
    ) -> None:
        path = copied(written, tmp_path / written.name)
        damage(path)
        with open_case(case, path) as slide:
            with pytest.raises(SlideReadError, match=path.name):
                slide.read(0, (0, 0), (20, 20))
            if case.backend == "image":
                return  # one stream for all
            assert list(slide.unreadable) == [(0, 0, 0)]
            tile = slide.reader.facts.grids[0].tile
            y, x = (1000, 0) if tile[1] >= 976 else (tile[0], tile[1])
            picture = pictures[0][y : y + 100, x : x + 100]
            np.testing.assert_array_equal(slide.read(0, (y, x), (100, 100)), picture)


def copied(path: Path, to: Path) -> Path:
    """Copy a slide with its companion files."""
    if path.suffix == ".mrxs":
        shutil.copytree(path.with_suffix(""), to.with_suffix(""))
    return Path((shutil.copytree if path.is_dir() else shutil.copy)(path, to))


def damage(path: Path) -> None:
    """Overwrite the first tile of level 0 with noise."""
    noise = np.random.default_rng(3)
    if path.name == "folder":
        dicom_slides.spoil_first_frame(path)
    elif path.suffix in (".mrxs", ".czi"):
        vendor.spoil_first_tile(path)
    elif path.is_dir():
        (chunk,) = (
            path / name
            for name in ("0/0.0.0", "0/0/0/0", "0/c/0/0/0", "0.0.0")
            if (path / name).is_file()
        )
        data = chunk.read_bytes()
        chunk.write_bytes(noise.bytes(400) + data[400:])
    elif path.suffix == ".png":
        data = path.read_bytes()
        path.write_bytes(data[:1000] + noise.bytes(2000) + data[3000:])
    else:
        with tifffile.TiffFile(path) as tiff:
            page = max(tiff.pages, key=lambda page: page.imagelength * page.imagewidth)
            offset, n_bytes = page.dataoffsets[0], page.databytecounts[0]
        data = bytearray(path.read_bytes())
        data[offset : offset + n_bytes] = noise.bytes(n_bytes)
        path.write_bytes(data)


def test_an_instance_of_a_dicom_slide_is_the_whole_slide(pictures, tmp_path, slides_dir) -> None:
    """Whichever file is picked from the folder: level, label or macro."""
    pytest.importorskip("wsidicom")
    made_folder = dicom_slides.write_dicom(tmp_path / "made", pictures)
    for folder in (made_folder, slides_dir / "CMU-1-Small-Region-dicom"):
        with open_slide(folder) as whole:
            expected = whole.read(0, (50, 60), (70, 80))
            for instance in sorted(folder.glob("*.dcm")):
                with open_slide(instance) as slide:
                    assert slide.fingerprint == whole.fingerprint
                    assert slide.shape == whole.shape
                    np.testing.assert_array_equal(slide.read(0, (50, 60), (70, 80)), expected)
    with open_slide(made_folder) as slide:
        assert slide.objective == 20


def test_a_folder_of_two_dicom_slides_is_refused_and_an_instance_opens_its_own(
    pictures, tmp_path
) -> None:
    pytest.importorskip("wsidicom")
    import pydicom

    dicom_slides.write_dicom(tmp_path / "both", pictures)
    other = dicom_slides.write_dicom(tmp_path / "other", [pictures[1]]) / "level-0.dcm"
    second = pydicom.dcmread(other)
    for uid in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(second, uid, pydicom.uid.generate_uid())
    second.file_meta.MediaStorageSOPInstanceUID = second.SOPInstanceUID
    second.save_as(tmp_path / "both" / "second.dcm")
    with pytest.raises(SlideFormatError, match="the instances of 2 DICOM slides; give one"):
        open_slide(tmp_path / "both")
    for name, picture in (("level-1.dcm", pictures[0]), ("second.dcm", pictures[1])):
        with open_slide(tmp_path / "both" / name) as slide:
            assert slide.shape == picture.shape[:2]
    second.ImageType = ["DERIVED", "PRIMARY", "OVERVIEW", "NONE"]
    second.save_as(tmp_path / "both" / "second.dcm")
    with open_slide(tmp_path / "both") as slide:
        assert len(slide.levels) == len(pictures)


def test_focal_planes_of_dicom_that_are_not_shown_are_named(pictures, tmp_path) -> None:
    pytest.importorskip("wsidicom")
    import pydicom
    from pydicom.encaps import encapsulate, generate_frames

    path = dicom_slides.write_dicom(tmp_path / "z", pictures[:1]) / "level-0.dcm"
    stack = pydicom.dcmread(path)
    frames = list(generate_frames(stack.PixelData, number_of_frames=stack.NumberOfFrames)) * 3
    stack.TotalPixelMatrixFocalPlanes, stack.NumberOfFrames = 3, len(frames)
    stack.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = 0.002
    stack.PixelData = encapsulate(frames)
    stack.save_as(path)
    with open_slide(tmp_path / "z") as slide:
        assert slide.warnings == ("z holds more than is shown: 2 more focal planes",)


def test_openslide_is_opened_again_after_an_error(pictures, tmp_path) -> None:
    """An error kills its handle: other threads' tiles must not be lost to it."""
    pytest.importorskip("openslide")
    path = through_openslide(tmp_path / "any.tif", pictures)
    damage(path)
    with open_case(CASES[-1], path) as slide:
        failures: list[object] = []
        started = threading.Barrier(2)

        def spoil() -> None:
            started.wait()
            for _ in range(20):
                with pytest.raises(SlideReadError):
                    slide.read(0, (5, 5), (10, 10))

        def read() -> None:
            started.wait()
            for i in range(60):
                slide._gather.cache.clear()
                y, x = 256 + 37 * (i % 9), 256 + 31 * (i % 7)
                got = slide.read(0, (y, x), (50, 50))
                if not np.array_equal(got, pictures[0][y : y + 50, x : x + 50]):
                    failures.append((y, x))

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(spoil), pool.submit(read)]:
                done.result()
        assert not failures
        assert list(slide.unreadable) == [(0, 0, 0)]

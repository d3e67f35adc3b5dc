"""What is known about a slide: pixel size and where it comes from, levels, vendor."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hagmil.errors import MissingExtraError, MissingPixelSizeError
from napari_hagmil.slide import LevelGrid, PixelSize, SlideFacts, open_slide, slide_info
from napari_hagmil.slide.formats.tiff.stated import ome_pictures
from napari_hagmil.slide.pixel_size import choose_pixel_size

GRID = LevelGrid((100, 100), (10, 10))
VENDOR = PixelSize((0.25, 0.25), "Aperio MPP tag")
RESOLUTION = PixelSize((0.5, 0.5), "TIFF resolution")
TINY = PixelSize((0.005, 0.005), "TIFF resolution")
HUGE = PixelSize((352.8, 352.8), "TIFF resolution")


@pytest.mark.parametrize(
    ("sizes", "objective", "given", "mpp", "source", "warns"),
    [
        ((VENDOR, RESOLUTION), 20, None, 0.25, "Aperio MPP tag", ()),
        ((RESOLUTION,), 40, None, 0.5, "TIFF resolution", ()),
        ((), 40, None, 0.25, "objective power", ("guessed from the 40× objective",)),
        ((), None, None, None, "none", ("has no pixel size; give mpp=",)),
        ((VENDOR,), 40, 0.26, 0.26, "given", ()),
        ((VENDOR,), 40, 0.5, 0.5, "given", ("states 0.25 µm/px",)),
        ((TINY,), 40, None, None, "none", ("0.005 µm (TIFF resolution), outside",)),
        ((HUGE,), None, None, None, "none", ("352.8 µm (TIFF resolution), outside",)),
        ((HUGE,), None, 0.5, 0.5, "given", ()),
        ((), None, 0.001, 0.001, "given", ("outside the usual",)),
        ((), 0, None, None, "none", ("has no pixel size",)),
        ((), 5000, None, None, "none", ("objective power), outside",)),
        (
            (PixelSize((0.5, 0.4), "TIFF resolution"),),
            None,
            None,
            pytest.approx(0.2**0.5),
            "TIFF resolution",
            ("not square",),
        ),
    ],
)
def test_the_pixel_size_is_chosen_by_trust(sizes, objective, given, mpp, source, warns) -> None:
    facts = SlideFacts(grids=(GRID,), pixel_sizes=sizes, objective=objective)
    chosen = choose_pixel_size("a.svs", facts, given)
    assert (chosen.mpp, chosen.source) == (mpp, source)
    for problem, part in zip(chosen.problems, warns, strict=True):
        assert part in problem.sentence()
        assert problem.subject == "a.svs"


@pytest.mark.parametrize("given", [0.0, -1.0, float("nan"), float("inf")])
def test_a_given_pixel_size_is_a_positive_number(given: float) -> None:
    with pytest.raises(MissingPixelSizeError, match="needs a positive pixel size"):
        choose_pixel_size("a.svs", SlideFacts(grids=(GRID,)), given)


EXPECTED = {
    "CMU-1-Small-Region.svs": (0.499, "Aperio MPP tag", 20, "Aperio", "JPEG"),
    "CMU-1-Small-Region-dicom": (0.499, "DICOM pixel spacing", None, "DICOM", "JPEG"),
    "luna-1065626.svs": (0.5026, "Aperio MPP tag", 20, "Aperio", "JPEG 2000"),
    "slideio-test3-DAPI-2-387.ndpi": (0.22818, "TIFF resolution", 40, "Hamamatsu", "JPEG"),
    "openslide-python-boxes.tiff": (None, "none", None, "generic TIFF", "Deflate"),
    "CMU-1-wrong-mpp.jpeg.tiff": (None, "none", None, "generic TIFF", "JPEG"),
    "CMU-1-wrong-mpp.webp.tiff": (None, "none", None, "generic TIFF", "WebP"),
    "pathml-small_vectra.qptiff": (0.49653, "TIFF resolution", 10, "Akoya", "LZW"),
    "histoprep-slide.jpeg": (None, "none", None, "none", "JPEG"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_real_slide_is_described(slides_dir: Path, name: str, request) -> None:
    if "dicom" in name:
        pytest.importorskip("wsidicom")
        request.getfixturevalue("real_slides_dir")  # a JPEG, which is not made here
    mpp, source, objective, vendor, compression = EXPECTED[name]
    with open_slide(slides_dir / name) as slide:
        info = json.loads(json.dumps(slide_info(slide)))
        assert slide.tiles_read == 0
    assert info["mpp"] == (None if mpp is None else pytest.approx(mpp, rel=1e-3))
    assert (info["mpp_source"], info["objective"]) == (source, objective)
    assert (info["vendor"], info["compression"]) == (vendor, compression)
    if mpp is None:
        assert "give mpp= in µm per pixel of level 0" in " ".join(info["warnings"])
    assert str(slides_dir) not in json.dumps(info)


def test_label_and_macro_are_named_and_nothing_else(slides_dir: Path) -> None:
    with open_slide(slides_dir / "CMU-1-Small-Region.svs") as slide:
        assert slide.associated == ("thumbnail", "label", "macro")
        text = json.dumps(slide_info(slide))
    # The scanner's User and Filename fields are patient data in real life.
    assert "b414003d" not in text
    assert "12/29/09" not in text


def test_an_implausible_pixel_size_names_the_value_and_asks(slides_dir: Path) -> None:
    path = slides_dir / "CMU-1-wrong-mpp.jpeg.tiff"
    with (
        open_slide(path) as slide,
        pytest.raises(MissingPixelSizeError, match=r"0\.00499 µm .*; give mpp="),
    ):
        slide.require_mpp()
    with open_slide(path, mpp=0.499) as slide:
        assert slide.require_mpp() == 0.499
        assert slide.mpp_source == "given"


@pytest.mark.parametrize(
    ("front", "remedy"),
    [
        ("library", "give mpp= in µm per pixel of level 0"),
        ("command line", "give --mpp in µm per pixel of level 0"),
        ("window", "enter the µm per pixel in the Slide tab"),
    ],
)
def test_a_slide_without_a_pixel_size_asks_each_reader_for_what_they_can_reach(
    tmp_path: Path, front, remedy
) -> None:
    with open_slide(write(tmp_path / "a.tif")) as slide:
        (problem,) = slide.problems
        assert problem.sentence(front) == f"a.tif has no pixel size; {remedy}"
        assert slide_info(slide, front)["warnings"] == [problem.sentence(front)]
        with pytest.raises(MissingPixelSizeError) as caught:
            slide.require_mpp()
    assert caught.value.problem == problem


def write(path: Path, **options) -> Path:
    pixels = np.zeros((512, 512, 3), np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", **({"tile": (256, 256)} | options))
    return path


def test_ome_physical_sizes_are_read_with_their_unit(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {
        "axes": "YXS",
        "PhysicalSizeX": 250,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.25,
        "PhysicalSizeYUnit": "µm",
    }
    write(path, metadata=metadata)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.25)
        assert slide.mpp_source == "OME PhysicalSize"


@pytest.mark.parametrize(
    ("size", "unit"),
    [
        (0.5, ""),
        (0.5, "um"),
        (500, "nm"),
        (5000, "Å"),
        (5e-4, "mm"),
        (5e-5, "cm"),
        (0.5 / 25400, "in"),
    ],
)
def test_a_physical_size_is_micrometres_whatever_its_unit(size, unit) -> None:
    told = "".join(
        f'PhysicalSize{axis}="{size}"' + (f' PhysicalSize{axis}Unit="{unit}" ' if unit else " ")
        for axis in "XY"
    )
    (picture,) = ome_pictures(f'<Image ID="a"><Pixels SizeX="9" SizeY="8" {told}/></Image>')
    assert picture.size is not None
    assert picture.size.mpp == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("unit", ["micron", "micrometer", "Âµm", " µm "])
def test_a_unit_that_is_not_written_as_ome_does_is_known(unit) -> None:
    told = f'PhysicalSizeX="0.5" PhysicalSizeXUnit="{unit}"'  # of Y nothing: pixels are square
    (picture,) = ome_pictures(f'<Image ID="a"><Pixels SizeX="9" SizeY="8" {told}/></Image>')
    assert picture.size is not None
    assert picture.size.mpp == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("unit", ["pixel", "reference frame", "furlong"])
def test_a_size_without_a_length_is_none(unit) -> None:
    told = f'PhysicalSizeX="1" PhysicalSizeY="1" PhysicalSizeXUnit="{unit}"'
    (picture,) = ome_pictures(f'<Image ID="a"><Pixels SizeX="9" SizeY="8" {told}/></Image>')
    assert picture.size is None


def test_an_objective_may_be_written_with_its_times(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    write(path, description="Aperio Image Library v1\n|AppMag = 40x", metadata=None)
    with open_slide(path) as slide:
        assert (slide.objective, slide.mpp) == (40, 0.25)


def test_levels_in_sub_ifds_are_found(tmp_path: Path) -> None:
    path = tmp_path / "sub.ome.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (512, 768, 3), np.uint8)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        options = {"photometric": "rgb", "tile": (128, 128)}
        tiff.write(pixels, subifds=2, metadata={"axes": "YXS"}, **options)
        tiff.write(pixels[::2, ::2], subfiletype=1, **options)
        tiff.write(pixels[::4, ::4], subfiletype=1, **options)
    with open_slide(path) as slide:
        assert slide.downsamples == ((1, 1), (2, 2), (4, 4))
        np.testing.assert_array_equal(slide.read(2, (0, 0), (128, 192)), pixels[::4, ::4])


def test_pyramids_whose_pages_are_not_marked_are_found(tmp_path: Path) -> None:
    path = tmp_path / "unmarked.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (700, 900, 3), np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        for step in (1, 2, 4):
            tiff.write(pixels[::step, ::step], photometric="rgb", tile=(128, 128), metadata=None)
    with open_slide(path) as slide:
        assert [level.shape for level in slide.levels] == [(700, 900), (350, 450), (175, 225)]


def test_samples_stored_apart_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "planar.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (300, 200, 3), np.uint8)
    tifffile.imwrite(
        path,
        np.moveaxis(pixels, -1, 0),
        photometric="rgb",
        tile=(128, 128),
        planarconfig="separate",
    )
    with open_slide(path) as slide:
        assert slide.is_rgb
        np.testing.assert_array_equal(slide.read(0, (0, 0), (300, 200)), pixels)


def test_a_resolution_without_a_unit_is_no_pixel_size(tmp_path: Path) -> None:
    path = write(tmp_path / "nounit.tif", resolution=(20000, 20000), resolutionunit=1)
    with open_slide(path) as slide:
        assert slide.mpp is None


def test_a_dicom_folder_and_one_of_its_instances_are_one_slide(real_slides_dir: Path) -> None:
    slides_dir = real_slides_dir
    pytest.importorskip("wsidicom")
    folder = slides_dir / "CMU-1-Small-Region-dicom"
    with open_slide(folder) as whole, open_slide(sorted(folder.iterdir())[1]) as one:
        assert whole.shape == one.shape == (2967, 2220)
        assert whole.fingerprint == one.fingerprint
        assert whole.associated == ("label", "macro")
        with open_slide(slides_dir / "CMU-1-Small-Region.svs") as svs:
            a, b = (s.read(0, (1000, 900), (500, 500)).astype(int) for s in (whole, svs))
        # The DICOM was compressed once more: places agree, single pixels differ.
        coarse = np.abs((a - b).reshape(50, 10, 50, 10, 3).mean((1, 3)))
        assert coarse.mean() < 2


def test_dicom_without_its_extra_says_what_to_install(slides_dir: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wsidicom", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'napari-hagmil\[dicom\]'"):
        open_slide(slides_dir / "CMU-1-Small-Region-dicom")


@pytest.mark.parametrize(
    ("stated", "given", "disagrees"),
    [(0.25, 0.29, False), (0.25, 0.35, True), (4.0, 4.7, False), (0.25, 0.19, True)],
)
def test_pixel_sizes_disagree_by_their_ratio_and_not_by_their_difference(stated, given, disagrees):
    facts = SlideFacts(
        grids=(),
        n_channels=3,
        dtype=np.dtype(np.uint8),
        is_rgb=True,
        pixel_sizes=(PixelSize((stated, stated), "Aperio MPP tag"),),
    )
    chosen = choose_pixel_size("a.svs", facts, given)
    assert chosen.mpp == given
    assert any("but" in problem.sentence() for problem in chosen.problems) is disagrees

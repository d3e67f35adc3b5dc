"""Tissue is found, pale or crumbled; glass, ink and dust are not tissue."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tifffile

from napari_hagmil import tissue
from napari_hagmil.errors import MissingPixelSizeError, SlideFormatError
from napari_hagmil.geometry import Region
from napari_hagmil.quadtree import build_quadtree
from napari_hagmil.slide import open_slide, read_scaled
from napari_hagmil.tissue import (
    TissueMask,
    _unread,
    background_colour,
    drawn_tissue,
    segment_tissue,
    tissue_of_image,
)

GLASS = (243, 242, 241)
INKS = {"blue": (40, 60, 160), "green": (30, 110, 70), "red": (200, 40, 50), "black": (35, 35, 38)}


@pytest.fixture(scope="module")
def he(slides_dir: Path) -> np.ndarray:
    """Real H&E at 8 µm/px on a slide of 4×4 mm: three pieces on noisy glass."""
    with open_slide(slides_dir / "CMU-1-Small-Region.svs") as slide:
        piece = read_scaled(slide, Region(0, 0, 2967, 2220), (185, 138))
    image = empty_glass()
    for y, x in ((60, 60), (60, 320), (280, 180)):
        image[y : y + 185, x : x + 138] = piece
    return image


def empty_glass() -> np.ndarray:
    """Glass with noise, a shading of 3 grey levels, and specks of dust."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:500, :500] / 500
    shade = 3 * ((y - 0.5) ** 2 + (x - 0.5) ** 2)
    image = np.array(GLASS) - shade[..., None] + rng.normal(0, 1, (500, 500, 3))
    image = np.clip(image, 0, 255).astype(np.uint8)
    for row, column in rng.integers(10, 490, (30, 2)):
        cv2.circle(image, (int(column), int(row)), int(rng.integers(1, 4)), (90, 85, 80), -1)
    return image


def paler(image: np.ndarray, contrast: float) -> np.ndarray:
    """The same slide, more faintly stained."""
    glass = np.array(GLASS)
    return np.clip(glass + (image - glass) * contrast, 0, 255).astype(np.uint8)


def inked(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """The same slide with strokes of a marker, beside the tissue and across the glass."""
    out = image.copy()
    stroke = np.zeros(image.shape[:2], np.uint8)
    cv2.polylines(stroke, [np.array([(20, 20), (260, 40), (480, 30)])], False, 255, 22)
    cv2.polylines(stroke, [np.array([(30, 300), (60, 460), (150, 485)])], False, 255, 16)
    cover = cv2.GaussianBlur(stroke, (0, 0), 1.2)[..., None] / 255 * 0.92
    transmitted = out * (1 - cover * (1 - np.array(colour) / 255))
    return transmitted.astype(np.uint8)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.usefixtures("real_slides_dir")  # bounds that hold for the tissue of a scan
def test_tissue_is_found_as_on_the_plain_slide_when_it_is_pale(he: np.ndarray) -> None:
    plain, _ = tissue_of_image(he, 8.0)
    assert 0.10 < plain.mean() < 0.20
    for contrast, least in ((0.6, 0.97), (0.4, 0.95), (0.15, 0.9)):
        found, _ = tissue_of_image(paler(he, contrast), 8.0)
        assert iou(found, plain) > least, contrast


@pytest.mark.parametrize("ink", INKS)
def test_ink_is_no_tissue_and_hides_none(he: np.ndarray, ink: str) -> None:
    plain, _ = tissue_of_image(he, 8.0)
    found, thresholds = tissue_of_image(inked(he, INKS[ink]), 8.0)
    assert thresholds["pen"] > 0.02
    assert iou(found, plain) > 0.95


@pytest.mark.parametrize("ink", INKS)
def test_a_slide_of_ink_alone_has_no_tissue(ink: str) -> None:
    found, _ = tissue_of_image(inked(empty_glass(), INKS[ink]), 8.0)
    assert found.mean() < 0.001


def test_stained_tissue_is_not_taken_for_ink(he: np.ndarray) -> None:
    assert tissue_of_image(he, 8.0)[1]["pen"] == 0


def direction(*density: float) -> np.ndarray:
    return np.array(density) / np.linalg.norm(density)


HAEMATOXYLIN, EOSIN = direction(0.65, 0.70, 0.29), direction(0.07, 0.99, 0.11)
#: Optical density of red, green and blue of the two stains of each, after published values.
STAINS = {
    "Masson trichrome": (HAEMATOXYLIN, direction(0.800, 0.591, 0.105)),
    "Alcian blue": (direction(0.553, 0.754, 0.354), direction(0.875, 0.458, 0.158)),
    "light green": (direction(0.464, 0.830, 0.308), direction(0.947, 0.254, 0.197)),
    "Giemsa": (direction(0.835, 0.514, 0.196), direction(0.093, 0.954, 0.283)),
    "methyl green": (direction(0.98, 0.14, 0.13), direction(0.214, 0.851, 0.478)),
    "Prussian blue": (direction(0.853, 0.509, 0.113), direction(0.091, 0.83, 0.549)),
    "Luxol fast blue": (direction(0.9, 0.45, 0.1), direction(0.3, 0.9, 0.3)),
    "toluidine blue": (direction(0.8, 0.6, 0.1), direction(0.8, 0.6, 0.1)),
    "silver": (direction(0.55, 0.6, 0.58), direction(0.55, 0.6, 0.58)),
}


def restained(image: np.ndarray, stain: str, strength: float = 1.0) -> np.ndarray:
    """Real H&E whose two stains are replaced by others, structure and amounts kept."""
    density = np.maximum(np.log10(np.array(GLASS) / np.maximum(image.astype(float), 1)), 0)
    amounts = density.reshape(-1, 3) @ np.linalg.pinv(np.stack([HAEMATOXYLIN, EOSIN]))
    other = np.maximum(amounts, 0) @ np.stack(STAINS[stain]) * strength
    return np.clip(np.rint(np.array(GLASS) * 10 ** -other.reshape(image.shape)), 0, 255).astype(
        "u1"
    )


@pytest.mark.parametrize(
    ("stain", "strength"), [*((stain, 1.0) for stain in STAINS), ("Masson trichrome", 1.7)]
)
def test_stains_of_the_hue_of_ink_are_tissue(he: np.ndarray, stain: str, strength: float) -> None:
    plain, _ = tissue_of_image(he, 8.0)
    found, thresholds = tissue_of_image(restained(he, stain, strength), 8.0)
    assert (found & plain).sum() / plain.sum() > 0.95
    assert thresholds["pen"] == 0
    (note,) = TissueMask(found, 16.0, thresholds).notes or ("",)
    assert ("special stains" in note) == (thresholds["inklike"] > 0)


@pytest.mark.parametrize("ink", ["green", "red", "black"])
def test_ink_beside_and_across_a_special_stain_is_left_out(he: np.ndarray, ink: str) -> None:
    stained = restained(he, "Masson trichrome")
    plain, _ = tissue_of_image(stained, 8.0)
    found, thresholds = tissue_of_image(inked(stained, INKS[ink]), 8.0)
    assert 0.05 < thresholds["pen"] < 0.11
    assert iou(found, plain) > 0.95
    assert "Marker ink covers" in TissueMask(found, 16.0, thresholds).notes[0]


@pytest.mark.parametrize(("ink", "width"), [("blue", 8), ("green", 22), ("black", 8)])
def test_a_streaky_stroke_is_ink_though_it_is_narrow(he: np.ndarray, ink: str, width: int) -> None:
    plain, _ = tissue_of_image(he, 8.0)
    stroke = np.zeros(he.shape[:2], np.uint8)
    points = np.array([(20, 20), (150, 50), (260, 40), (400, 50), (480, 30)])
    cv2.polylines(stroke, [points], False, 255, width)
    streaks = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 1, stroke.shape), (0, 0), 6)
    cover = cv2.GaussianBlur(stroke, (0, 0), 1.2) / 255 * 0.9 * (1 + 0.12 * streaks / streaks.std())
    density = np.clip(cover, 0, 0.98)[..., None] * np.log10(255 / np.array(INKS[ink]))
    found, thresholds = tissue_of_image((he * 10**-density).astype(np.uint8), 8.0)
    assert thresholds["pen"] > 0.015
    assert iou(found, plain) > 0.95


def test_empty_glass_is_empty() -> None:
    found, _ = tissue_of_image(empty_glass(), 8.0)
    assert not found.any()


def test_a_picture_of_one_colour_is_all_tissue_where_it_is_stained() -> None:
    red = np.full((60, 60, 3), (200, 60, 90), np.uint8)
    assert tissue_of_image(red, 8.0)[0].all()


@pytest.mark.parametrize("tint", [(225, 215, 200), (200, 200, 205), (255, 255, 255)])
def test_tinted_or_dim_glass_is_still_glass(he: np.ndarray, tint: tuple[int, int, int]) -> None:
    scale = np.array(tint) / np.array(GLASS)
    plain, _ = tissue_of_image(he, 8.0)
    dim = np.clip(he * scale, 0, 255).astype(np.uint8)
    found, _ = tissue_of_image(dim, 8.0)
    assert iou(found, plain) > 0.93
    assert not tissue_of_image(np.clip(empty_glass() * scale, 0, 255).astype(np.uint8), 8.0)[
        0
    ].any()
    expected = np.minimum(np.array(tint), 255)
    none = np.zeros(he.shape[:2], bool)
    assert np.abs(background_colour(dim, none) - expected).max() <= 4


def test_crumbs_are_the_specimen_where_there_is_nothing_else(he: np.ndarray) -> None:
    image = empty_glass()
    image[100:114, 100:114] = he[200:214, 120:134]  # 112 µm
    image[300:314, 350:364] = he[180:194, 120:134]
    found, _ = tissue_of_image(image, 8.0)
    assert found[107, 107]
    assert found[307, 357]


def test_the_tissue_of_a_real_slide_of_crumbs(real_slides_dir: Path) -> None:
    with open_slide(real_slides_dir / "luna-1065626.svs") as slide:
        mask = segment_tissue(slide)
    assert mask.downsample == pytest.approx(8 / 0.5026)
    assert mask.values.shape == (644, 751)
    assert 0.004 < mask.values.mean() < 0.012
    for place in ((110, 181), (402, 312), (440, 465), (455, 510)):
        assert mask.values[place], place


def test_the_mask_lies_on_the_slide(real_slides_dir: Path) -> None:
    with open_slide(real_slides_dir / "CMU-1-Small-Region.svs") as slide:
        mask = segment_tissue(slide)
        fine = segment_tissue(slide, mpp=4.0)
        tree = build_quadtree(mask, slide_shape=slide.shape, patch_size=256, downsamples=(2, 1))
    assert isinstance(mask, TissueMask)
    assert mask.downsample == 8 / 0.499
    assert mask.values.shape == tuple(int(np.ceil(n / mask.downsample)) for n in (2967, 2220))
    assert 0.35 < mask.values.mean() < 0.45
    again = cv2.resize(fine.values.view(np.uint8), mask.values.shape[::-1]).astype(bool)
    assert iou(mask.values, again) > 0.93
    assert mask.area_um2(0.499) == pytest.approx(mask.values.sum() * 64)
    assert 10 < len(tree.nodes[0]) < 30


def test_a_place_that_cannot_be_read_is_not_passed_over(
    real_slides_dir: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(real_slides_dir / "CMU-1-Small-Region.svs", tmp_path / "damaged.svs"))
    with tifffile.TiffFile(path) as tiff:
        offset, n_bytes = tiff.pages[0].dataoffsets[20], tiff.pages[0].databytecounts[20]
    data = bytearray(path.read_bytes())
    data[offset : offset + n_bytes] = bytes(n_bytes)
    path.write_bytes(data)
    with open_slide(path) as slide, open_slide(real_slides_dir / "CMU-1-Small-Region.svs") as sound:
        mask, expected = segment_tissue(slide), segment_tissue(sound)
        assert list(slide.unreadable) == [(0, 2, 0)]
    assert mask.values[32:44, 2:13].all()
    assert not expected.values[32:44, 2:13].any()
    assert mask.thresholds["unread"] > 0
    elsewhere = np.ones_like(mask.values)
    elsewhere[28:47, :17] = False
    assert iou(mask.values & elsewhere, expected.values & elsewhere) > 0.97


def test_without_a_pixel_size_there_is_no_segmentation(slides_dir: Path) -> None:
    path = slides_dir / "histoprep-slide.jpeg"
    with open_slide(path) as slide, pytest.raises(MissingPixelSizeError, match="give mpp="):
        segment_tissue(slide)
    with open_slide(path, mpp=0.5) as slide:
        assert segment_tissue(slide).values.mean() > 0.7


def test_fluorescence_is_refused(slides_dir: Path) -> None:
    with (
        open_slide(slides_dir / "slideio-test3-DAPI-2-387.ndpi") as slide,
        pytest.raises(SlideFormatError, match="not an RGB brightfield slide"),
    ):
        segment_tissue(slide)


def test_an_empty_slide_gives_an_empty_mask(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    glass = cv2.resize(empty_glass(), (2000, 2000))
    tifffile.imwrite(path, glass, photometric="rgb", tile=(256, 256))
    with open_slide(path, mpp=2.0) as slide:
        mask = segment_tissue(slide)
    assert mask.is_empty


def test_drawn_outlines_cover_the_pixels_inside_on_the_raster_of_found_tissue(
    tmp_path: Path,
) -> None:
    path = tmp_path / "drawn.tif"
    tifffile.imwrite(path, np.full((1000, 1200, 3), 240, np.uint8), photometric="rgb")
    square = ((-0.5, -0.5), (-0.5, 799.5), (399.5, 799.5), (399.5, -0.5))
    with open_slide(path, mpp=0.8) as slide:
        mask = drawn_tissue(slide, [square])
        assert mask.values.shape == segment_tissue(slide).values.shape == (100, 120)
        assert drawn_tissue(slide, []).is_empty
    assert mask.values[:40, :80].all()
    assert mask.values.sum() == 40 * 80
    assert mask.downsample == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("row", "column", "rows", "columns"), [(0, 0, (0, 7), (0, 7)), (1, 2, (6, 13), (12, 19))]
)
def test_every_raster_pixel_that_a_damaged_tile_touches_is_unread(row, column, rows, columns):
    """A tile of 100 px covers 6.25 raster pixels of 16 px: the last row counts as well."""
    grid = SimpleNamespace(tile=(100, 100))
    slide = SimpleNamespace(
        unreadable=[(0, row, column)],
        reader=SimpleNamespace(facts=SimpleNamespace(grids=[grid])),
        levels=[SimpleNamespace(downsample=(1.0, 1.0))],
    )
    found = _unread(slide, (30, 30), 16.0)
    expected = np.zeros((30, 30), bool)
    expected[slice(*rows), slice(*columns)] = True
    assert (found == expected).all()


@pytest.mark.parametrize("ink", INKS)
def test_a_large_slide_takes_little_more_memory_than_its_picture(he: np.ndarray, ink: str) -> None:
    """At 8 µm a slide of 80,000² px has 6 million pixels: 48 bytes each were 300 MB."""
    image = np.tile(inked(he, INKS[ink]), (3, 3, 1))
    tissue_of_image(image[:64, :64], 8.0)
    tracemalloc.start()
    try:
        tissue_of_image(image, 8.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * image[..., 0].size


def test_rows_that_are_judged_apart_are_judged_as_one(he: np.ndarray, monkeypatch) -> None:
    image = inked(np.tile(he, (2, 1, 1)), INKS["blue"])
    whole, _ = tissue_of_image(image, 8.0)
    monkeypatch.setattr(tissue, "_BAND", 37)
    parts, _ = tissue_of_image(image, 8.0)
    np.testing.assert_array_equal(parts, whole)

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from napari_hagmil.attention import attention_map, find_regions
from napari_hagmil.errors import OutputError
from napari_hagmil.export import overview_picture, write_overview, write_report
from napari_hagmil.export.legend import COLORS, scale_length
from napari_hagmil.export.overview import encode_png
from napari_hagmil.export.report import percent

THUMBNAIL = np.full((900, 1200, 3), (230, 200, 215), np.uint8)


@pytest.fixture(scope="session")
def regions(result):
    stage = result.stages[-1]
    amap = attention_map(result.grids[-1], stage.nodes, stage.attention)
    return find_regions(
        amap,
        mpp=result.slide.mpp,
        slide_shape=(result.slide.height, result.slide.width),
        quantile=0.5,
    )


@pytest.fixture(scope="session")
def page(result, regions, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    overview = overview_picture(THUMBNAIL, 10.0, result)
    write_report(result, path, overview=overview, regions=regions, pictures=[THUMBNAIL[:64, :64]])
    return path.read_text(encoding="utf-8")


def test_the_hottest_patch_is_tinted_where_it_lies(result):
    picture = overview_picture(THUMBNAIL, 10.0, result)
    stage = result.stages[-1]
    node = stage.nodes[stage.attention.argmax()]
    y, x = ((node + 0.5) * 224 / 10 * (1400 / 1200)).astype(int)
    tint = 0.35 * THUMBNAIL[0, 0] + 0.65 * COLORS[255].astype(float)
    np.testing.assert_allclose(picture[y, x], tint, atol=2)


def test_places_not_visited_keep_their_own_colours(result):
    picture = overview_picture(THUMBNAIL, 10.0, result)
    np.testing.assert_array_equal(
        picture[:100, -100:], np.broadcast_to((230, 200, 215), (100, 100, 3))
    )


def test_the_overview_is_a_png_in_rgb(result, tmp_path):
    write_overview(THUMBNAIL, 10.0, result, tmp_path / "overview.png")
    read = cv2.imread(str(tmp_path / "overview.png"))[..., ::-1]
    np.testing.assert_array_equal(read, overview_picture(THUMBNAIL, 10.0, result))


@pytest.mark.parametrize("shape", [(400, 30), (30, 400), (1, 1), (3000, 2500)])
def test_any_slide_has_room_for_its_legend(empty, result, shape):
    thumbnail = np.zeros((*shape, 3), np.uint8)
    for found in (empty, result):
        assert overview_picture(thumbnail, 10.0, found).shape[1] >= 1200


@pytest.mark.parametrize(
    ("um_per_px", "width", "length"), [(1, 1400, 200), (10, 1400, 2000), (50, 600, 5000)]
)
def test_the_scale_bar_has_a_round_length(um_per_px, width, length):
    assert scale_length(um_per_px, width) == length


def test_a_picture_must_be_rgb():
    with pytest.raises(OutputError, match="must be"):
        encode_png(np.zeros((3, 3), np.uint8))


def test_the_report_needs_nothing_else(page):
    assert not re.search(r"https?://|file:|<script|<link|url\(", page)
    assert page.count("data:image/png;base64,") == 2
    assert "Research use only" in page
    assert "tumor_001.tif" in page


def test_the_report_tells_prediction_cost_and_notes(page, result, regions):
    assert "<strong>tumor</strong>, probability 92.4 %" in page
    assert f"{result.cost.patches_encoded:,}" in page
    assert result.notes[0] in page
    assert f"{len(regions)} found" in page
    assert "10×" in page
    assert "40×" in page


def test_names_from_outside_are_escaped(result, tmp_path):
    slide = replace(result.slide, name="<img src=x onerror=alert(1)>.tif")
    write_report(replace(result, slide=slide), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page


def test_a_slide_without_tissue_has_a_report(empty, tmp_path):
    write_report(empty, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No tissue was found" in page
    assert "predicts" not in page


def test_a_cancelled_analysis_shows_what_it_found(result, tmp_path):
    stages = result.stages[:1]
    cut = replace(result, state="cancelled", cascade=replace(result.cascade, stages=stages))
    write_report(cut, tmp_path / "r.html", overview=overview_picture(THUMBNAIL, 10.0, cut))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "was cancelled" in page
    assert "predicts" not in page
    assert "10×" in page


@pytest.mark.parametrize(
    ("share", "text"), [(0.924, "92.4 %"), (0.99999, "> 99.9 %"), (1e-9, "< 0.1 %"), (1, "100.0 %")]
)
def test_what_is_not_certain_never_looks_certain(share, text):
    assert percent(share) == text

import re
from dataclasses import replace
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from napari_hagmil.attention import attention_map, find_regions
from napari_hagmil.errors import OutputError
from napari_hagmil.export import overview_picture, write_overview, write_report
from napari_hagmil.export.pictures.legend import COLORS, scale_length
from napari_hagmil.export.pictures.overview import Mark, encode_png
from napari_hagmil.export.report import (
    ReportContent,
    SignedReview,
    found_region,
    report_page,
    reviewed_region,
    with_overviews,
)
from napari_hagmil.export.report.facts import percent
from napari_hagmil.export.signature import Signature
from napari_hagmil.plugin.colors import ACCEPTED
from napari_hagmil.polygons import Rings
from napari_hagmil.review import Conclusion, ReviewPatch, ReviewRegion

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
    content = ReportContent([found_region(one) for one in regions], [THUMBNAIL[:64, :64]])
    write_report(result, path, with_overviews(content, result, THUMBNAIL, 10.0))
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


def test_the_legend_writes_letters_beyond_ascii(result):
    names = ("Müller", "Möller", "Møller", "Łukasz", "M?ller")
    slides = [replace(result, slide=replace(result.slide, name=name)) for name in names]
    pictures = {overview_picture(THUMBNAIL, 10.0, one).tobytes() for one in slides}
    assert len(pictures) == len(names)


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
    # The overview, one per depth, and that of one region.
    assert page.count("data:image/jpeg;base64,") == 1 + 3 + 1
    assert "Research use only" in page
    assert "tumor_001.tif" in page


def test_the_report_tells_prediction_cost_and_notes(page, result, regions):
    assert "<strong>tumor</strong>, probability 92.4 %" in page
    assert f"{result.cost.patches_encoded:,}" in page
    assert result.notes[0] in page
    assert f"{len(regions)} found" in page
    assert "10×" in page
    assert "40×" in page


def test_the_report_says_how_sure_the_model_is_and_what_it_never_saw(page, result):
    assert "Probabilities: normal 7.6 %, tumor 92.4 %." in page
    assert "They were not calibrated" in page
    seen, tissue = len(result.stages[-1].nodes), result.cost.finest_tissue
    assert f"looked at {seen:,} of {tissue:,} patches with tissue" in page


def test_regions_are_numbered_where_they_lie_in_the_colour_of_their_decision(result):
    ring = ((4000.0, 4000.0), (4000.0, 6000.0), (6000.0, 6000.0), (6000.0, 4000.0))
    plain = overview_picture(THUMBNAIL, 10.0, result)
    marked = overview_picture(THUMBNAIL, 10.0, result, [Mark(Rings(ring), "accepted")])
    scale = 1400 / 1200 / 10
    edge = marked[round(6000 * scale), round(5000 * scale)]
    assert "#{:02x}{:02x}{:02x}".format(*edge) == ACCEPTED  # as in the window
    changed = np.argwhere((plain != marked).any(axis=2))
    assert changed.min() > 3600 * scale
    assert changed.max() < 6100 * scale


def test_a_signed_report_has_decisions_conclusion_and_reviewer_in_both_layouts(result):
    ring = ((0.0, 0.0), (0.0, 900.0), (900.0, 900.0), (900.0, 0.0))
    patches = (ReviewPatch((0.0, 0.0, 400.0, 400.0), 99.0, "rejected"),)
    found = (
        ReviewRegion("a", ring, score=99.0, decision="accepted", comment="<b>", patches=patches),
        ReviewRegion("b", ring, decision="rejected"),
        ReviewRegion("c", ring),
    )
    signed = datetime(2026, 5, 4, 12, tzinfo=UTC)
    content = ReportContent(
        [reviewed_region(one, 0.25) for one in found],
        [THUMBNAIL[:64, :64]] * 3,
        review=SignedReview(
            Signature("s.tif", "f", "Dr Ä", signed, "demo", "phantoms"), Conclusion("tumor", "1\n2")
        ),
    )
    for layout in ("page", "print"):
        text = report_page(result, content, layout=layout)
        assert text.count("data:image/jpeg;base64,") == 3
        for words in (
            "Dr Ä", "2026-05-04 12:00 ", "✓ accepted", "✗ rejected", "○ no decision",
            "1 patch, 1 decided alone", "&lt;b&gt;", "drawn by hand", "phantoms",
            "1 accepted, 1 rejected, 1 without a decision; 0 own annotations.",
        ):  # fmt: skip
            assert words in text, (layout, words)


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
    write_report(cut, tmp_path / "r.html", with_overviews(ReportContent(), cut, THUMBNAIL, 10.0))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "was cancelled" in page
    assert "predicts" not in page
    assert "10×" in page


@pytest.mark.parametrize(
    ("share", "text"), [(0.924, "92.4 %"), (0.99999, "> 99.9 %"), (1e-9, "< 0.1 %"), (1, "100.0 %")]
)
def test_what_is_not_certain_never_looks_certain(share, text):
    assert percent(share) == text

"""The phantom slide: what is promised about its pixels, its file and its truth."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from napari_hagmil.phantom import (
    PhantomConfig,
    PhantomError,
    PhantomPlan,
    plan_phantom,
    render_region,
    write_phantom,
)

SMALL = PhantomConfig(seed=3, size=2304, lesions=1, lesion_diameters_um=(150, 200))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lesion_mask(plan: PhantomPlan, downsample: int) -> npt.NDArray[np.bool_]:
    """True inside the planted outlines, one value per `downsample` level-0 px."""
    side = plan.config.size // downsample
    mask = np.zeros((side, side), np.uint8)
    for lesion in plan.truth.lesions:
        corner = (lesion.polygon[:, ::-1] + 0.5) / downsample - 0.5
        cv2.fillPoly(mask, [np.round(corner).astype(np.int32)], 1)
    return mask > 0


def area_under_curve(score: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> float:
    rank = np.argsort(np.argsort(score))
    n = int(positive.sum())
    return float((rank[positive].sum() - n * (n - 1) / 2) / (n * (len(rank) - n)))


def best_linear_auc(colour: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> float:
    """AUC of a class-balanced logistic regression on its own training data."""
    scaled = (colour - colour.mean(0)) / colour.std(0)
    x = np.column_stack((scaled, np.ones(len(scaled))))
    weight = np.where(positive, 0.5 / positive.mean(), 0.5 / (1 - positive.mean()))
    w = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(len(w))
        w -= np.linalg.solve(hessian, x.T @ (weight * (p - positive)))
    return area_under_curve(x @ w, positive)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("phantom") / "slide.tiff"
    write_phantom(path, SMALL)
    return path


def test_the_same_config_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "other name.tiff"
    write_phantom(again, SMALL, workers=1)
    assert digest(again) == digest(written)
    assert digest(again.with_suffix(".geojson")) == digest(written.with_suffix(".geojson"))


def test_seeds_look_different() -> None:
    plans = [plan_phantom(PhantomConfig(seed=s, size=4096)) for s in range(6)]
    shares = {round(float(p.tissue.mean()), 4) for p in plans}
    stains = {p.stain.table.tobytes() for p in plans}
    assert len(shares) == len(stains) == 6


@pytest.mark.parametrize(("y", "x", "height", "width"), [(900, 800, 300, 500), (0, 1023, 1025, 2)])
def test_a_region_across_blocks_equals_the_parts_of_its_neighbours(
    y: int, x: int, height: int, width: int
) -> None:
    plan = plan_phantom(SMALL)
    whole = render_region(plan, 0, 0, 2048, 2048)
    part = render_region(plan, y, x, height, width)
    np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_blocks_meet_without_a_seam() -> None:
    plan = plan_phantom(PhantomConfig(seed=3, size=4096, lesions=1))
    image = render_region(plan, 0, 0, 4096, 4096).astype(np.int16)
    steps = np.abs(np.diff(image, axis=1)).mean((0, 2))
    borders = steps[[1023, 2047, 3071]]
    assert borders.max() < 1.25 * np.median(steps[900:3200])


def test_levels_are_exact_halves_of_a_bigtiff_with_its_pixel_size(written: Path) -> None:
    with tifffile.TiffFile(written) as file:
        assert file.is_bigtiff
        sizes = [page.shape[:2] for page in file.pages]
        assert sizes == [(2304, 2304), (1152, 1152), (576, 576)]
        assert [int(page.tags["NewSubfileType"].value) for page in file.pages] == [0, 1, 1]
        for k, page in enumerate(file.pages):
            top, bottom = page.tags["XResolution"].value
            assert page.tags["ResolutionUnit"].value == 3
            assert 1e4 * bottom / top == pytest.approx(0.25 * 2**k)


def test_the_file_holds_the_rendered_colours_at_every_level(written: Path) -> None:
    image = render_region(plan_phantom(SMALL), 0, 0, 2304, 2304)
    for level in range(3):
        with tifffile.TiffFile(written) as file:
            stored = file.pages[level].asarray()
        assert np.abs(stored.astype(float) - image).mean() < 6  # JPEG, and levels of levels
        assert np.abs(stored.mean((0, 1)) - image.mean((0, 1))).max() < 1
        image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("size", [1024, 1500, 2049])
def test_sizes_that_are_no_multiple_of_a_tile_are_written_whole(size: int, tmp_path: Path) -> None:
    path = tmp_path / "odd.tiff"
    write_phantom(path, PhantomConfig(size=size))
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].shape == (size, size, 3)
        assert file.pages[-1].asarray().min() >= 0


@pytest.mark.parametrize("seed", range(5))
def test_micrometastases_are_as_large_as_planted_and_inside_the_tissue(seed: int) -> None:
    config = PhantomConfig(seed=seed, size=8192, lesions=3, lesion_diameters_um=(150, 200))
    plan = plan_phantom(config)
    assert len(plan.truth.lesions) == 3
    for lesion in plan.truth.lesions:
        y, x = lesion.polygon.T * config.mpp
        area = abs(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1))) / 2
        across = math.sqrt(math.prod(np.ptp(lesion.polygon, axis=0))) * config.mpp
        assert lesion.area_um2 == pytest.approx(area)
        assert lesion.diameter_um == pytest.approx(2 * math.sqrt(area / math.pi))
        assert 149.9 <= lesion.diameter_um <= 200.1
        assert across == pytest.approx(lesion.diameter_um, rel=0.2)
    inside = lesion_mask(plan, plan.frame.cell_px)
    tissue = plan.tissue[: inside.shape[0], : inside.shape[1]]
    assert tissue[inside].mean() > 0.99


def test_tumour_is_drawn_where_the_truth_says() -> None:
    plan = plan_phantom(PhantomConfig(seed=1, size=8192, lesions=3))
    inside = lesion_mask(plan, plan.frame.cell_px)
    nuclei = plan.census.tumour[: inside.shape[0], : inside.shape[1]]
    grown = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert nuclei[~grown].max() == 0
    assert (nuclei[inside] > 128).mean() > 0.5


def test_a_healthy_slide_has_no_truth(tmp_path: Path) -> None:
    path = tmp_path / "healthy.tiff"
    truth = write_phantom(path, PhantomConfig(size=1024, lesions=0))
    assert truth.lesions == ()
    assert json.loads(path.with_suffix(".geojson").read_text())["features"] == []


def test_without_a_number_some_slides_are_healthy_and_some_are_not() -> None:
    counts = {len(plan_phantom(PhantomConfig(seed=s, size=4096)).truth.lesions) for s in range(12)}
    assert 0 in counts
    assert max(counts) > 0


def test_the_geojson_is_in_pixel_edges_closed_and_of_qupaths_class(written: Path) -> None:
    lesion = plan_phantom(SMALL).truth.lesions[0]
    (feature,) = json.loads(written.with_suffix(".geojson").read_text())["features"]
    ring = np.array(feature["geometry"]["coordinates"][0])
    np.testing.assert_array_equal(ring[0], ring[-1])
    np.testing.assert_allclose(ring[:-1, ::-1] - 0.5, lesion.polygon, atol=1e-3)
    properties = feature["properties"]
    assert properties["objectType"] == "annotation"
    assert properties["classification"] == {"name": "Tumor", "color": [200, 0, 0]}
    assert properties["measurements"]["diameter_um"] == pytest.approx(lesion.diameter_um, abs=1e-3)


def test_tumour_cannot_be_told_by_mean_colour_alone() -> None:
    colours, tumour = [], []
    patch = 224  # µm at 0.5 µm per pixel: 448 px
    for seed in range(4):
        config = PhantomConfig(
            seed=seed, size=4096, lesions=3, lesion_diameters_um=(250, 900), mpp=0.5
        )
        plan = plan_phantom(config)
        image = render_region(plan, 0, 0, 4096, 4096)
        inside, side = lesion_mask(plan, 1), int(patch / config.mpp)
        tissue = cv2.resize(plan.tissue.astype(np.uint8), (4096, 4096), interpolation=0)
        for y in range(0, 4096 - side, side // 2):
            for x in range(0, 4096 - side, side // 2):
                place = slice(y, y + side), slice(x, x + side)
                share = inside[place].mean()
                if tissue[place].mean() > 0.7 and not 0.1 < share < 0.6:
                    colours.append(image[place].mean((0, 1)))
                    tumour.append(share > 0.5)
    auc = best_linear_auc(np.array(colours), np.array(tumour))
    print(f"AUC of mean colour: {auc:.3f} ({sum(tumour)} of {len(tumour)} patches are tumour)")
    assert sum(tumour) > 20
    assert auc < 0.8


def test_a_failure_in_the_middle_leaves_no_file(tmp_path: Path) -> None:
    def cancel(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "slide.tiff", SMALL, progress=cancel)
    assert list(tmp_path.iterdir()) == []


def test_progress_rises_to_one(tmp_path: Path) -> None:
    seen: list[float] = []
    write_phantom(tmp_path / "slide.tiff", SMALL, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_another_pixel_size_shows_the_same_tissue_at_another_scale(tmp_path: Path) -> None:
    path = tmp_path / "coarse.tiff"
    config = PhantomConfig(seed=2, size=2048, lesions=1, lesion_diameters_um=(200, 200), mpp=0.5)
    lesion = write_phantom(path, config).lesions[0]
    with tifffile.TiffFile(path) as file:
        top, bottom = file.pages[0].tags["XResolution"].value
    assert 1e4 * bottom / top == pytest.approx(0.5)
    across = math.sqrt(math.prod(np.ptp(lesion.polygon, axis=0)))
    assert across == pytest.approx(200 / 0.5, rel=0.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 1000},
        {"mpp": 0.0},
        {"lesions": -1},
        {"lesion_diameters_um": (300.0, 200.0)},
        {"seed": -1},
    ],
    ids=str,
)
def test_an_impossible_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(PhantomError):
        PhantomConfig(**wrong)


def test_a_region_outside_the_slide_is_refused() -> None:
    with pytest.raises(PhantomError):
        render_region(plan_phantom(SMALL), 2300, 0, 10, 10)

"""Regions end where the tissue ends."""

import numpy as np
import pytest

from napari_hagmil.attention import AttentionMap, cut_to_tissue, find_regions
from napari_hagmil.polygons import signed_area
from napari_hagmil.tissue import TissueMask


def _regions(high, shape=(400, 400)):
    """Regions of a map of 100 px a node at 1 µm per pixel."""
    values = np.ones((4, 4), np.float32)
    for node in high:
        values[node] = 5
    quantile = 1 - len(high) / values.size
    return find_regions(AttentionMap(values, 100.0), mpp=1.0, slide_shape=shape, quantile=quantile)


def _tissue(*parts):
    values = np.zeros((50, 50), bool)
    for rows, columns in parts:
        values[rows, columns] = True
    return TissueMask(values, 8.0)


def test_glass_is_taken_away_and_the_patches_stay_as_the_model_saw_them():
    (region,) = _regions([(0, 0), (0, 1)])
    (cut,) = cut_to_tissue([region], _tissue((slice(0, 5), slice(0, 50))), mpp=1.0)
    assert cut.bounds == (-0.5, -0.5, 39.5, 199.5)
    assert cut.area_um2 == pytest.approx(40 * 200)
    assert (cut.patches, cut.score) == (region.patches, region.score)
    assert signed_area(cut.polygon) > 0


def test_a_region_within_the_tissue_keeps_its_corners_on_the_patch_edges():
    regions = _regions([(1, 1), (1, 2)])
    (cut,) = cut_to_tissue(regions, _tissue((slice(0, 50), slice(0, 50))), mpp=1.0)
    assert cut is regions[0]


def test_a_region_on_two_pieces_of_tissue_stays_one():
    (region,) = _regions([(0, 0), (0, 1), (0, 2)])
    pieces = _tissue((slice(0, 50), slice(0, 10)), (slice(0, 50), slice(15, 50)))
    (cut,) = cut_to_tissue([region], pieces, mpp=1.0)
    assert cut.bounds == (-0.5, -0.5, 99.5, 299.5)
    # The gap is 40 µm wide, and the strip 8.
    assert cut.area_um2 == pytest.approx(300 * 100 - 40 * (100 - 8), rel=0.01)


def test_tissue_that_no_patch_stands_on_is_left_out():
    (region,) = _regions([(0, 0), (0, 2)])
    assert region.bounds == (-0.5, -0.5, 99.5, 299.5)
    pieces = _tissue((slice(0, 12), slice(0, 10)), (slice(0, 12), slice(14, 16)))
    (cut,) = cut_to_tissue([region], pieces, mpp=1.0)
    assert cut.bounds == (-0.5, -0.5, 95.5, 79.5)


def test_a_region_on_bare_glass_stays_as_it_is():
    regions = _regions([(0, 0)])
    (cut,) = cut_to_tissue(regions, _tissue((slice(40, 50), slice(40, 50))), mpp=1.0)
    assert cut is regions[0]

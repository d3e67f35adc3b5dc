import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.attention import attention_map, find_regions
from napari_hagmil.cascade import Stage
from napari_hagmil.plugin.layers import (
    attention_layer,
    branches_layer,
    regions_from_layer,
    regions_layer,
    slide_layer,
)
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.slide import open_slide

MPP = 0.25


def stage(nodes, attention, depth=0, followed=()):
    n = len(nodes)
    chosen = np.isin(np.arange(n), followed)
    return Stage(
        depth,
        np.array(nodes, np.int64),
        np.array(attention, np.float32),
        np.zeros(2, np.float32),
        chosen,
        np.zeros(n, bool),
    )


def make(layer_tuple):
    data, meta, kind = layer_tuple
    return Layer.create(data, meta, kind)


@pytest.mark.parametrize("downsample", [1.0, 4.0, 2.5])
def test_every_pixel_of_the_slide_lies_under_the_attention_of_its_own_patch(phantom, downsample):
    grid = PatchGrid(16, downsample, (8, 8))
    nodes = [(1, 2), (3, 4), (4, 4)]
    overlay = make(attention_layer(grid, stage(nodes, [0.1, 0.3, 0.6]), MPP))
    with open_slide(phantom) as slide:
        picture = make(slide_layer(slide))
        for node, score in zip(nodes, [100 / 3, 200 / 3, 100], strict=True):
            region = grid.region(node)
            last_y, last_x = region.stop[0] - 1, region.stop[1] - 1
            for y, x in [(region.y, region.x), (last_y, last_x), (region.y, last_x)]:
                inside = overlay.get_value(picture.data_to_world((y, x)), world=True)
                assert inside == pytest.approx(score)
        for y, x in [(grid.region((1, 2)).y - 1, grid.region((1, 2)).x)]:
            outside = overlay.get_value(picture.data_to_world((y, x)), world=True)
            assert outside is None or np.isnan(outside)


def test_what_was_not_visited_is_nan_and_the_lowest_score_is_not():
    grid = PatchGrid(16, 1.0, (4, 4))
    overlay = make(attention_layer(grid, stage([(0, 0), (3, 3)], [0.2, 0.8]), MPP))
    assert np.isnan(overlay.data[1, 1])
    assert overlay.data[0, 0] == 50
    assert overlay.contrast_limits == [0, 100]
    assert overlay.interpolation2d == "nearest"
    low, missing = overlay.colormap.map(np.array([0.0, np.nan]))
    assert low[3] == 1
    assert missing[3] == 0


def test_all_layers_are_in_micrometres(phantom):
    grid = PatchGrid(16, 4.0, (4, 4))
    stages = [stage([(0, 0), (1, 1)], [0.2, 0.8], followed=[1])]
    amap = attention_map(grid, stages[0].nodes, stages[0].attention)
    regions = find_regions(amap, mpp=MPP, quantile=0.6)
    viewer = ViewerModel()
    with open_slide(phantom) as slide:
        for data, meta, kind in (
            slide_layer(slide),
            attention_layer(grid, stages[0], MPP),
            branches_layer((grid, PatchGrid(16, 2.0, (8, 8))), stages, MPP),
            regions_layer(regions, MPP),
        ):
            layer = getattr(viewer, f"add_{kind}")(data, **meta)
            assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
        assert viewer.layers[0].scale.tolist() == [MPP, MPP]


def test_branch_outlines_tell_followed_from_cut_by_colour():
    grids = (PatchGrid(16, 2.0, (4, 4)), PatchGrid(16, 1.0, (8, 8)))
    layer = make(branches_layer(grids, [stage([(0, 0), (1, 1)], [0.2, 0.8], followed=[1])], MPP))
    status = layer.features["status"].to_numpy()
    colours = {s: {tuple(c) for c in layer.edge_color[status == s]} for s in ("followed", "cut")}
    assert len(layer.data) == 8
    assert len(colours["followed"]) == len(colours["cut"]) == 1
    assert colours["followed"] != colours["cut"]


def test_a_followed_branch_is_outlined_around_its_own_patch():
    grids = (PatchGrid(16, 2.0, (4, 4)), PatchGrid(16, 1.0, (8, 8)))
    layer = make(branches_layer(grids, [stage([(1, 2)], [1.0], followed=[0])], MPP))
    corners = layer.data[:, 0] / MPP
    region = grids[0].region((1, 2))
    assert corners.min(0) == pytest.approx([region.y, region.x], abs=1)
    assert corners.max(0) == pytest.approx([region.stop[0] - 1, region.stop[1] - 1], abs=1)


def test_leaves_have_no_outline_their_attention_shows_them():
    grid = PatchGrid(16, 2.0, (4, 4))
    data, _, _ = branches_layer((grid,), [stage([(1, 2)], [1.0])], MPP)
    assert len(data) == 0


def test_regions_survive_the_way_through_the_editable_layer():
    grid = PatchGrid(16, 1.0, (8, 8))
    amap = attention_map(grid, np.array([(1, 1), (1, 2), (5, 5)]), np.array([0.5, 0.4, 0.1]))
    regions = find_regions(amap, mpp=MPP, quantile=0.5)
    back = regions_from_layer(make(regions_layer(regions, MPP)), MPP)
    for before, after in zip(regions, back, strict=True):
        assert np.allclose(before.polygon, after.polygon, atol=1e-3)
        assert after.area_um2 == pytest.approx(before.area_um2, rel=1e-4)
        assert after.score == before.score


def test_a_shape_drawn_by_hand_is_exported_without_a_score():
    layer = make(regions_layer([], MPP))
    layer.add_polygons(np.array([(0, 0), (0, 10), (10, 10), (10, 0)], float))
    (region,) = regions_from_layer(layer, MPP)
    assert region.area_um2 == pytest.approx(100)
    assert np.isnan(region.score)


def test_the_coarsest_level_of_a_slide_is_in_memory_and_small(phantom):
    with open_slide(phantom) as slide:
        data, meta, kind = slide_layer(slide)
        assert kind == "image"
        assert meta["rgb"]
        assert meta["multiscale"]
        assert isinstance(data[-1], np.ndarray)
        assert max(data[-1].shape) <= 2048

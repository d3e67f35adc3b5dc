import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Layer

from napari_hagmil.attention import attention_map, find_regions
from napari_hagmil.cascade import Stage
from napari_hagmil.plugin.layers import (
    attention_layer,
    branches_layer,
    slide_layer,
)
from napari_hagmil.plugin.review_layers import (
    annotations_in,
    annotations_layer,
    points_layer,
    regions_in,
    regions_layer,
)
from napari_hagmil.polygons import outline
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.review import QUPATH_CLASSES, Annotation, ReviewRegion, ReviewState
from napari_hagmil.review.edit import found
from napari_hagmil.slide import open_slide

MPP = 0.25
SHAPE = (1000, 1000)


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
    seen = found(
        ReviewState(),
        find_regions(amap, mpp=MPP, slide_shape=SHAPE, quantile=0.6),
        depth=0,
        provenance="",
    )
    drawn = (
        Annotation("a", "ruler", ((0.0, 0.0), (8.0, 8.0))),
        Annotation("b", "point", ((4.0, 4.0),)),
    )
    viewer = ViewerModel()
    with open_slide(phantom) as slide:
        for data, meta, kind in (
            slide_layer(slide),
            attention_layer(grid, stages[0], MPP),
            branches_layer((grid, PatchGrid(16, 2.0, (8, 8))), stages, MPP, SHAPE),
            regions_layer(seen["regions"], MPP),
            annotations_layer(drawn, QUPATH_CLASSES, MPP),
            points_layer(drawn, QUPATH_CLASSES, MPP),
        ):
            layer = getattr(viewer, f"add_{kind}")(data, **meta)
            assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
        assert viewer.layers[0].scale.tolist() == [MPP, MPP]


def test_branch_outlines_tell_followed_from_cut_by_colour():
    grids = (PatchGrid(16, 2.0, (4, 4)), PatchGrid(16, 1.0, (8, 8)))
    layer = make(
        branches_layer(grids, [stage([(0, 0), (1, 1)], [0.2, 0.8], followed=[1])], MPP, SHAPE)
    )
    status = layer.features["status"].to_numpy()
    colours = {s: {tuple(c) for c in layer.edge_color[status == s]} for s in ("followed", "cut")}
    assert len(layer.data) == 8
    assert len(colours["followed"]) == len(colours["cut"]) == 1
    assert colours["followed"] != colours["cut"]


def test_a_followed_branch_is_outlined_around_its_own_patch():
    grids = (PatchGrid(16, 2.0, (4, 4)), PatchGrid(16, 1.0, (8, 8)))
    layer = make(branches_layer(grids, [stage([(1, 2)], [1.0], followed=[0])], MPP, SHAPE))
    corners = layer.data[:, 0] / MPP
    region = grids[0].region((1, 2))
    assert corners.min(0) == pytest.approx([region.y, region.x], abs=1)
    assert corners.max(0) == pytest.approx([region.stop[0] - 1, region.stop[1] - 1], abs=1)


def test_leaves_have_no_outline_their_attention_shows_them():
    grid = PatchGrid(16, 2.0, (4, 4))
    data, _, _ = branches_layer((grid,), [stage([(1, 2)], [1.0])], MPP, SHAPE)
    assert len(data) == 0


REGIONS = (
    ReviewRegion("a", outline([(1.5, 2.5), (1.5, 40), (30, 40), (30, 2.5)]), score=90.0),
    ReviewRegion("b", outline([(50, 50), (50, 80), (90, 60)]), path_class="Tumor", comment="x"),
)


def test_regions_survive_the_way_through_the_editable_layer():
    layer = make(regions_layer(REGIONS, MPP))
    assert regions_in(layer, REGIONS, MPP) == REGIONS


def test_a_moved_corner_and_a_deleted_and_a_new_region_are_read_back():
    layer = make(regions_layer(REGIONS, MPP))
    corners = [np.array(shape) for shape in layer.data]
    corners[1][0] = (10.0, 10.0)
    layer.data = corners
    layer.features = {"id": ["a", "b"], "label": ["", ""]}
    moved = regions_in(layer, REGIONS, MPP)
    assert moved[0] == REGIONS[0]
    assert moved[1].polygon[0] == pytest.approx((40.0, 40.0))
    assert (moved[1].path_class, moved[1].provenance) == ("Tumor", "redrawn")
    layer.selected_data = {0}
    layer.remove_selected()
    layer.add_polygons(np.array([(0, 0), (0, 10), (10, 10), (10, 0)], float))
    kept, drawn = regions_in(layer, REGIONS, MPP)
    assert kept.id == "b"
    assert (drawn.provenance, drawn.score, drawn.decision) == ("drawn", None, "unseen")
    assert drawn.id not in ("a", "b")


def test_annotations_survive_the_way_through_their_layers():
    drawn = (
        Annotation("a", "rectangle", outline([(0, 0), (0, 9), (9, 9), (9, 0)]), "Tumor"),
        Annotation("b", "ruler", outline([(0, 0), (30, 40)])),
        Annotation("c", "point", outline([(5, 6)]), "Stroma"),
        Annotation("d", "freehand", outline([(0, 0), (0, 9), (9, 9)])),
    )
    shapes = make(annotations_layer(drawn, QUPATH_CLASSES, MPP))
    points = make(points_layer(drawn, QUPATH_CLASSES, MPP))
    found_again = (*annotations_in(shapes, drawn, MPP), *annotations_in(points, drawn, MPP))
    assert sorted(found_again, key=lambda one: one.id) == list(drawn)
    assert shapes.features["label"].tolist()[1] == "12.5 µm"
    assert tuple(shapes.edge_color[0][:3]) == pytest.approx((200 / 255, 0, 0), abs=1e-3)


def test_the_coarsest_level_of_a_slide_is_in_memory_and_small(phantom):
    with open_slide(phantom) as slide:
        data, meta, kind = slide_layer(slide)
        assert kind == "image"
        assert meta["rgb"]
        assert meta["multiscale"]
        assert isinstance(data[-1], np.ndarray)
        assert max(data[-1].shape) <= 2048


@pytest.mark.parametrize(("factor", "limits"), [(257, (0, 65535)), (16, (0, 4095))])
def test_colours_of_16_bits_are_shown_between_black_and_white(tmp_path, factor, limits):
    pixels = np.random.default_rng(0).integers(40, 256, (300, 400, 3)) * factor
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels.astype(np.uint16), photometric="rgb", tile=(128, 128))
    with open_slide(path) as slide:
        assert slide_layer(slide)[1]["contrast_limits"] == limits

import numpy as np
import pytest
import torch

from napari_hagmil.errors import CancelledError
from napari_hagmil.features import LazyFeatures
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.slide import open_slide


class MeanColour:
    """An encoder whose features are the mean colour."""

    name, weights_sha256, n_features, patch_size = "mean", "", 3, 64

    def __init__(self):
        self.seen = 0

    def __call__(self, patches):
        self.seen += len(patches)
        assert patches.dtype == np.uint8
        return torch.from_numpy(patches.reshape(len(patches), -1, 3).mean(1).astype(np.float32))


@pytest.fixture
def slide(phantom):
    with open_slide(phantom) as opened:
        yield opened


GRIDS = (PatchGrid(64, 4.0, (16, 16)), PatchGrid(64, 2.0, (32, 32)))


def test_features_come_in_the_order_asked_and_each_place_is_encoded_once(slide):
    source = LazyFeatures(slide, GRIDS, MeanColour(), batch_size=3)
    nodes = np.array([[3, 4], [8, 8], [0, 0], [5, 9]])
    first = source(0, nodes)
    again = source(0, nodes[::-1])
    assert torch.equal(first, again.flip(0))
    assert source.encoder.seen == source.patches_encoded == 4
    assert len(source.missing(0, np.array([[3, 4], [1, 1]]))) == 1


def test_a_feature_belongs_to_the_pixels_of_its_node(slide):
    from napari_hagmil.slide import read_region

    source = LazyFeatures(slide, GRIDS, MeanColour())
    node = np.array([[7, 6]])
    pixels = read_region(slide, GRIDS[1].region(node[0]), mpp=slide.mpp * 2)
    assert source(1, node)[0].numpy() == pytest.approx(pixels.reshape(-1, 3).mean(0), abs=0.01)


def test_a_place_outside_the_slide_is_white(slide):
    source = LazyFeatures(slide, GRIDS, MeanColour())
    assert source(0, np.array([[40, 40]])).tolist() == [[255.0, 255.0, 255.0]]


def test_progress_is_told_and_can_stop_the_work(slide):
    told = []
    source = LazyFeatures(slide, GRIDS, MeanColour(), batch_size=2)

    def stop_at_two(progress):
        told.append((progress.done, progress.total))
        if progress.done >= 2:
            raise CancelledError("enough")

    source.on_progress = stop_at_two
    nodes = np.array([[1, 1], [2, 2], [3, 3], [4, 4]])
    with pytest.raises(CancelledError):
        source(0, nodes)
    assert told == [(0, 4), (2, 4)]
    source.on_progress = None
    source(0, nodes)
    assert source.encoder.seen == 4


def test_no_nodes_give_no_features(slide):
    source = LazyFeatures(slide, GRIDS, MeanColour())
    assert source(0, np.empty((0, 2), np.int64)).shape == (0, 3)

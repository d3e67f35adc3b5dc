import numpy as np
import torch

from napari_hagmil.features import FromDepth, in_context
from napari_hagmil.quadtree import children


def told(depth, nodes):
    """Every feature says whose it is."""
    rows = [[float(depth), float(row), float(column)] for row, column in nodes]
    return torch.tensor(rows).reshape(-1, 3)


def test_a_node_in_context_carries_its_own_features_then_its_parents_then_theirs():
    nodes = children(children(np.array([(3, 5)])))
    rows = in_context(told, "ancestors")(2, nodes)
    assert rows.shape == (16, 9)
    assert torch.equal(rows[:, :3], told(2, nodes))
    assert torch.equal(rows[:, 3:6], told(1, nodes // 2))
    assert torch.equal(rows[:, 6:], told(0, nodes // 4))


def test_without_context_the_source_is_left_alone():
    assert in_context(told, "none") is told


def test_a_node_is_unread_in_context_when_one_of_its_ancestors_is():
    def partly(depth, nodes):
        rows = told(depth, nodes)
        rows[(depth == 0) & (torch.from_numpy(nodes[:, 0]) == 1)] = torch.nan
        return rows

    rows = in_context(partly, "ancestors")(1, children(np.array([(0, 0), (1, 0)])))
    assert rows.isnan().any(1).tolist() == [False] * 4 + [True] * 4


def test_a_deeper_depth_can_stand_for_the_first():
    nodes = np.array([(2, 7)])
    assert torch.equal(FromDepth(told, 2)(0, nodes), told(2, nodes))

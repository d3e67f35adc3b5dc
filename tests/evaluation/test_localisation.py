import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.cascade import Stage
from napari_hagmil.evaluation.localisation import SHARE, attention_auc, lesions_met, meeting
from napari_hagmil.quadtree import PatchGrid

GRID = PatchGrid(100, 2.0, (10, 12))
NODES = np.argwhere(np.ones((10, 12), bool)).astype(np.int64)


def rectangle(y0, x0, y1, x1):
    """A ring around whole pixels y0 … y1 - 1, x0 … x1 - 1; pixel centres at integers."""
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], dtype=np.float64) - 0.5


def shared(box, node):
    """Area that a rectangle and a node share, level-0 px."""
    sides = [
        max(0, min(box[axis + 2], (node[axis] + 1) * 200) - max(box[axis], node[axis] * 200))
        for axis in (0, 1)
    ]
    return sides[0] * sides[1]


sides = st.integers(0, 2000)


@settings(max_examples=60)
@given(sides, sides, st.integers(40, 1500), st.integers(40, 1500))
def test_a_node_meets_a_lesion_when_they_share_a_tenth_of_the_smaller(y, x, height, width):
    box = (y, x, y + height, x + width)
    met = meeting((rectangle(*box), ()), GRID, NODES)
    small = min(200 * 200, height * width)
    share = np.array([shared(box, node) / small for node in NODES])
    clear = np.abs(share - SHARE) > 0.03  # of a raster's precision
    assert (met == (share >= SHARE))[clear].all()


def test_a_hole_is_not_lesion():
    ring, hole = rectangle(0, 0, 2000, 2400), rectangle(400, 400, 800, 800)
    met = meeting((ring, (hole,)), GRID, NODES).reshape(10, 12)
    assert not met[2:4, 2:4].any()
    assert met.sum() == 120 - 4


def test_a_micro_metastasis_counts_where_it_lies_however_small_it_is():
    lesion = (rectangle(610, 410, 630, 430), ())
    assert NODES[meeting(lesion, GRID, NODES)].tolist() == [[3, 2]]
    assert lesions_met([lesion], GRID, np.array([[3, 2]])) == (True,)
    assert lesions_met([lesion], GRID, np.array([[3, 3], [2, 2]])) == (False,)
    assert lesions_met([lesion], GRID, np.empty((0, 2), np.int64)) == (False,)


def test_a_lesion_as_large_as_a_slide_is_measured_too():
    grid = PatchGrid(224, 1.0, (400, 400))
    nodes = np.array([[0, 0], [200, 200], [399, 399], [350, 10]])
    triangle = np.array([(0, 0), (89600, 0), (89600, 89600)], dtype=float)
    assert meeting((triangle, ()), grid, nodes).tolist() == [True, True, True, True]
    assert not meeting((triangle, ()), grid, np.array([[10, 350]])).any()


def test_attention_on_the_lesion_is_told_from_attention_beside_it():
    lesion = (rectangle(400, 400, 800, 800), ())
    inside = meeting(lesion, GRID, NODES)
    attention = np.where(inside, 0.02, 0.005).astype(np.float32)
    assert attention_auc(seen(NODES, attention), GRID, [lesion]) == 1
    assert attention_auc(seen(NODES, 0 * attention), GRID, [lesion]) == pytest.approx(0.5)
    assert np.isnan(attention_auc(seen(NODES[inside], attention[inside]), GRID, [lesion]))


def seen(nodes, attention):
    none = np.zeros(len(nodes), bool)
    return Stage(0, nodes, attention, np.zeros(2, np.float32), none, none)

"""What looks like a place is found by the cosine of features, each place once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_hagmil.cascade import likeness


def row(n):
    return np.stack([np.zeros(n, np.int64), np.arange(n)], axis=1)


def test_the_cosine_of_known_vectors():
    features = np.array([(1, 0), (2, 0), (0, 5), (1, 1), (-3, 0)], np.float32)
    found = likeness(row(5), features, 0)
    assert np.allclose(found.cosine, [1, 1, 0, 0.5**0.5, -1], atol=1e-6)


def test_the_most_alike_come_first_and_the_example_is_not_among_them():
    features = np.array([(1, 0), (0, 1), (1, 0.1), (0, 1), (1, 0.5)], np.float32)
    found = likeness(3 * row(5), features, 0)
    assert found.most_alike(2).tolist() == [2, 4]


def test_neighbours_of_the_example_and_of_a_better_place_show_the_same_place():
    features = np.array([(1, 0), (1, 0), (1, 0.3), (1, 0.1), (1, 0.2)], np.float32)
    nodes = np.array([(0, 0), (1, 1), (0, 9), (0, 5), (1, 6)])
    assert likeness(nodes, features, 0).most_alike(9).tolist() == [3, 2]


def test_what_could_not_be_read_is_like_nothing():
    features = np.array([(1, 0), (np.nan, 0), (0, 1), (np.inf, 1)], np.float32)
    found = likeness(3 * row(4), features, 0)
    assert np.isnan(found.cosine[[1, 3]]).all()
    assert found.most_alike(9).tolist() == [2]


def test_an_example_of_nothing_is_like_nothing_and_raises_no_error():
    found = likeness(3 * row(3), np.zeros((3, 4), np.float32), 1)
    assert (found.cosine == 0).all()


@given(
    arrays(np.float32, (12, 3), elements=st.floats(-8, 8, width=32)),
    st.integers(0, 11),
    st.integers(1, 12),
    st.integers(1, 3),
)
def test_no_two_places_touch_and_none_is_better_than_those_before(features, example, n, reach):
    nodes = np.stack(np.divmod(np.arange(12), 4), axis=1)
    found = likeness(nodes, features, example)
    chosen = found.most_alike(n, reach=reach)
    assert len(chosen) <= n
    assert (np.diff(found.cosine[chosen]) <= 0).all()
    places = nodes[[example, *chosen]]
    apart = np.abs(places[:, None] - places[None]).max(axis=2)
    assert (apart[~np.eye(len(places), dtype=bool)] > reach).all()

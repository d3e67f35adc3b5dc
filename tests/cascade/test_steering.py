import json

import numpy as np
import pytest

from napari_hagmil.cascade import Steering, load_steering
from napari_hagmil.errors import AnnotationError
from napari_hagmil.quadtree import PatchGrid

SCHEMA = "napari-hagmil/steering/1"


def test_a_steering_file_is_read(tmp_path):
    path = tmp_path / "steer.json"
    path.write_text(
        json.dumps(
            {"schema": SCHEMA, "follow": [[10, 20]], "leave_out": [[[0, 0], [0, 5], [5, 5]]]}
        )
    )
    steering = load_steering(path)
    assert steering.follow == ((10.0, 20.0),)
    assert steering.leave_out == (((0.0, 0.0), (0.0, 5.0), (5.0, 5.0)),)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        json.dumps({"schema": "other/1"}),
        json.dumps({"schema": SCHEMA, "follow": [[1, 2, 3]]}),
        json.dumps({"schema": SCHEMA, "leave_out": [[[0, 0], [1, 1]]]}),
        json.dumps({"schema": SCHEMA, "leave_out": [[[0, 0], [1, 1], [float("nan"), 2]]]}),
    ],
)
def test_anything_else_is_refused_in_one_sentence(tmp_path, text):
    path = tmp_path / "steer.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"steer\.json is not a steering file"):
        load_steering(path)


def test_a_missing_steering_file_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="not a steering file"):
        load_steering(tmp_path / "none.json")


def test_a_node_is_left_out_when_its_centre_lies_in_an_outline_or_on_it():
    grid = PatchGrid(10, 1.0, (4, 4))  # centres at 4.5, 14.5, 24.5 and 34.5
    nodes = np.argwhere(np.ones((4, 4))).astype(np.int64)
    to_the_centre = ((0.0, 0.0), (0.0, 14.5), (4.5, 14.5), (4.5, 0.0))
    crossed = ((19.5, 19.5), (39.5, 39.5), (19.5, 39.5), (39.5, 19.5))
    vetoed = Steering(leave_out=(to_the_centre, crossed)).vetoed(grid, nodes)
    # A bow tie whose two crossing sides run through the centres of four nodes.
    assert nodes[vetoed].tolist() == [[0, 0], [0, 1], [2, 2], [2, 3], [3, 2], [3, 3]]
    assert not Steering().vetoed(grid, nodes).any()

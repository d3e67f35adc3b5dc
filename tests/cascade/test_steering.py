import json

import pytest

from napari_hagmil.cascade import load_steering
from napari_hagmil.errors import AnnotationError

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
    assert steering.leave_out[0].shape == (3, 2)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        json.dumps({"schema": "other/1"}),
        json.dumps({"schema": SCHEMA, "follow": [[1, 2, 3]]}),
        json.dumps({"schema": SCHEMA, "leave_out": [[[0, 0], [1, 1]]]}),
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

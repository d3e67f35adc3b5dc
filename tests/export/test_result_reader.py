"""An analysis that was written is read back as it was."""

import json

import numpy as np
import pytest

from napari_hagmil.errors import ResultError
from napari_hagmil.export import write_analysis
from napari_hagmil.export.result_reader import keep_result, read_result


@pytest.mark.parametrize("write", [keep_result, write_analysis])
def test_what_was_written_comes_back(result, tmp_path, write):
    write(result, tmp_path / "kept")
    again = read_result(tmp_path / "kept")
    for name in ("state", "slide", "model", "settings", "cost", "notes", "unread", "unfit"):
        assert getattr(again, name) == getattr(result, name), name
    assert again.grids == result.grids[: len(result.stages)]
    assert again.prediction.predicted_class == result.prediction.predicted_class
    for one, other in zip(again.stages, result.stages, strict=True):
        for name in ("nodes", "attention", "followed", "pinned", "unread", "vetoed"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "napari-hagmil/result/9"},
        {"state": "cancelled"},
        {"stages": []},
        {"stages": [{"depth": 0}]},
        {"model": {"name": "demo"}},
        {"thresholds": None},
        {"settings": {"budget": "all"}},
    ],
)
def test_what_is_no_analysis_of_ours_is_one_sentence(result, tmp_path, change):
    keep_result(result, tmp_path / "kept")
    path = tmp_path / "kept" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ResultError, match="the analysis in kept"):
        read_result(tmp_path / "kept")


def test_a_folder_without_files_or_with_a_broken_table_is_one_sentence(result, tmp_path):
    with pytest.raises(ResultError):
        read_result(tmp_path)
    keep_result(result, tmp_path / "kept")
    (tmp_path / "kept" / "nodes.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ResultError):
        read_result(tmp_path / "kept")


def test_a_node_outside_its_grid_is_refused(result, tmp_path):
    keep_result(result, tmp_path / "kept")
    path = tmp_path / "kept" / "result.json"
    said = json.loads(path.read_text())
    said["stages"][0]["grid"] = [1, 1]
    path.write_text(json.dumps(said))
    with pytest.raises(ResultError, match="outside its grid"):
        read_result(tmp_path / "kept")

"""An analysis that was written is read back as it was."""

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_hagmil.errors import ResultError
from napari_hagmil.export import write_analysis
from napari_hagmil.export.result_reader import keep_result, read_result
from napari_hagmil.uncertainty import Uncertainty
from napari_hagmil.verify import verify_folder


@pytest.mark.parametrize("write", [keep_result, write_analysis])
def test_what_was_written_comes_back(result, tmp_path, write):
    doubts = Uncertainty(1.5, 0.1, (result.model.classes[0],), 40, 0.7, 2.2)
    result = replace(result, uncertainty=doubts)
    write(result, tmp_path / "kept")
    again = read_result(tmp_path / "kept")
    facts = ("state", "slide", "model", "settings", "cost", "notes", "unread", "unfit")
    for name in (*facts, "uncertainty"):
        assert getattr(again, name) == getattr(result, name), name
    assert again.grids == result.grids[: len(result.stages)]
    assert again.prediction.predicted_class == result.prediction.predicted_class
    for one, other in zip(again.stages, result.stages, strict=True):
        for name in ("nodes", "attention", "followed", "pinned", "unread", "vetoed"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=1e-6)


def test_what_is_kept_is_verified_like_what_analyze_writes(result, tmp_path):
    keep_result(result, tmp_path / "kept")
    assert verify_folder(tmp_path).findings == []
    nodes = tmp_path / "kept" / "nodes.parquet"
    nodes.write_bytes(nodes.read_bytes()[:-1] + b"?")
    (finding,) = verify_folder(tmp_path).findings
    assert finding.place == "kept/nodes.parquet"


@pytest.mark.parametrize(
    ("versions", "note"),
    [
        (lambda v: v | {"torch": "0.9"}, "This result was made with torch 0.9 (here "),
        (lambda v: v | {"abacus": "3"}, "This result was made with abacus 3 (here none): made"),
        (lambda v: None, "This result was made with versions that are not known: made again"),
    ],
)
def test_a_result_of_other_versions_says_so_first(result, tmp_path, versions, note):
    keep_result(result, tmp_path / "kept")
    path = tmp_path / "kept" / "result.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"versions": versions(said["versions"])}))
    first, *others = read_result(tmp_path / "kept").notes
    assert first.startswith(note)
    assert tuple(others) == result.notes


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

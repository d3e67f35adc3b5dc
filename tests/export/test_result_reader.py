"""An analysis that was written is read back as it was."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from napari_hagmil.cli import main
from napari_hagmil.errors import ResultError
from napari_hagmil.export import write_analysis
from napari_hagmil.export.result_reader import keep_result, read_result
from napari_hagmil.ledger import write_manifest
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


def rewritten(folder, change):
    """Change result.json and the manifest: whoever can write the one can write the other."""
    path = folder / "result.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    write_manifest(folder)
    return folder


def test_what_is_kept_is_verified_like_what_analyze_writes(result, tmp_path):
    keep_result(result, tmp_path / "kept")
    assert verify_folder(tmp_path).findings == []
    nodes = tmp_path / "kept" / "nodes.parquet"
    nodes.write_bytes(nodes.read_bytes()[:-1] + b"?")
    (finding,) = verify_folder(tmp_path).findings
    assert finding.place == "kept/nodes.parquet"


def test_regions_that_were_changed_are_not_handed_on(result, tmp_path, capsys):
    write_analysis(result, tmp_path / "out")
    asked = ["export", "annotations", str(tmp_path / "out"), str(tmp_path / "a.csv")]
    regions = tmp_path / "out" / "regions.geojson"
    regions.write_text(regions.read_text("utf-8").replace("{", "{ ", 1), encoding="utf-8")
    assert main(asked) == 1
    assert "was changed since it was written (regions.geojson" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()
    write_manifest(tmp_path / "out")
    assert main(asked) == 0


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
    kept = rewritten(tmp_path / "kept", lambda s: s | {"versions": versions(s["versions"])})
    first, *others = read_result(kept).notes
    assert first.startswith(note)
    assert tuple(others) == result.notes


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("schema", "napari-hagmil/result/9"),
        ("state", "cancelled"),
        ("stages", []),
        ("stages", [{"depth": 0}]),
        ("stages 0 depth", 1),
        ("stages 0 downsample", 0),
        ("stages 0 patch_size", 0),
        ("stages 0 grid", [2**15, 2**15]),
        ("stages 0 probabilities", [0.2, 0.2]),
        ("stages 0 probabilities", ["0.5", "0.5"]),
        ("stages 0 probabilities", [1.0]),
        ("model", {"name": "demo"}),
        ("model classes", ["tumor", "tumor"]),
        ("model classes", "no"),
        ("model sha256", {}),
        ("slide name", ["a.svs"]),
        ("slide mpp", "0.25"),
        ("slide mpp", 1e9),
        ("slide width", -5),
        ("slide height", 2**40),
        ("slide canvas_origin", [0.5, 0]),
        ("thresholds", None),
        ("thresholds", {"tumor": "high"}),
        ("settings", {"budget": "all"}),
        ("settings budget", [0, 6]),
        ("settings budget", [2**40, 6]),
        ("settings exhaustive", 1),
        ("settings tissue", "drawn"),
        ("cost seconds", {"read": 1.0}),
        ("cost seconds", {"total": -1.0}),
        ("cost patches_encoded", 0.5),
        ("cost patches_encoded", -1),
        ("notes", "A note."),
        ("notes", [{}]),
        ("unread", {"depth": 0}),
        ("unfit", 3),
        ("uncertainty class_set", ["healthy"]),
        ("uncertainty distance", "far"),
        ("quality", {"fold": None}),
    ],
)
def test_what_is_no_analysis_of_ours_is_one_sentence(result, tmp_path, place, value):
    def change(said):
        *path, last = place.split()
        inner = said
        for name in path:
            inner = inner[int(name) if name.isdigit() else name]
        inner[last] = value
        return said

    keep_result(result, tmp_path / "kept")
    with pytest.raises(ResultError, match="the analysis in kept cannot be read back"):
        read_result(rewritten(tmp_path / "kept", change))


def test_what_was_changed_since_is_not_shown(result, tmp_path):
    """A probability of the last depth, the class that it makes, and a hash that is of another."""
    kept = tmp_path / "kept"
    keep_result(result, kept)
    path = kept / "result.json"
    said = json.loads(path.read_text())
    said["cost"]["seconds"]["total"] = 5.0  # what passes is no change
    path.write_text(json.dumps(said))
    assert read_result(kept).cost.seconds["total"] == 5.0
    said["stages"][-1]["probabilities"].reverse()
    path.write_text(json.dumps(said))
    with pytest.raises(ResultError, match=r"changed since it was written \(result.json is not"):
        read_result(kept)
    keep_result(result, kept)
    (kept / "nodes.parquet").unlink()
    with pytest.raises(ResultError, match=r"nodes.parquet is missing"):
        read_result(kept)
    (kept / "manifest.json").write_text("[]")
    with pytest.raises(ResultError, match=r"has a manifest that cannot be read"):
        read_result(kept)


def with_column(folder, name, values):
    table = pq.read_table(folder / "nodes.parquet")
    at = table.schema.get_field_index(name)
    pq.write_table(table.set_column(at, name, pa.array(values)), folder / "nodes.parquet")
    write_manifest(folder)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("depth", 0.5),
        ("row", "1"),
        ("row", None),
        ("attention", "1"),
        ("attention", float("inf")),
        ("attention", -1.0),
        ("attention", None),
        ("status", 1),
        ("status", "lost"),
    ],
)
def test_a_table_of_nodes_with_values_that_none_has_is_one_sentence(
    result, tmp_path, column, value
):
    keep_result(result, tmp_path / "kept")
    n = pq.read_metadata(tmp_path / "kept" / "nodes.parquet").num_rows
    values = [value] * n
    if value is None:
        values[1:] = [0 if column == "row" else 0.5] * (n - 1)
    with_column(tmp_path / "kept", column, values)
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

    def shrink(said):
        said["stages"][0]["grid"] = [1, 1]
        return said

    with pytest.raises(ResultError, match="outside its grid"):
        read_result(rewritten(tmp_path / "kept", shrink))

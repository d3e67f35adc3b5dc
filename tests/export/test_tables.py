import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from napari_hagmil.export import nodes_table, write_nodes
from napari_hagmil.export.columns import numbers, texts

COLUMNS = ["depth", "row", "column", "y", "x", "height", "width"]
COLUMNS += ["attention", "score", "rank", "parent", "status"]


def test_the_columns_are_those_of_the_contract(result, empty):
    assert nodes_table(result).column_names == COLUMNS
    assert nodes_table(empty).schema.equals(nodes_table(result).schema)
    assert nodes_table(empty).num_rows == 0


def test_every_node_has_a_row(result):
    table = nodes_table(result)
    for stage in result.stages:
        count = table["depth"].to_numpy().tolist().count(stage.depth)
        assert count == len(stage.nodes) + len(stage.unread) + len(stage.vetoed)


def test_the_parent_is_the_row_of_the_node_one_depth_up(result):
    rows = nodes_table(result).to_pylist()
    for row in rows:
        if row["depth"] == 0:
            assert row["parent"] is None
        else:
            parent = rows[row["parent"]]
            assert parent["depth"] == row["depth"] - 1
            assert (parent["row"], parent["column"]) == (row["row"] // 2, row["column"] // 2)
            assert parent["status"] in {"followed", "pinned"}
            if row["height"]:
                assert parent["y"] <= row["y"] < parent["y"] + parent["height"]


def test_nodes_without_attention_say_so(result):
    rows = nodes_table(result).to_pylist()
    beside = [row for row in rows if row["status"] in {"unread", "vetoed"}]
    assert [row["status"] for row in beside] == ["unread", "vetoed", "vetoed"]
    assert all(row[key] is None for row in beside for key in ("attention", "score", "rank"))
    assert all(row["attention"] is not None for row in rows if row not in beside)


def test_no_node_reaches_over_the_slides_edge(result):
    """The grid does: 9000 × 12 000 px are no whole number of patches."""
    table = nodes_table(result)
    for first, size, side in (("y", "height", 9_000), ("x", "width", 12_000)):
        on_slide = table[size].to_numpy() > 0
        ends = table[first].to_numpy() + table[size].to_numpy()
        assert ends[on_slide].max() == side
        assert (table[first].to_numpy()[~on_slide] >= side).all()
    assert result.grids[0].shape[0] * result.grids[0].stride > 9_000


def test_places_are_those_of_the_grid(result):
    table = nodes_table(result)
    last = result.stages[-1]
    edges = result.grids[-1].edges(last.nodes)
    tail = table.slice(table.num_rows - len(last.nodes))
    np.testing.assert_array_equal(tail["y"].to_numpy(), edges[:, 0])
    on_slide = np.maximum(np.minimum(edges[:, 3], result.slide.width) - edges[:, 1], 0)
    np.testing.assert_array_equal(tail["width"].to_numpy(), on_slide)
    assert set(tail["status"].to_pylist()) == {"leaf"}
    assert min(tail["rank"].to_pylist()) == 1


def test_the_file_holds_the_table(result, tmp_path):
    write_nodes(result, tmp_path / "nodes.parquet")
    table = pq.read_table(tmp_path / "nodes.parquet")
    assert table.equals(nodes_table(result))
    assert table.schema.metadata[b"slide"] == b"f00d"


def test_columns_are_those_of_arrow():
    rng = np.random.default_rng(0)
    values, valid = rng.normal(size=19), rng.random(19) > 0.3
    expected = [float(np.float32(v)) if ok else None for v, ok in zip(values, valid, strict=True)]
    assert numbers(values, pa.float32(), valid).to_pylist() == expected
    assert numbers([3, -1], pa.int64()).to_pylist() == [3, -1]
    assert texts(["läufer", "", "10×"]).to_pylist() == ["läufer", "", "10×"]
    assert texts([]).to_pylist() == numbers([], pa.int64(), np.zeros(0, bool)).to_pylist() == []


def test_a_table_is_made_without_pandas():
    code = (
        "import sys, pyarrow as pa\n"
        "from napari_hagmil.export.columns import numbers, texts\n"
        "columns = [numbers([1, 2], pa.int64()), texts(['a', 'b'])]\n"
        "pa.Table.from_arrays(columns, names=['n', 't'])\n"
        "assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

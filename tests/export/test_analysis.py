import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from json_schemas import require_schemas
from napari_hagmil.cascade import Given
from napari_hagmil.errors import OutputError
from napari_hagmil.export import Thumbnail, write_analysis, write_result
from napari_hagmil.export import analysis as module
from napari_hagmil.files import replacing
from napari_hagmil.ledger import check_manifest


def _names(folder):
    return {path.name for path in folder.iterdir()}


def test_all_files_appear_and_nothing_else(result, tmp_path):
    thumbnail = Thumbnail(np.full((90, 120, 3), 200, np.uint8), 100.0)
    write_analysis(result, tmp_path / "out", thumbnail=thumbnail)
    assert _names(tmp_path / "out") == set(module.FILES)
    assert _names(tmp_path) == {"out"}


def test_a_slide_without_tissue_has_all_files_too(empty, tmp_path):
    write_analysis(empty, tmp_path / "deep" / "out")
    assert _names(tmp_path / "deep" / "out") == set(module.FILES)
    assert require_schemas(tmp_path) == {"result", "manifest"}


def test_an_existing_folder_keeps_what_is_not_ours(result, empty, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    write_analysis(result, tmp_path)
    write_analysis(empty, tmp_path, overwrite=True)
    assert _names(tmp_path) == {*module.FILES, "notes.txt"}
    assert json.loads((tmp_path / "result.json").read_text())["state"] == "no_tissue"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failure_leaves_the_earlier_result_as_it_was(result, empty, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_analysis(result, out)
    before = (out / "result.json").read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_report", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_analysis(empty, out, overwrite=True)
    assert (out / "result.json").read_bytes() == before
    assert _names(tmp_path) == {"out"}


def other(result, **changes):
    """The same result with another slide, model or settings."""
    parts = {name: replace(getattr(result, name), **fields) for name, fields in changes.items()}
    return replace(result, **parts)


OTHERS = {
    "slide": {"slide": {"fingerprint": "beef"}},
    "pixel size": {"slide": {"mpp": 0.5}},
    "model": {"model": {"sha256": "cd" * 32}},
    "budget": {"settings": {"budget": (7, 6)}},
    "tissue": {"settings": {"tissue": Given("drawn", "abc")}},
    "steering": {"settings": {"steering": Given("given", "abc")}},
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_result_is_replaced_only_when_that_is_asked_for(result, tmp_path, what):
    write_analysis(result, tmp_path)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    with pytest.raises(OutputError, match=f"holds a result of another {what}"):
        write_analysis(other(result, **OTHERS[what]), tmp_path)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before
    write_analysis(other(result, **OTHERS[what]), tmp_path, overwrite=True)
    write_analysis(other(result, **OTHERS[what]), tmp_path)


def test_the_same_again_is_replaced(result, tmp_path):
    """On whatever device, with whatever was measured."""
    write_analysis(result, tmp_path)
    again = other(result, settings={"device": "cuda", "threads": 9}, cost={"bytes_read": 5})
    write_analysis(again, tmp_path)
    document = json.loads((tmp_path / "result.json").read_text())
    assert document["settings"]["device"] == "cuda"
    # A result of a version that kept no record of tissue and steering.
    for name in ("tissue", "steering"):
        del document["settings"][name]
    (tmp_path / "result.json").write_text(json.dumps(document))
    write_analysis(result, tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"slide": 3}'])
def test_a_result_that_cannot_be_read_may_be_anybodys(result, tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(OutputError, match="a result that cannot be read"):
        write_analysis(result, tmp_path)


def test_the_manifest_is_the_same_whenever_and_wherever_a_result_is_made(result, tmp_path):
    seconds = {name: 10 * spent for name, spent in result.cost.seconds.items()}
    later = other(result, cost={"seconds": seconds})
    later = replace(later, start="2030-01-01T00:00:00+00:00")
    for name, one in (("one", result), ("two", later)):
        write_analysis(one, tmp_path / name)
        assert check_manifest(tmp_path / name) == {}
    one, two = ((tmp_path / name / "manifest.json").read_text() for name in ("one", "two"))
    assert one == two


def test_the_output_must_not_be_a_file(result, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="must be a folder"):
        write_analysis(result, tmp_path / "out")


def test_a_file_is_never_half_written(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")

    def interrupted():
        with replacing(path) as draft:
            draft.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert _names(tmp_path) == {"result.json"}


def test_a_folder_in_the_place_of_a_file_is_an_output_error(result, tmp_path):
    (tmp_path / "result.json").mkdir()
    with pytest.raises(OutputError):
        write_result(result, tmp_path / "result.json")
    assert _names(tmp_path) == {"result.json"}


def said_in(path):
    """All text of a file or folder: of Parquet and zarr the metadata, of HTML the words."""
    if path.suffix == ".parquet":
        return str(pq.read_schema(path).metadata)
    if path.is_dir():
        return "".join(one.read_text("utf-8") for one in path.rglob("zarr.json"))
    return path.read_bytes().decode("utf-8", "replace")


def test_every_file_says_that_it_is_for_research_and_what_attention_is(result, tmp_path):
    thumbnail = Thumbnail(np.full((90, 120, 3), 200, np.uint8), 100.0)
    write_analysis(result, tmp_path / "out", thumbnail=thumbnail)
    # In the picture the words are drawn; the manifest lists the others.
    files = {name for name in module.FILES if not name.endswith(".png")} - {"manifest.json"}
    assert len(files) == 6
    for name in files:
        text = " ".join(said_in(tmp_path / "out" / name).split()).lower()
        assert "research use only" in text, name
        assert "attention says where the model looked, not" in text, name

import json

import numpy as np
import pytest

from napari_hagmil.errors import OutputError
from napari_hagmil.export import Thumbnail, write_analysis, write_result
from napari_hagmil.export import analysis as module
from napari_hagmil.files import replacing


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


def test_an_existing_folder_keeps_what_is_not_ours(result, empty, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    write_analysis(result, tmp_path)
    write_analysis(empty, tmp_path)
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
        write_analysis(empty, out)
    assert (out / "result.json").read_bytes() == before
    assert _names(tmp_path) == {"out"}


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

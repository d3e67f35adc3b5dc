"""``verify``: results, predictions, stores and reviews, changed by a careful hand."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_hagmil.cli import main
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.features import EncodeConfig, encode_cohort
from napari_hagmil.review import Conclusion
from napari_hagmil.review.sitting import open_sitting
from napari_hagmil.verify import verify_folder

sys.path += [str(Path(__file__).parent / folder) for folder in ("export", "features")]
from synthetic import slide_result
from test_store import Colours

from napari_hagmil.export import write_analysis


@pytest.fixture(scope="module")
def whole(phantom, tmp_path_factory):
    """A folder with an analysis, a store and a review, all as they were written."""
    folder = tmp_path_factory.mktemp("whole") / "work"
    write_analysis(slide_result(), folder / "result")
    record = SlideRecord(phantom, "tumor", "p")
    list(encode_cohort([record], folder / "store", Colours(), EncodeConfig(mpp=(1.0,))))
    (folder / "slides").mkdir()
    (folder / "slides" / "a.tiff").write_bytes(b"pixels")
    sitting = open_sitting(folder / "slides" / "a.tiff", "f" * 32)
    for text in ("first", "second", "third"):
        sitting.change("conclude", conclusion=Conclusion("tumor", text))
    sitting.close()
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "work")
    return tmp_path / "work"


REVIEW = "slides/a.tiff.hagmil-review/" + "f" * 32 + ".jsonl"


def test_what_was_not_touched_is_as_it_was_written(folder, capsys):
    assert main(["verify", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "1 journals compared: all as written" in said
    assert "note" not in said
    for part in ("result", "store", "slides", REVIEW):
        assert main(["verify", str(folder / part)]) == 0


def negate(path):
    (-np.fromfile(path, "<f4")).tofile(path)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def drop_line(path, number):
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[number]
    path.write_bytes(b"".join(lines))


def swap_lines(path):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    path.write_bytes(b"".join(lines))


CHANGES = [
    (
        lambda f: negate(f / "store/phantom.zarr/depth0/features/c/0/0"),
        "store/phantom.zarr/depth0/features/c/0/0 is not what was written",
    ),
    (
        lambda f: edit(f / "result/result.json", '"class": "tumor"', '"class": "normal"'),
        "result/result.json is not what was written",
    ),
    (
        lambda f: edit(f / "result/report.html", "tumor", "benign"),
        "result/report.html is not what was written",
    ),
    (lambda f: (f / "result/nodes.parquet").unlink(), "result/nodes.parquet is missing"),
    (
        lambda f: (f / "result/attention.ome.zarr/more").touch(),
        "result/attention.ome.zarr/more is not in the manifest",
    ),
    (
        lambda f: (f / "result/manifest.json").unlink(),
        "result is a result without a manifest.json",
    ),
    (
        lambda f: (f / "store/phantom.zarr/manifest.json").unlink(),
        "store/phantom.zarr is features without a manifest.json",
    ),
    (
        lambda f: (f / "result/manifest.json").write_text("{"),
        "result/manifest.json cannot be read",
    ),
    (lambda f: drop_line(f / REVIEW, 3), f"{REVIEW} line 4 is damaged, was changed or"),
    (lambda f: drop_line(f / REVIEW, -1), f"{REVIEW} lacks lines at its end"),
    (lambda f: swap_lines(f / REVIEW), f"{REVIEW} line 3 is damaged, was changed or"),
    (lambda f: os.truncate(f / REVIEW, 300), f"{REVIEW} line 2 is cut off"),
]


@pytest.mark.parametrize(("change", "found"), CHANGES, ids=[found for _, found in CHANGES])
def test_what_was_changed_is_one_line_and_exit_status_1(folder, capsys, change, found):
    change(folder)
    assert main(["verify", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(found)
    assert lines[1].endswith(": 1 not as written")


def test_any_bit_of_any_file_is_noticed(folder):
    rng = np.random.default_rng(0)
    files = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".tiff", ".head")]
    assert len(files) > 20
    for path in files:
        kept = path.read_bytes()
        changed = bytearray(kept)
        changed[rng.integers(len(kept))] ^= 1 << int(rng.integers(7))
        path.write_bytes(changed)
        if path.name != "result.json" or _says_otherwise(kept, changed):
            assert verify_folder(folder).findings, path
        path.write_bytes(kept)
    assert not verify_folder(folder).findings


def _says_otherwise(kept, changed):
    """Whether a result says something else than seconds: spaces and digits of those pass."""
    try:
        before, after = json.loads(kept), json.loads(changed)
    except ValueError:
        return True
    for document in (before, after):
        document.get("cost", {}).pop("seconds", None)
    return before != after


def test_the_findings_in_json(folder, capsys):
    negate(folder / "store/phantom.zarr/depth0/features/c/0/0")
    assert main(["verify", str(folder), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["findings"] == [
        {
            "place": "store/phantom.zarr/depth0/features/c/0/0",
            "what": "is not what was written",
        }
    ]


def test_a_result_of_other_versions_says_so(tmp_path, capsys, monkeypatch):
    from napari_hagmil.export import result_json

    own = result_json.versions
    monkeypatch.setattr(result_json, "versions", lambda: own() | {"torch": "1.0"})
    write_analysis(slide_result(), tmp_path)
    monkeypatch.undo()
    assert main(["verify", str(tmp_path)]) == 0
    assert f"note: result.json made with torch 1.0 (here {own()['torch']})" in (
        capsys.readouterr().out
    )


def test_a_folder_with_nothing_to_verify_is_told(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 1
    assert "holds nothing that can be verified" in capsys.readouterr().err

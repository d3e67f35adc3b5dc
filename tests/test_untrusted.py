"""Text, JSON and files from outside."""

import csv
import json
import os
import zipfile

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import load_steering
from napari_hagmil.cohort import read_cohort
from napari_hagmil.errors import AnnotationError, BundleError, CohortError, SlideFormatError
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.files import from_spreadsheet_cell, spreadsheet_cell, write_csv
from napari_hagmil.models import load_bundle
from napari_hagmil.models.bundle import CONFIG, WEIGHTS
from napari_hagmil.slide import open_slide
from napari_hagmil.untrusted import parse_json
from odd_json import BROKEN_TEXTS

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("text", BROKEN_TEXTS[:-1], ids=lambda text: text[:5])
def test_json_that_breaks_parsers_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(text)


def test_lone_surrogates_of_json_can_be_written():
    assert parse_json(r'{"a": "x\ud800y"}') == {"a": "x\ufffdy"}
    assert parse_json(r'"\ud83d\ude00"') == "\U0001f600"


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-cmd", "@SUM(A1)", "\t=1"])
def test_no_cell_of_a_table_is_a_formula(tmp_path, text):
    write_csv(tmp_path / "a.csv", ["a"], [[text]])
    with (tmp_path / "a.csv").open(newline="") as file:
        (cell,) = list(csv.reader(file))[1]
    assert cell == f"'{text}"
    assert from_spreadsheet_cell(cell) == text


def test_numbers_stay_numbers():
    assert [spreadsheet_cell(v) for v in (-1.5, "-1.5", "a", "")] == [-1.5, "-1.5", "a", ""]


@given(st.text() | st.text("'=-1", max_size=5))
def test_a_cell_comes_back(text):
    text = text.encode("utf-8", "replace").decode()
    assert from_spreadsheet_cell(str(spreadsheet_cell(text))) == text.replace("\0", "").replace(
        "\r\n", "\n"
    ).replace("\r", "\n")


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (open_slide, SlideFormatError),
        (load_bundle, BundleError),
        (read_cohort, CohortError),
        (read_polygons, AnnotationError),
        (load_steering, AnnotationError),
    ],
)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, read, error):
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(error, match=r"regular file|must be a readable"):
        read(tmp_path / "pipe.json")


def bundle_files():
    folder = find_bundle("demo")
    return {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_a_zip_bomb_is_refused_before_it_is_unfolded(tmp_path):
    files = bundle_files() | {WEIGHTS: bytes(2**28)}
    with pytest.raises(BundleError, match="swells"):
        load_bundle(write_zip(tmp_path / "a.zip", files))


def test_damaged_deflate_is_a_sentence(tmp_path):
    path = write_zip(tmp_path / "a.zip", bundle_files())
    data = path.read_bytes()
    for at in range(200, 2000, 37):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            load_bundle(path)
        except BundleError:
            continue


@pytest.mark.parametrize(
    "change", [{"patch_size": 2**30}, {"patch_size": 0}, {"budget": [float("nan"), 1]}], ids=str
)
def test_impossible_numbers_of_a_bundle_are_refused(tmp_path, change):
    files = bundle_files()
    files[CONFIG] = json.dumps(json.loads(files[CONFIG]) | change).encode()
    with pytest.raises(BundleError):
        load_bundle(write_zip(tmp_path / "a.zip", files))


def test_endless_iterations_are_refused(tmp_path):
    files = bundle_files()
    config = json.loads(files[CONFIG])
    config["stages"][0]["pinv_iterations"] = 2**30
    files[CONFIG] = json.dumps(config).encode()
    with pytest.raises(BundleError, match="pinv_iterations"):
        load_bundle(write_zip(tmp_path / "a.zip", files))


def test_weights_that_no_training_gives_are_refused(tmp_path):
    files = bundle_files()
    tensors = safetensors.torch.load(files[WEIGHTS])
    first = next(iter(tensors))
    tensors[first] = torch.full_like(tensors[first], 1e30)
    files[WEIGHTS] = safetensors.torch.save(tensors)
    config = json.loads(files[CONFIG]) | {"weights_sha256": None}
    files[CONFIG] = json.dumps(config).encode()
    with pytest.raises(BundleError, match="no training gives"):
        load_bundle(write_zip(tmp_path / "a.zip", files))

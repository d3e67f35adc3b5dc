"""Text, JSON and files from outside."""

import csv
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_hagmil import untrusted
from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import load_steering
from napari_hagmil.cohort import read_cohort
from napari_hagmil.errors import (
    AnnotationError,
    BundleError,
    CohortError,
    HagmilError,
    SlideFormatError,
)
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.export.xml_annotations import read_xml_areas
from napari_hagmil.files import from_spreadsheet_cell, spreadsheet_cell, write_csv
from napari_hagmil.models import load_bundle
from napari_hagmil.models.bundle import CONFIG, WEIGHTS
from napari_hagmil.models.checkpoints.baselines import load_baseline
from napari_hagmil.models.checkpoints.weights_only import load_weights_only
from napari_hagmil.slide import open_slide
from napari_hagmil.training.protocol.toml_file import load_protocol
from napari_hagmil.untrusted import parse_json
from odd_json import BROKEN_TEXTS

pytestmark = pytest.mark.timeout(60)


def test_a_small_file_takes_no_memory_for_the_largest_one_that_may_be_read(tmp_path):
    (tmp_path / "small.json").write_text("{}")
    tracemalloc.start()
    try:
        untrusted.read_json(tmp_path / "small.json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


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


@pytest.mark.parametrize("read", [load_protocol, read_xml_areas, load_weights_only, load_baseline])
def test_no_other_reader_waits_for_a_pipe(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HagmilError, match="regular file"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "a/" * 3000], ids=["long", "zero", "deep"])
@pytest.mark.parametrize("read", [open_slide, load_bundle, find_bundle, read_cohort, read_polygons])
def test_paths_that_no_system_takes_lead_nowhere(read, name):
    with pytest.raises(HagmilError):
        read(Path(name))


def test_a_cohort_may_name_any_path(tmp_path):
    rows = "".join(f"{'a' * n}.tif,{label},{n},{'b' * n}\n" for n, label in [(9, "x"), (5000, "y")])
    (tmp_path / "c.csv").write_text(f"slide,label,patient,truth\n{rows}")
    with pytest.raises(CohortError, match=r"(?s)line 2.*does not exist.*line 3.*does not exist"):
        read_cohort(tmp_path / "c.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_of_xml_do_not_swell(tmp_path, encoding):
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 9}">' for i in range(1, 9))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "x">{entities}]><ASAP_Annotations>&a8;</ASAP_Annotations>'
    (tmp_path / "a.xml").write_text(bomb, encoding)
    with pytest.raises(AnnotationError, match="the XML of another program"):
        read_xml_areas(tmp_path / "a.xml")


def test_annotations_in_utf_16_are_read(tmp_path):
    corners = "".join(f'<Coordinate X="{x}" Y="{y}"/>' for x, y in [(0, 0), (9, 0), (9, 9)])
    area = f'<Annotation Type="Polygon"><Coordinates>{corners}</Coordinates></Annotation>'
    text = f'<?xml version="1.0" encoding="UTF-16"?><ASAP_Annotations>{area}</ASAP_Annotations>'
    (tmp_path / "a.xml").write_text(text, "utf-16")
    assert len(read_xml_areas(tmp_path / "a.xml")) == 1


@pytest.mark.parametrize("number", ["1e308", "-1e300", "4e9"])
def test_places_on_no_slide_are_refused(tmp_path, number):
    ring = f"[[0, 0], [{number}, 5], [9, 9], [0, 0]]"
    (tmp_path / "a.geojson").write_text(f'{{"type": "Polygon", "coordinates": [{ring}]}}')
    (tmp_path / "a.json").write_text(
        f'{{"schema": "napari-hagmil/steering/1", "follow": [[{number}, 0]]}}'
    )
    for read, name in [(read_polygons, "a.geojson"), (load_steering, "a.json")]:
        with pytest.raises(AnnotationError, match="slide"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("protocol = 5", r"needs \[protocol\] to be a table"),
        ("[protocol]\nrepeats = {}", "needs repeats to be a whole number"),
        ("[protocol]\nfolds = 1979-05-27", "needs folds to be a whole number"),
        ("[protocol]\nscheme = []", "needs scheme to be a text"),
        ("[protocol]\nsweep = [4]", "needs sweep to be a list of lists"),
        ("[[method]]\nname = 1.5", "needs name to be a text"),
        ("[[method]]\nname = 'a'\noptions = 'b'", "needs options to be a table"),
        ("[[method]]\nname = 'a'\nguidance = [1]", "needs guidance to be a number"),
        ("[[method]]\nname = 'a'\nlearning_rate = nan", "needs learning_rate to be a number"),
        (f"[[method]]\nname = 'a'\nclip = {'9' * 400}", "needs clip to be a number"),
        ("method = ['a']", r"needs \[\[method\]\] to be a table"),
    ],
)
def test_an_entry_of_a_protocol_that_is_of_another_type_is_named(tmp_path, text, words):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(HagmilError, match=words):
        load_protocol(tmp_path / "p.toml")


def test_what_is_written_as_json_is_read_as_json_whatever_its_numbers():
    value = {"clip": float("inf"), "auc": [float("nan"), 0.5], "low": (-float("inf"), 1)}
    for indent in (None, 2):
        text = untrusted.json_text(value, indent=indent)
        read = untrusted.parse_json(text)
        assert read == {"clip": "inf", "auc": [None, 0.5], "low": ["-inf", 1]}

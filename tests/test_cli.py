"""The command line as its users call it."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
import zarr

from napari_hagmil.cli import main
from napari_hagmil.cli.parser import VERBS, build_parser
from napari_hagmil.cli.terminal import answer, printable
from napari_hagmil.cli.verb import Verb, argument, json_option
from napari_hagmil.encoders import resolve_device
from napari_hagmil.encoders.network import chosen_runtime
from napari_hagmil.errors import OutputError, Remedy
from napari_hagmil.export import read_geojson
from napari_hagmil.review.shelf import shelf_of

FILES = {
    "result.json",
    "nodes.parquet",
    "attention.ome.zarr",
    "regions.geojson",
    "tissue.geojson",
    "report.html",
    "overview.png",
    "manifest.json",
}


@pytest.fixture(scope="module")
def analysis(slides_dir, scratch_bundle, tmp_path_factory):
    """The real 20× slide, analyzed once."""
    out = tmp_path_factory.mktemp("analysis") / "out"
    slide = slides_dir / "CMU-1-Small-Region.svs"
    status = main(["analyze", str(slide), "--out", str(out), "--model", str(scratch_bundle)])
    assert status == 0
    return out


def test_analyze_leaves_every_file_of_the_contract(analysis):
    assert {path.name for path in analysis.iterdir()} == FILES


def test_the_cascade_says_what_it_does_about_a_missing_40x(analysis):
    result = json.loads((analysis / "result.json").read_text())
    assert result["schema"] == "napari-hagmil/result/1"
    assert result["state"] == "done"
    assert [round(s["magnification"]) for s in result["stages"]] == [10, 20]
    assert any("no 40×" in note and "ends at 20×" in note for note in result["notes"])
    assert "no 40×" in (analysis / "report.html").read_text()


def test_the_result_has_the_fields_of_the_contract(analysis):
    result = json.loads((analysis / "result.json").read_text())
    assert set(result["slide"]) >= {"name", "fingerprint", "mpp", "mpp_source", "width", "height"}
    assert set(result["model"]) >= {"name", "sha256", "encoder", "classes"}
    assert set(result["settings"]) >= {"budget", "device", "seed"}
    # What it takes to make it again.
    assert result["slide"]["reader"] == "tiff"
    assert len(result["model"]["encoder_sha256"]) == 64
    assert result["settings"]["precision"] in ("float32", "bfloat16")
    assert result["settings"]["runtime"] == chosen_runtime(resolve_device())
    assert result["settings"]["threads"] >= 1
    assert result["settings"]["tissue"]["source"] == "detected"
    assert len(result["settings"]["tissue"]["sha256"]) == 64
    assert result["settings"]["steering"]["source"] == "none"
    assert datetime.fromisoformat(result["start"]).tzinfo is not None
    assert set(result["prediction"]) >= {"class", "probabilities"}
    assert set(result["cost"]) >= {
        "patches_encoded",
        "patches_exhaustive",
        "bytes_read",
        "seconds",
    }
    assert set(result["cost"]["seconds"]) >= {"read", "encode", "model", "total"}
    assert sum(result["prediction"]["probabilities"]) == pytest.approx(1)
    assert result["slide"]["mpp"] == pytest.approx(0.499)


def test_tissue_and_steering_that_went_in_are_on_record(slides_dir, scratch_bundle, tmp_path):
    slide, out = slides_dir / "CMU-1-Small-Region.svs", tmp_path / "out"
    tissue, steer = tmp_path / "tissue.geojson", tmp_path / "steer.json"
    ring = [[0, 0], [0, 1100], [1100, 1100], [1100, 0], [0, 0]]
    tissue.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    steer.write_text('{"schema": "napari-hagmil/steering/1", "follow": [[500, 500]]}')
    words = ["analyze", str(slide), "--out", str(out), "--model", str(scratch_bundle)]
    words += ["--budget", "1"]
    drawn = ["--tissue", str(tissue), "--steer", str(steer)]
    assert main([*words, *drawn]) == 0
    settings = json.loads((out / "result.json").read_text())["settings"]
    for name, path in (("tissue", tissue), ("steering", steer)):
        file_hash = hashlib.sha256(path.read_bytes()).hexdigest()
        assert settings[name]["file_sha256"] == file_hash
        assert len(settings[name]["sha256"]) == 64
    # The same again is replaced; without them it would be another result.
    assert main([*words, *drawn]) == 0
    assert main(words) == 1
    assert main([*words, "--overwrite"]) == 0


def test_another_slides_result_is_not_replaced(analysis, phantom, scratch_bundle, capsys):
    before = {p.name: p.stat().st_mtime_ns for p in analysis.iterdir()}
    words = ["--out", str(analysis), "--model", str(scratch_bundle)]
    assert main(["analyze", str(phantom), *words]) == 1
    said = capsys.readouterr().err
    assert "holds a result of another slide; choose another --out, or replace it with" in said
    assert {p.name: p.stat().st_mtime_ns for p in analysis.iterdir()} == before


def test_the_nodes_table_agrees_with_the_result(analysis):
    result = json.loads((analysis / "result.json").read_text())
    table = pq.read_table(analysis / "nodes.parquet").to_pandas()
    for stage in result["stages"]:
        rows = table[table.depth == stage["depth"]]
        assert len(rows) == stage["nodes"]
        assert rows.status.isin(["followed", "pinned"]).sum() == stage["followed"]
        assert rows.attention.sum() == pytest.approx(1, abs=1e-4)


def test_regions_lie_on_the_slide_and_the_maps_have_holes_where_nothing_was_visited(analysis):
    result = json.loads((analysis / "result.json").read_text())
    for polygon in read_geojson(analysis / "regions.geojson"):
        assert polygon.min() >= -0.5
    group = zarr.open_group(analysis / "attention.ome.zarr", mode="r")
    finest = group["1/0"][:]
    assert np.isfinite(finest).sum() == result["stages"][1]["nodes"]
    assert np.isnan(finest).any()


def test_info_says_what_every_slide_is(slides_dir, capsys):
    good = [p for p in sorted(slides_dir.iterdir()) if p.name != "broken"]
    assert len(good) >= 8
    for path in good:
        if path.is_dir():
            pytest.importorskip("wsidicom", reason="the extra dicom is not installed")
        assert main(["info", str(path), "--json"]) == 0, path
        facts = json.loads(capsys.readouterr().out)
        assert {"levels", "mpp", "mpp_source", "objective", "vendor", "warnings"} <= set(facts)


@pytest.mark.parametrize("name", ["broken.svs", "unopenable.tiff", "pathml-small_dicom.dcm"])
def test_a_broken_file_is_one_line_on_stderr(slides_dir, capsys, name):
    assert main(["info", str(slides_dir / "broken" / name)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert name in captured.err


def test_a_slide_whose_tiles_do_not_decode_fails_at_the_first_read(
    slides_dir, scratch_bundle, tmp_path, capsys
):
    slide = slides_dir / "broken" / "openslide-python-unreadable.svs"
    out = tmp_path / "out"
    status = main(["analyze", str(slide), "--out", str(out), "--model", str(scratch_bundle)])
    assert status == 1
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1
    assert "openslide-python-unreadable.svs cannot be decoded in 100% of its area" in err
    assert not out.exists()


def test_damaged_places_are_unread_in_the_table_the_result_and_the_warning(
    phantom, scratch_bundle, tmp_path, capsys
):
    import pyarrow.parquet as pq
    import tifffile

    path, out = tmp_path / "damaged.tiff", tmp_path / "out"
    data = bytearray(phantom.read_bytes())
    with tifffile.TiffFile(phantom) as tiff:
        # A band across the slide at every level: no finer level can stand in.
        for level in tiff.series[0].levels:
            page = level.keyframe
            columns = -(-page.imagewidth // page.tilewidth)
            rows = -(-page.imagelength // page.tilelength)
            for i in range(rows // 3 * columns, -(-2 * rows // 3) * columns):
                offset, n_bytes = page.dataoffsets[i], page.databytecounts[i]
                data[offset : offset + n_bytes] = bytes(n_bytes)
    path.write_bytes(data)
    call = ["analyze", str(path), "--out", str(out), "--model", str(scratch_bundle)]
    assert main(call) == 3
    result = json.loads((out / "result.json").read_text())
    assert (result["state"], result["prediction"]) == ("incomplete", None)
    assert result["unread"]["places"] > 0.1 * result["unread"]["asked"]
    assert "Incomplete:" in (out / "report.html").read_text()
    assert "predicts" not in (out / "report.html").read_text()
    rows = pq.read_table(out / "nodes.parquet").to_pylist()
    unread = [row for row in rows if row["status"] == "unread"]
    assert len(unread) == sum(stage["unread"] for stage in result["stages"]) > 0
    height = result["slide"]["height"]
    assert all(height / 3 - 2048 < row["y"] < 2 * height / 3 + 2048 for row in unread)
    assert any(row["status"] != "unread" for row in rows)
    said = capsys.readouterr().out
    assert f"{len(unread)} places could not be read" in said
    assert "damaged.tiff: incomplete: " in said


def test_a_slide_without_pixel_size_wants_mpp(slides_dir, scratch_bundle, tmp_path, capsys):
    slide, out = slides_dir / "histoprep-slide.jpeg", tmp_path / "out"
    call = ["analyze", str(slide), "--out", str(out), "--model", str(scratch_bundle)]
    assert main(call) == 1
    assert "mpp" in capsys.readouterr().err
    assert not out.exists()
    assert main([*call, "--mpp", "0.5"]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["slide"]["mpp"], result["slide"]["mpp_source"]) == (0.5, "given")


@pytest.mark.parametrize(
    ("name", "stated"),
    [("CMU-1-wrong-mpp.jpeg.tiff", "0.00499 µm"), ("openslide-python-boxes.tiff", "352.8 µm")],
)
def test_an_implausible_pixel_size_is_questioned_and_wants_mpp(
    slides_dir, scratch_bundle, tmp_path, capsys, name, stated
):
    slide, out = str(slides_dir / name), tmp_path / "out"
    assert main(["info", slide, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["mpp"], facts["mpp_source"]) == (None, "none")
    assert main(["analyze", slide, "--out", str(out), "--model", str(scratch_bundle)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    for sentence, asks in ((line, "give --mpp"), (*facts["warnings"], "give mpp=")):
        assert f"{name} states a pixel size of {stated} (TIFF resolution)" in sentence
        assert sentence.endswith(f"; {asks} in µm per pixel of level 0")
    assert not out.exists()
    assert main(["info", slide, "--json", "--mpp", "0.499"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["mpp"], facts["mpp_source"], facts["warnings"]) == (0.499, "given", [])


def test_a_budget_tissue_and_steering_are_obeyed(phantom, scratch_bundle, tmp_path, capsys):
    tissue = tmp_path / "tissue.geojson"
    ring = [[900, 900], [3100, 900], [3100, 3100], [900, 3100], [900, 900]]
    tissue.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    steer = tmp_path / "steer.json"
    steer.write_text(
        json.dumps({"schema": "napari-hagmil/steering/1", "follow": [[2000.0, 2000.0]]})
    )
    status = main(
        [
            *("analyze", str(phantom), "--out", str(tmp_path / "out")),
            *("--model", str(scratch_bundle), "--budget", "2"),
            *("--tissue", str(tissue), "--steer", str(steer), "--json"),
        ]
    )
    assert status == 0
    result = json.loads(capsys.readouterr().out)
    assert result["settings"]["budget"] == [2, 2]
    assert result["stages"][0]["nodes"] <= 16
    assert result["stages"][0]["followed"] in (2, 3)
    table = pq.read_table(tmp_path / "out" / "nodes.parquet").to_pandas()
    deepest = table[table.depth == 2]
    assert (
        (deepest.y <= 2000)
        & (deepest.y + deepest.height > 2000)
        & (deepest.x <= 2000)
        & (deepest.x + deepest.width > 2000)
    ).any()


def test_an_empty_slide_is_no_tissue_in_every_file(scratch_bundle, tmp_path, capsys):
    slide, out = tmp_path / "glass.tiff", tmp_path / "out"
    pixels = np.full((2048, 2048, 3), 242, np.uint8)
    tifffile.imwrite(
        slide, pixels, photometric="rgb", tile=(256, 256), resolution=(40000, 40000),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    call = ["analyze", str(slide), "--out", str(out), "--model", str(scratch_bundle)]
    assert main(call) == 0
    assert "no tissue" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "result.json").read_text())["state"] == "no_tissue"


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--device", "cuda"], "'cuda' was asked for"),
        (["--model", "nothing"], "neither a bundle on disk"),
        (["--tissue", "missing.geojson"], "missing.geojson"),
        (["--steer", "missing.json"], "missing.json"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing_behind(
    phantom, scratch_bundle, tmp_path, capsys, extra, says
):
    import torch

    if "cuda" in extra and torch.cuda.is_available():
        pytest.skip("the machine has a GPU")
    out = tmp_path / "out"
    call = ["analyze", str(phantom), "--out", str(out), "--model", str(scratch_bundle), *extra]
    assert main(call) == 1
    err = capsys.readouterr().err.strip()
    assert says in err
    assert len(err.splitlines()) == 1
    assert not out.exists()


def test_an_unwritable_folder_is_one_line(phantom, scratch_bundle, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out"
    call = ["analyze", str(phantom), "--out", str(out), "--model", str(scratch_bundle)]
    assert main(call) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["fly"], ["analyze"], ["analyze", "x", "--budget", "0"]])
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_phantom_writes_a_slide_and_its_truth(tmp_path, capsys):
    out = tmp_path / "p.tiff"
    assert main(["phantom", str(out), "--seed", "4", "--size", "2048", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert out.exists()
    assert out.with_suffix(".geojson").exists()
    assert answer["size"] == 2048


def test_models_lists_the_demo_bundle_and_the_default_encoder(capsys):
    assert main(["models", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "demo" in [bundle["name"] for bundle in answer["bundles"]]
    encoders = {each["name"]: each for each in answer["encoders"]}
    assert encoders["efficientnet-lite0"]["missing"] == ""


def test_doctor_says_what_is_there_and_what_brings_the_rest(tmp_path, monkeypatch, capsys):
    from napari_hagmil.cli.installation import doctor

    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path))
    versions = {"PyQt6": "6", "onnx": ""}
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, "1"))
    assert main(["doctor", "--json"]) == 0
    found = {each["subject"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["encoder efficientnet-lite0"]["found"] == "ready"
    assert "needs ResNet-50's ImageNet weights" in found["encoder resnet50-layer3"]["found"]
    assert "models --download resnet50-layer3" in found["encoder resnet50-layer3"]["remedy"]
    assert "napari-hagmil 1" in found["versions"]["found"]
    assert " of 10 GB" in found["kept pyramids"]["found"]
    assert found["free disk"]["found"].endswith(" GB there")
    assert "ready" in found["device cpu"]["found"]
    assert found["onnx"]["remedy"] == "run pip install 'napari-hagmil[onnx]'"
    assert found["h5py"] == {"subject": "h5py", "found": "1", "remedy": ""}


def test_convert_makes_a_bundle_of_the_official_checkpoint(official_checkpoint, tmp_path):
    from napari_hagmil.models import load_bundle

    out = tmp_path / "official.hagmil"
    assert main(["convert", str(official_checkpoint), "--out", str(out)]) == 0
    assert load_bundle(out).config.order == "attention"


@pytest.mark.slow
def test_demo_without_a_window_writes_everything_and_says_where(tmp_path):
    out = tmp_path / "demo-out"
    done = subprocess.run(
        [sys.executable, "-m", "napari_hagmil", "demo", "--no-window", "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "result.json").read_text())["prediction"]["class"] == "tumor"


def test_help_imports_nothing_heavy():
    script = (
        "import sys\nfrom napari_hagmil.cli import main\n"
        "try:\n    main(['analyze', '--help'])\nexcept SystemExit:\n    pass\n"
        "print('heavy:', sorted({'numpy', 'torch', 'napari', 'tqdm', 'dask'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_frozen_options_and_is_in_the_reference(verb):
    assert is_dataclass(verb.options)
    assert verb.options.__dataclass_params__.frozen
    reference = Path(__file__).parent.parent / "docs" / "reference" / "commands.md"
    assert f"`{verb.name} " in reference.read_text("utf-8") or f"`{verb.name}`" in (
        reference.read_text("utf-8")
    )


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_option_says_what_it_is_for(verb):
    for each in fields(verb.options):
        flags, settings = each.metadata["flags"], each.metadata["settings"]
        assert not flags or settings.get("help"), f"{verb.name} {flags}"


@dataclass(frozen=True)
class CountOptions:
    """Options of a verb that only this test has."""

    table: Path = argument(type=Path)
    json: bool = json_option()


def test_a_verb_gets_its_own_options_and_may_belong_to_a_group():
    seen = []
    verb = Verb("cohort count", CountOptions, lambda options: seen.append(options) or 3, "count")
    arguments = build_parser((verb,)).parse_args(["cohort", "count", "a.csv", "--json"])
    assert arguments.run(arguments) == 3
    assert seen == [CountOptions(table=Path("a.csv"), json=True)]


def test_an_error_gives_the_remedy_of_the_command_line(monkeypatch, capsys):
    def fail(self, namespace):
        raise OutputError("out", "is full", remedy=Remedy("give out=", "give --out", "press Save"))

    monkeypatch.setattr(Verb, "_run", fail)
    assert main(["cache"]) == 1
    assert capsys.readouterr().err == "napari-hagmil: out is full; give --out\n"
    with pytest.raises(OutputError, match="give out="):
        main(["cache", "--debug"])


def test_escape_sequences_in_a_file_name_do_not_reach_the_terminal(tmp_path, capsys):
    name = tmp_path / "a\x1b[31m\nb\u202e.svs"
    name.write_bytes(b"not a slide")
    assert main(["info", str(name)]) == 1
    err = capsys.readouterr().err
    assert r"a\x1b[31m\x0ab\u202e.svs" in err
    assert err.count("\n") == 1
    with pytest.raises(SystemExit):
        main(["info", "x", "\x1b[2J"])
    assert "\x1b" not in capsys.readouterr().err


def test_text_of_the_field_is_printed_as_it_is():
    assert printable("0.25 µm × 40\u202f× – 10\u00a0%") == "0.25 µm × 40\u202f× – 10\u00a0%"
    assert printable("\udcff") == r"\udcff"


@pytest.mark.parametrize("indent", [None, 2])
def test_json_escapes_controls_and_reads_back_the_same(indent, capsys):
    document = {"name": "\x1b[31m\x9b\u202e\u2028\nä", "list": [1, 2]}
    answer(document, indent=indent)
    out = capsys.readouterr().out
    assert json.loads(out) == document
    assert not set(out) & set("\x1b\x9b\u202e\u2028")
    assert "ä" in out


@pytest.mark.skipif(os.name != "posix", reason="names of files are text there")
def test_a_name_that_is_not_utf8_is_like_any_other_in_any_locale(phantom, tmp_path):
    slide = Path(os.fsdecode(bytes(tmp_path) + b"/sl\xe4de.tiff"))
    slide.hardlink_to(phantom)
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "napari_hagmil", "info", str(slide)]
    done = subprocess.run(command, env=os.environ | plain, capture_output=True, check=True)
    assert b"sl\\udce4de.tiff" in done.stdout
    assert b"\\xd7" in done.stdout  # × in ASCII
    out = Path(os.fsdecode(bytes(tmp_path) + b"/o\xfct"))
    assert main(["analyze", str(slide), "--out", str(out), "--budget", "2"]) == 0
    assert (out / "nodes.parquet").stat().st_size > 0
    (tmp_path / "cls" / "a").mkdir(parents=True)
    (tmp_path / "cls" / "a" / slide.name).hardlink_to(phantom)
    assert main(["cohort", "from-folders", str(tmp_path / "cls"), "--out", str(out / "t.csv")]) == 1
    assert shelf_of(slide, "0").journal.parent == slide.with_name(slide.name + ".hagmil-review")


def test_a_slide_whose_name_is_too_long_for_its_features_fails_alone(phantom, tmp_path, capsys):
    long = "y" * 251 + ".svs"
    (tmp_path / long).hardlink_to(phantom)
    (tmp_path / "p.tiff").hardlink_to(phantom)
    (tmp_path / "c.csv").write_text(f"slide\n{long}\np.tiff\n")
    arguments = ["--store", str(tmp_path / "st"), "--depths", "4"]
    assert main(["encode", str(tmp_path / "c.csv"), *arguments]) == 3
    assert "has a name of 251 bytes" in "".join(capsys.readouterr())
    assert (tmp_path / "st" / "p.zarr").is_dir()
    shelf = shelf_of(tmp_path / ("診" * 79 + ".tiff"), "0", user_folder=tmp_path / "data")
    assert shelf.journal.is_relative_to(tmp_path / "data")


def test_view_without_a_slide_or_a_cohort_is_wrong_usage(capsys):
    assert main(["view"]) == 2
    assert "--cohort DIR" in capsys.readouterr().err


def test_view_says_in_the_terminal_what_is_no_cohort(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["view", "--cohort", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capsys.readouterr().err

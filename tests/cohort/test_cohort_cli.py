"""``napari-hagmil cohort …`` through the front door."""

import csv
import json
import shutil

import pytest

from napari_hagmil.cli import main
from napari_hagmil.cohort import read_cohort
from napari_hagmil.encoders import load_encoder
from napari_hagmil.features.encoding_cost import Rate, Sample, encoding_cost


def told(capsys, *arguments):
    status = main(["cohort", *map(str, arguments)])
    return status, capsys.readouterr()


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_camelyon16_becomes_a_table_and_what_was_left_out_another(tmp_path, capsys):
    put(tmp_path, "training/normal/normal_001.tif", "training/tumor/tumor_001.tif")
    put(tmp_path, "testing/images/test_001.tif", "testing/images/test_002.tif")
    (tmp_path / "testing" / "reference.csv").write_text("test_001,Tumor,IDC,Macro\n")
    table = tmp_path / "cohort.csv"
    status, answer = told(capsys, "from-camelyon16", tmp_path, "--out", table)
    assert status == 0
    assert "3 slides of 3 patients; normal 1, tumor 2" in answer.out
    assert "left out, reference.csv has no row for it: testing/images/test_002.tif" in answer.out
    assert [r.split for r in read_cohort(table).records] == ["train", "train", "test"]
    with (tmp_path / "cohort-left-out.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [
            {"file": "testing/images/test_002.tif", "reason": "reference.csv has no row for it"}
        ]
    (tmp_path / "testing" / "images" / "test_002.tif").unlink()
    told(capsys, "from-camelyon16", tmp_path, "--out", table)
    assert not (tmp_path / "cohort-left-out.csv").exists(), "an old list would be wrong"


def test_the_gdcs_manifest_becomes_a_table_and_json_says_all(tmp_path, capsys):
    names = ["TCGA-KL-8323-01Z-00-DX1.a.svs", "TCGA-A3-3306-01Z-00-DX1.b.svs"]
    put(tmp_path, *names)
    manifest = tmp_path / "gdc_manifest.txt"
    rows = [f"{i}\t{name}\tm{i}\t0\treleased" for i, name in enumerate([*names, "TCGA-x.svs"])]
    manifest.write_text("\n".join(["id\tfilename\tmd5\tsize\tstate", *rows]))
    table = tmp_path / "cohort.csv"
    status, answer = told(
        capsys, "from-gdc", manifest, "--slides", tmp_path, "--out", table, "--json"
    )
    found = json.loads(answer.out)
    assert status == 0
    assert found["classes"] == {"KICH": 1, "KIRC": 1}
    assert found["left_out"][0]["name"] == "TCGA-x.svs"
    assert len(read_cohort(table)) == 2


def test_folders_become_a_table(tmp_path, capsys):
    put(tmp_path, "train/x/a.svs", "train/y/b.svs", "test/x/c.svs", "test/y/d.svs")
    status, answer = told(capsys, "from-folders", tmp_path, "--out", tmp_path / "cohort.csv")
    assert status == 0
    assert "parts: test 2, train 2" in answer.out
    assert read_cohort(tmp_path / "cohort.csv").classes == ("x", "y")


def test_a_folder_that_is_absent_is_one_line(tmp_path, capsys):
    status, answer = told(
        capsys, "from-camelyon16", tmp_path / "nowhere", "--out", tmp_path / "c.csv"
    )
    assert (status, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "c.csv").exists()


@pytest.fixture
def table(tmp_path, phantom):
    for name in ("a.tiff", "b.tiff"):
        shutil.copy(phantom, tmp_path / name)
    path = tmp_path / "cohort.csv"
    path.write_text("slide,label,patient\na.tiff,x,p1\nb.tiff,y,p2\n")
    return path


def test_check_says_what_is_wrong_and_what_encoding_takes(table, capsys):
    (table.parent / "broken.svs").write_bytes(b"no slide")
    table.write_text(table.read_text() + "broken.svs,y,p3\nabsent.svs,x,p4\n")
    status, answer = told(capsys, "check", table, "--rate", 100, "--json")
    found = json.loads(answer.out)
    assert status == 3
    assert found["counts"] == {"": {"x": 2, "y": 2}}
    assert found["magnifications"] == {"40×": 2, "unknown": 1}
    said = " ".join(found["problems"])
    assert "absent.svs does not exist" in said
    assert "broken.svs is neither" in said
    assert "a and b seem to be the same file" in said
    cost = found["encoding"]
    assert cost["hours"] == pytest.approx(cost["patches"] / 100 / 3600)
    assert "100 patches per second, as stated." in cost["assumptions"]


def test_the_estimate_of_all_slides_is_what_encode_keeps(table, capsys, tmp_path):
    (table.parent / "b.tiff").unlink()
    table.write_text("slide,label,patient\na.tiff,x,p1\n")
    _, answer = told(capsys, "check", table, "--rate", 1, "--sample", 0, "--json")
    estimated = json.loads(answer.out)["encoding"]
    from napari_hagmil.features.layout import feature_tree, lay_out
    from napari_hagmil.slide import open_slide

    encoder = load_encoder("efficientnet-lite0")
    with open_slide(table.parent / "a.tiff") as slide:
        tree = feature_tree(lay_out(slide, (1.0, 0.5, 0.25), encoder.patch_size).quadtree)
    patches = sum(len(nodes) for nodes in tree.nodes)
    assert estimated["patches"] == patches
    assert estimated["disk_bytes"] == patches * encoder.n_features * 4


@pytest.mark.slow
def test_a_rate_that_is_not_stated_is_measured(table, capsys):
    _, answer = told(capsys, "check", table, "--sample", 1)
    assert "patches per second, measured here on" in answer.out
    assert "Tissue was found on 1 of 2 slides" in answer.out


def test_slides_that_were_not_sampled_count_by_their_area():
    cost = encoding_cost(
        [10.0, 20.0, 30.0], [Sample(100, 10.0), Sample(500, 20.0)], Rate(10.0, "as stated"), 4096
    )
    assert cost.patches == 600 + 600
    assert cost.hours == pytest.approx(1200 / 10 / 3600)
    assert cost.disk_bytes == 1200 * 4096
    assert cost.assumptions[0].startswith("Tissue was found on 2 of 3 slides (20.0 patches")


def test_check_without_an_estimate_loads_no_encoder(table, capsys, monkeypatch):
    monkeypatch.setattr("napari_hagmil.encoders.load_encoder", None)
    status, answer = told(capsys, "check", table, "--no-estimate")
    assert status == 3
    assert "encoding:" not in answer.out

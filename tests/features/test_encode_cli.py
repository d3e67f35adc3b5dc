"""``encode`` as its users call it."""

import json

import numpy as np
import pytest
import torch

from napari_hagmil import encoders
from napari_hagmil.cli import main
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.encoders import registry
from napari_hagmil.features import EncodeConfig, encode_cohort, open_store
from napari_hagmil.features.store import store_path
from napari_hagmil.phantom import PhantomConfig, write_phantom


class Colours:
    name, weights_sha256, n_features, patch_size = "colours", "abc", 3, 128

    def __init__(self, device, weights=None):
        pass

    def __call__(self, patches):
        return torch.from_numpy(patches.reshape(len(patches), -1, 3).mean(1).astype(np.float32))


@pytest.fixture(autouse=True)
def colours(monkeypatch):
    monkeypatch.setitem(registry.ENCODERS, "colours", Colours)
    assert encoders.ENCODERS is registry.ENCODERS


@pytest.fixture
def cohort(phantom, slides_dir, tmp_path):
    table = tmp_path / "cohort.csv"
    broken = slides_dir / "broken" / "broken.svs"
    table.write_text(f"slide,label,patient,scanner\n{broken},tumor,p1,a\n{phantom},tumor,p2,b\n")
    return table


def encode(cohort, store, *more):
    return main(["encode", str(cohort), "--store", str(store), "--encoder", "colours", *more])


def test_a_line_per_slide_and_status_3_where_one_failed(cohort, tmp_path, capsys):
    store = tmp_path / "store"
    assert encode(cohort, store, "--depths", "1,0.5") == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Columns that are not used: scanner."
    assert lines[1].startswith("[1/2] broken: unreadable: broken.svs")
    assert lines[2].startswith("[2/2] phantom: 245 patches")
    assert lines[3] == f"1 of 2 slides are in {store}"
    assert open_store(store, "phantom").mpp == (1.0, 0.5)


def test_the_answer_in_json_names_every_slide(cohort, tmp_path, capsys):
    assert encode(cohort, tmp_path / "store", "--depths", "1", "--json") == 3
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert [(s["name"], s["kind"], s["state"]) for s in answer["slides"]] == [
        ("broken", "failed", "unreadable"),
        ("phantom", "done", "done"),
    ]
    assert captured.err == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--import", "clam"], "belong together"),
        (["--features", "x"], "belong together"),
        (["--device", "tpu"], "a device is one of"),
        (["--encoder", "none"], "encoder 'none' is not known"),
    ],
)
def test_what_does_not_fit_is_one_line(cohort, tmp_path, capsys, options, says):
    assert encode(cohort, tmp_path / "store", *options) == 1
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("depths", ["1,0.7", "0", "x", "-1"])
def test_depths_that_do_not_halve_are_wrong_usage(cohort, tmp_path, depths):
    with pytest.raises(SystemExit) as stop:
        encode(cohort, tmp_path / "store", f"--depths={depths}")
    assert stop.value.code == 2


@pytest.mark.parametrize(
    "verb", [("encode", "--import"), ("features", "import", "--from")], ids=["encode", "import"]
)
def test_official_features_need_no_slides(tmp_path, capsys, verb):
    table = tmp_path / "cohort.csv"
    table.write_text("slide,label,patient\nelsewhere/a.svs,x,p1\nelsewhere/b.svs,y,p2\n")
    for i, depth in enumerate(("level_2", "level_1_corresponding", "level_0_corresponding")):
        folder = tmp_path / f"feats_{depth}" / "pt_files"
        folder.mkdir(parents=True)
        torch.save(torch.ones(2 * 4**i, 8), folder / "a.pt")
    store = tmp_path / "store"
    words = [verb[-1], "official", "--features", str(tmp_path)]
    assert main([*verb[:-1], str(table), "--store", str(store), *words]) == 3
    assert "[1/2] a: 42 patches" in capsys.readouterr().out
    assert open_store(store, "a").encoder.name == "resnet50-layer3"


@pytest.mark.parametrize("source", ["slides", "slides/*.tiff", "slides.csv"])
def test_slides_without_labels_are_encoded_from_a_table_a_folder_or_a_glob(
    phantom, tmp_path, capsys, monkeypatch, source
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "one.tiff").symlink_to(phantom)
    (tmp_path / "slides.csv").write_text("slide\nslides/one.tiff\n")
    assert encode(source, tmp_path / "store", "--depths", "1") == 0
    assert "[1/1] one: 49 patches" in capsys.readouterr().out


STATES = {
    "missing_mpp": ("histoprep-slide.jpeg", "give --mpp"),
    "unreadable": ("broken/broken.svs", ""),
}


@pytest.mark.parametrize("state", STATES)
def test_each_slide_has_a_state(slides_dir, tmp_path, capsys, state):
    slide, _ = STATES[state]
    assert encode(slides_dir / slide, tmp_path / "store", "--json") == 3
    (told,) = json.loads(capsys.readouterr().out)["slides"]
    assert told["state"] == state


def test_a_slide_without_tissue_says_so(tmp_path, capsys):
    import tifffile

    slide = tmp_path / "glass.tiff"
    white = np.full((1024, 1024, 3), 245, np.uint8)
    tifffile.imwrite(slide, white, photometric="rgb", tile=(256, 256), resolution=(4e4, 4e4))
    assert encode(slide, tmp_path / "store", "--mpp", "0.25") == 3
    assert "[1/1] glass: no_tissue: glass.tiff shows no tissue" in capsys.readouterr().out


def outline(folder, name, side):
    folder.mkdir(exist_ok=True)
    ring = [[0, 0], [side, 0], [side, side], [0, side], [0, 0]]
    (folder / f"{name}.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))


def test_tissue_comes_from_outlines_where_there_are_any(phantom, slides_dir, tmp_path, capsys):
    other = slides_dir / "CMU-1-Small-Region.svs"
    (tmp_path / "table.csv").write_text(f"slide\n{phantom}\n{other}\n")
    words = [tmp_path / "table.csv", tmp_path / "store", "--depths", "1"]
    drawn = ["--tissue-dir", str(tmp_path / "outlines")]
    outline(tmp_path / "outlines", "phantom", 1023)
    assert encode(*words, *drawn) == 0
    said = capsys.readouterr().out
    assert "phantom: 4 patches" in said
    assert "CMU-1-Small-Region: Its tissue was detected: it has no outlines." in said
    # The same outlines again are nothing new; others, or none, are other features.
    assert encode(*words, *drawn) == 0
    outline(tmp_path / "outlines", "phantom", 511)
    assert encode(*words, *drawn) == 3
    assert "already have the tissue of the outlines" in capsys.readouterr().out
    assert encode(*words) == 3
    assert ", not as it was detected" in capsys.readouterr().out


def test_a_folder_without_any_outline_is_refused(phantom, tmp_path, capsys):
    outline(tmp_path / "outlines", "another", 100)
    assert encode(phantom, tmp_path / "store", "--tissue-dir", str(tmp_path / "outlines")) == 1
    assert "name the files after the slides: phantom.geojson" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("when", "says"),
    [("laid out", "that are kept already have another slide"),
     ("encoded", "was written to or replaced while it was read")],
)  # fmt: skip
def test_a_slide_that_is_replaced_while_it_is_encoded_fails_and_leaves_no_mixture(
    tmp_path, when, says
):
    slide, new = tmp_path / "p.tiff", tmp_path / "new.tiff"
    for seed, path in enumerate((slide, new)):
        write_phantom(path, PhantomConfig(seed=seed, size=1024))
    records, store = [SlideRecord(slide, "", "p", name="p")], tmp_path / "store"
    config = EncodeConfig(mpp=(1.0,))
    ends = []
    for event in encode_cohort(records, store, Colours("cpu"), config):
        if event.kind == when and new.exists():
            new.replace(slide)
        ends.append(event)
    assert (ends[-1].kind, ends[-1].state) == ("failed", "failed")
    assert says in ends[-1].message
    assert not store_path(store, "p").exists()

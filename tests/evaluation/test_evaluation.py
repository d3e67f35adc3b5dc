"""``evaluate``, on slides whose features say where the lesion is."""

import csv
import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from json_schemas import require_schemas
from napari_hagmil.cli import main
from napari_hagmil.cohort import SlideRecord, read_cohort
from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.evaluation.calibration import calibration
from napari_hagmil.evaluation.evaluate import (
    SlideFailure,
    evaluate_cohort,
    evaluate_slide,
    live,
    stored,
)
from napari_hagmil.evaluation.figures import froc_png, reliability_png, roc_png
from napari_hagmil.evaluation.localisation import meeting
from napari_hagmil.evaluation.metrics import youden_threshold
from napari_hagmil.evaluation.summary import BudgetPoint, summarise
from napari_hagmil.features import (
    EncodeConfig,
    FeatureKey,
    encode_cohort,
    feature_tree,
    open_store,
    store_path,
)
from napari_hagmil.features.store_writer import StoreWriter
from napari_hagmil.models import (
    BagOutput,
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    IATConfig,
    save_bundle,
)
from napari_hagmil.quadtree import PatchGrid, Quadtree, children, z_order

ENCODER = EncoderFacts("fake", "abc", 2)
GRIDS = (PatchGrid(32, 4.0, (6, 6)), PatchGrid(32, 2.0, (12, 12)))
STAGE = IATConfig(n_features=2, widths=(8,), n_classes=2, heads=2)


class Finder(torch.nn.Module):
    """Attends to lesions, and calls a slide tumour when it sees one."""

    def forward(self, bag):
        logits = torch.stack([torch.tensor(0.0), 8 * bag[:, 0].max() - 4])
        return BagOutput(logits, torch.softmax(20 * bag[:, 0] + 0.01 * bag[:, 1], 0), bag[0])


@pytest.fixture(scope="module")
def model():
    config = BundleConfig(
        name="finder",
        encoder=ENCODER,
        patch_size=32,
        mpp=(1.0, 0.5),
        classes=("normal", "tumor"),
        stages=(STAGE, STAGE),
        budget=(2,),
        thresholds={"tumor": 0.9},
    )
    made = CascadeModel(config)
    made.stages = torch.nn.ModuleList([Finder(), Finder()])
    return made


def geojson(boxes):
    """Boxes (y0, x0, y1, x1) as outlines, (x, y)."""
    features = [
        {
            "type": "Feature",
            "properties": {},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]],
            },
        }
        for y0, x0, y1, x1 in boxes
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def make_store(folder, name, boxes, rng, *, placed=True):
    """Features of a slide: how much of a lesion there is, and noise."""
    nodes = np.argwhere(np.ones(GRIDS[0].shape, bool)).astype(np.int64)
    nodes = nodes[z_order(nodes)]
    tree = feature_tree(Quadtree(GRIDS, (nodes, children(nodes))))
    path = store_path(folder, name)
    key = FeatureKey("f", "tiff", 0.25, ENCODER, 32, (1.0, 0.5))
    writer = StoreWriter.begin(path, key, tree, placed=placed)
    rings = [np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)]) - 0.5 for y0, x0, y1, x1 in boxes]
    for chunk in writer.missing():
        places = chunk.nodes
        seen = np.zeros(len(places))
        for ring in rings:
            seen += meeting((ring, ()), GRIDS[chunk.depth], places)
        features = np.stack([seen, rng.random(len(places))], axis=1)
        writer.write(chunk, torch.from_numpy(features.astype(np.float32)))
    writer.finish()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Twelve slides; tumours with three lesions far apart, one of which is beyond the budget."""
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    lines = ["slide,label,patient,split,truth"]
    for i in range(12):
        boxes = [(10, 10, 60, 60), (300, 300, 350, 350), (650, 650, 700, 700)] if i % 2 else []
        make_store(folder / "store", f"s{i}", boxes, rng)
        (folder / f"s{i}.geojson").write_text(geojson(boxes))
        split = "train" if i < 2 else "test"
        lines.append(
            f"s{i}.svs,{('normal', 'tumor')[i % 2]},p{i // 2},{split},{folder}/s{i}.geojson"
        )
    (folder / "cohort.csv").write_text("\n".join(lines))
    return folder


def records(cohort):
    table = cohort / "cohort.csv"
    return read_cohort(table, classes=("normal", "tumor"), files=False).records


def test_what_the_cascade_met_is_measured_by_depth_and_budget(cohort, model):
    found = list(
        evaluate_cohort(
            records(cohort), model, stored(cohort / "store", model), factors=(0.5, 1, 2)
        )
    )
    tumour = found[1]
    assert tumour.called == "tumor"
    assert [run.factor for run in tumour.runs] == [0.5, 1, 2]
    # At depth 0 all is looked at; below it, as many lesions as patches were followed.
    assert [sum(run.lesions[0]) for run in tumour.runs] == [3, 3, 3]
    assert [sum(run.lesions[1]) for run in tumour.runs] == [1, 2, 3]
    assert [run.encoded for run in tumour.runs] == [(36, 4), (36, 8), (36, 16)]
    assert tumour.attention_auc == (1.0, 1.0)
    assert tumour.tissue == (36, 144)
    assert found[0].called == "normal"
    assert found[0].own.lesions == ()


def test_the_figures_are_those_of_the_slides(cohort, model):
    found = list(
        evaluate_cohort(
            records(cohort), model, stored(cohort / "store", model), factors=(0.5, 1, 2)
        )
    )
    summary = summarise(
        found, ("normal", "tumor"), thresholds={"strict": {"tumor": 0.999}}, rounds=50
    )
    assert (summary.slides, summary.patients) == (12, 6)
    assert summary.auc == (1, 1, 1)
    assert summary.depth_auc == (1, 1)
    assert [called.rule for called in summary.called] == ["most probable", "strict"]
    assert summary.called[0].confusion.tolist() == [[6, 0], [0, 6]]
    assert summary.called[1].confusion.tolist() == [[6, 0], [6, 0]]
    assert [p.lesion_recall for p in summary.budgets] == pytest.approx([1 / 3, 2 / 3, 1])
    assert [p.encoded for p in summary.budgets] == [40, 44, 52]
    assert (summary.lesions, summary.slides_with_outlines) == (18, 6)
    assert summary.lesion_recall == pytest.approx((1, 2 / 3))
    assert summary.tissue == 180


def test_chance_spends_the_same_budget_and_meets_fewer_lesions(cohort, model):
    source = stored(cohort / "store", model)
    found = list(evaluate_cohort(records(cohort), model, source, chance=0))
    again = list(evaluate_cohort(records(cohort), model, source, chance=0))
    assert all(slide.chance.encoded == slide.own.encoded for slide in found)
    assert [s.chance.lesions for s in found] == [s.chance.lesions for s in again]
    summary = summarise(found, ("normal", "tumor"), rounds=50)
    assert summary.chance.encoded == summary.budgets[0].encoded
    assert summary.chance.lesion_recall < summary.lesion_recall[-1]


def test_the_size_of_a_lesion_is_told_in_micrometres(cohort, model):
    tumour = evaluate_slide(records(cohort)[1], model, stored(cohort / "store", model))
    # Squares of 50 px at 0.25 µm: as large as circles of 14.1 µm.
    assert tumour.diameters_um == pytest.approx([50 * 0.25 * (4 / np.pi) ** 0.5] * 3)


def test_a_slide_without_features_is_told_and_the_rest_goes_on(cohort, model):
    gone = SlideRecord(Path("gone.svs"), "tumor", "p")
    found = list(
        evaluate_cohort([gone, records(cohort)[0]], model, stored(cohort / "store", model))
    )
    assert isinstance(found[0], SlideFailure)
    assert "run encode" in found[0].why
    assert found[1].called == "normal"


def test_features_without_places_are_not_compared_with_outlines(cohort, model, tmp_path):
    make_store(tmp_path, "s1", [(10, 10, 60, 60)], np.random.default_rng(0), placed=False)
    found = evaluate_slide(records(cohort)[1], model, stored(tmp_path, model))
    assert found.own.lesions == ()
    assert "no places" in found.note


def test_features_of_other_depths_are_refused(cohort, model, tmp_path):
    tree = feature_tree(open_store(cohort / "store", "s0").quadtree)
    key = FeatureKey("f", "tiff", 0.25, ENCODER, 32, (2.0, 1.0))
    writer = StoreWriter.begin(store_path(tmp_path, "s0"), key, tree)
    for chunk in writer.missing():
        writer.write(chunk, torch.zeros(len(chunk.nodes), 2))
    writer.finish()
    with pytest.raises(FeatureStoreError, match="encode with the model's depths"):
        evaluate_slide(records(cohort)[0], model, stored(tmp_path, model))


@pytest.fixture(scope="module")
def evaluated(cohort, tmp_path_factory):
    """The command, with a bundle of untrained stages."""
    out = tmp_path_factory.mktemp("evaluated")
    torch.manual_seed(0)
    config = BundleConfig(
        name="untrained",
        encoder=ENCODER,
        patch_size=32,
        mpp=(1.0, 0.5),
        classes=("normal", "tumor"),
        stages=(STAGE, STAGE),
        budget=(2,),
    )
    save_bundle(CascadeModel(config), out / "untrained.hagmil")
    status = main(
        [
            *("evaluate", str(cohort / "cohort.csv"), "--store", str(cohort / "store")),
            *("--model", str(out / "untrained.hagmil"), "--out", str(out / "out")),
            *("--device", "cpu", "--chance", "3"),
        ]
    )
    assert status == 0
    return out


def test_evaluate_leaves_every_file_and_takes_the_test_slides(evaluated):
    out = evaluated / "out"
    assert {path.name for path in out.iterdir()} == {
        "manifest.json",
        "metrics.json",
        "predictions.csv",
        "confusion.csv",
        "budgets.csv",
        "lesions.csv",
        "roc.png",
        "reliability.png",
        "froc.png",
        "report.md",
    }
    metrics = json.loads((out / "metrics.json").read_text())
    assert require_schemas(out) == {"metrics", "manifest"}
    assert (metrics["split"], metrics["slides"], metrics["source"]) == ("test", 10, "store")
    assert set(metrics["auc"]) == {"value", "low", "high"}
    assert metrics["failed"] == []
    assert [point["factor"] for point in metrics["budgets"]] == [0.25, 0.5, 1, 2, 4]


def test_the_tables_agree_with_the_figures(evaluated):
    out = evaluated / "out"
    metrics = json.loads((out / "metrics.json").read_text())
    with (out / "predictions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["slide"] for row in rows] == [f"s{i}" for i in range(2, 12)]
    right = np.mean([row["label"] == row["called"] for row in rows])
    assert metrics["called"][0]["accuracy"]["value"] == pytest.approx(right)
    assert all(float(r["p_normal"]) + float(r["p_tumor"]) == pytest.approx(1) for r in rows)
    with (out / "lesions.csv").open(encoding="utf-8") as file:
        lesions = list(csv.DictReader(file))
    assert len(lesions) == metrics["lesions"] == 15
    met = np.mean([int(lesion["met_depth1"]) for lesion in lesions])
    assert met == pytest.approx(metrics["lesion_recall"][-1])
    by_chance = np.mean([int(lesion["met_by_chance"]) for lesion in lesions])
    assert by_chance == pytest.approx(metrics["chance"]["lesion_recall"])
    assert all(int(r["finest_encoded"]) <= int(r["finest_tissue"]) == 144 for r in rows)
    report = (out / "report.md").read_text()
    assert "spent at random" in report
    assert f"| AUC | {metrics['auc']['value']:.3f} |" in report
    assert "](froc.png)" in report


def test_an_evaluation_again_without_outlines_leaves_no_old_picture(evaluated, cohort, tmp_path):
    table = tmp_path / "plain.csv"
    with (cohort / "cohort.csv").open() as file:
        lines = [",".join(line.strip().split(",")[:4]) for line in file]
    table.write_text("\n".join(lines))
    out = tmp_path / "out"
    out.mkdir()
    (out / "froc.png").write_bytes(b"old")
    (out / "notes.txt").write_text("mine")
    words = ["--store", str(cohort / "store"), "--model", str(evaluated / "untrained.hagmil")]
    assert main(["evaluate", str(table), *words, "--out", str(out), "--split", "all"]) == 0
    assert not (out / "froc.png").exists()
    assert (out / "notes.txt").read_text() == "mine"
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["slides"], metrics["lesion_recall"]) == (12, [])
    assert metrics["budgets"][0]["lesion_recall"] is None


def test_slides_of_one_class_leave_the_auc_undefined_and_say_so(
    evaluated, cohort, tmp_path, capsys
):
    table = tmp_path / "one.csv"
    lines = (cohort / "cohort.csv").read_text().splitlines()
    table.write_text("\n".join([lines[0], lines[-1]]))
    words = ["--store", str(cohort / "store"), "--model", str(evaluated / "untrained.hagmil")]
    assert main(["evaluate", str(table), *words, "--out", str(tmp_path / "out")]) == 0
    assert "AUC not defined" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["auc"] == {"value": None, "low": None, "high": None}


def test_a_failed_slide_gives_status_3_and_stands_in_the_report(
    evaluated, cohort, tmp_path, capsys
):
    table = tmp_path / "more.csv"
    table.write_text((cohort / "cohort.csv").read_text() + "\ngone.svs,tumor,p99,test,\n")
    words = ["--store", str(cohort / "store"), "--model", str(evaluated / "untrained.hagmil")]
    assert main(["evaluate", str(table), *words, "--out", str(tmp_path / "out")]) == 3
    assert "[11/11] gone: failed: the features of gone are not in" in capsys.readouterr().out
    assert "Not evaluated: 1 slides" in (tmp_path / "out" / "report.md").read_text()


def test_the_threshold_is_chosen_on_validation_slides_alone(evaluated, cohort, tmp_path):
    table = tmp_path / "cohort.csv"
    text = (cohort / "cohort.csv").read_text()
    table.write_text(text.replace(",p1,test", ",p1,val").replace(",p2,test", ",p2,val"))
    words = ["--store", str(cohort / "store"), "--model", str(evaluated / "untrained.hagmil")]
    out = tmp_path / "out"
    assert main(["evaluate", str(table), *words, "--out", str(out), "--youden"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["slides"] == 6
    assert [c["rule"] for c in metrics["called"]] == [
        "most probable",
        "Youden, chosen on validation",
    ]
    val = tmp_path / "val"
    assert main(["evaluate", str(table), *words, "--out", str(val), "--split", "val"]) == 0
    chosen = metrics["thresholds"]["Youden, chosen on validation"]["tumor"]
    scores = {label: [] for label in ("normal", "tumor")}
    with (val / "predictions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores[row["label"]].append(float(row["p_tumor"]))
    wanted = youden_threshold([0] * 2 + [1] * 2, scores["normal"] + scores["tumor"])
    assert chosen == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--youden", "--split", "all"], "would choose it for themselves"),
        (["--youden"], "no slide of the split 'val'"),
        (["--split", "val"], "no slide of the split 'val'"),
        (["--model", "nowhere"], "neither a bundle on disk"),
        (["--model", "demo"], "cannot use 'fake'"),
    ],
)
def test_what_does_not_fit_is_one_line(evaluated, cohort, tmp_path, capsys, more, says):
    words = ["--store", str(cohort / "store"), "--model", str(evaluated / "untrained.hagmil")]
    table = str(cohort / "cohort.csv")
    assert main(["evaluate", table, *words, "--out", str(tmp_path / "out"), *more]) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Shades:
    """An encoder whose features are darkness and redness."""

    name, weights_sha256, n_features, patch_size = "fake", "abc", 2, 128

    def __call__(self, patches):
        mean = patches.reshape(len(patches), -1, 3).mean(1) / 255
        return torch.from_numpy(np.stack([1 - mean.mean(1), mean[:, 0]], 1).astype(np.float32))


def test_live_slides_give_what_their_stored_features_give(phantom, model, tmp_path):
    wider = CascadeModel(replace(model.config, patch_size=128))
    wider.stages = model.stages
    record = SlideRecord(phantom, "tumor", "p", truth=phantom.with_suffix(".geojson"))
    for event in encode_cohort([record], tmp_path, Shades(), EncodeConfig(mpp=(1.0, 0.5))):
        assert event.kind != "failed", event.message
    kept = evaluate_slide(record, wider, stored(tmp_path, wider))
    read = evaluate_slide(record, wider, live(wider, Shades()))
    assert read.own.encoded == kept.own.encoded
    assert read.own.lesions == kept.own.lesions
    assert len(read.own.lesions[0]) == 2
    assert (read.probabilities == kept.probabilities).all()
    assert read.tissue == kept.tissue


def test_a_truth_drawn_in_asap_gives_the_lesions_of_the_same_outlines_in_geojson(
    phantom, model, tmp_path
):
    wider = CascadeModel(replace(model.config, patch_size=128))
    wider.stages = model.stages
    geojson = phantom.with_suffix(".geojson")
    corners = [
        "".join(f'<Coordinate X="{x}" Y="{y}"/>' for x, y in lesion["geometry"]["coordinates"][0])
        for lesion in json.loads(geojson.read_text())["features"]
    ]
    asap = tmp_path / "phantom.xml"
    areas = "".join(f'<Annotation PartOfGroup="_0">{some}</Annotation>' for some in corners)
    asap.write_text(f"<ASAP_Annotations>{areas}</ASAP_Annotations>")
    lesions = [
        evaluate_slide(
            SlideRecord(phantom, "tumor", "p", truth=truth), wider, live(wider, Shades())
        ).own.lesions
        for truth in (geojson, asap)
    ]
    assert lesions[0] == lesions[1]
    assert len(lesions[1][0]) == 2


def picture(content):
    with Image.open(BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_figures_are_drawn_the_same_each_time_and_show_their_data():
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=60)
    p = rng.dirichlet((1, 1, 1), 60)
    better = p + 2 * np.eye(3)[labels]
    roc = [roc_png("abc", labels, q / q.sum(1, keepdims=True)) for q in (p, p, better)]
    assert roc[0] == roc[1]
    assert (picture(roc[0]) != picture(roc[2])).any()
    points = [BudgetPoint(f, 100 * f, 50 * f, 0.8, f / 4) for f in (0.25, 0.5, 1, 2, 4)]
    for content in (*roc, reliability_png(calibration(labels, p)), froc_png(points, 2000.0)):
        shown = picture(content)
        assert shown.shape[0] > 600
        assert (shown == (0, 0x72, 0xB2)).all(-1).sum() > 100  # the first series' colour

"""Protocols: written down, carried out, put into tables; and through the front door."""

import csv
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from puzzle_slides import FACTS, World, puzzles

from json_schemas import require_schemas
from napari_hagmil.cli import main
from napari_hagmil.cohort import Split
from napari_hagmil.errors import BundleError, FeatureStoreError, ProtocolError
from napari_hagmil.models import load_bundle
from napari_hagmil.models.baselines import BASELINES
from napari_hagmil.training import TrainConfig
from napari_hagmil.training.protocol.figure3 import figure3_rows
from napari_hagmil.training.protocol.fitting import build, stage_training
from napari_hagmil.training.protocol.methods import Method
from napari_hagmil.training.protocol.paper import PaperSettings, paper_methods
from napari_hagmil.training.protocol.plan import Protocol, WantedFeatures
from napari_hagmil.training.protocol.runs import ProtocolRun, RunRecord, carry_out, chosen_budget
from napari_hagmil.training.protocol.tables import as_markdown, method_rows, write_tables
from napari_hagmil.training.protocol.toml_file import load_protocol
from napari_hagmil.untrusted import parse_json

PROTOCOL = """
[protocol]
scheme = "holdout"
repeats = 2
sweep = [[1, 1], [2, 2]]

[defaults]
epochs = 2
learning_rate = 1e-2
instance_loss = "none"

[[method]]
name = "HAG-MIL"
budget = [2, 2]
options = { widths = [16], heads = 2, instance_dim = 8, gate_dim = 8, attention = "exact" }

[[method]]
name = "mean pooling"
model = "mean_pooling"
options = { hidden = 8 }
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "protocol.toml"
        path.write_text(text)
        return path

    return write


def test_a_protocol_file_says_all_that_methods_share_and_what_is_their_own(written):
    protocol = load_protocol(written(PROTOCOL))
    assert [method.name for method in protocol.methods] == ["HAG-MIL", "mean pooling"]
    assert protocol.sweep == ((1, 1), (2, 2))
    assert protocol.repeats == 2
    hagmil, pooling = protocol.methods
    assert hagmil.budget == (2, 2)
    assert hagmil.training.epochs == pooling.training.epochs == 2
    assert hagmil.training.loss.instance_loss == "none"
    assert pooling.on(3) == (2,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[protocol", "cannot be read as TOML"),
        ("[protocols]\n", "'protocols'"),
        ("[[method]]\nname = 'a'\nlearnig_rate = 1.0\n", "'learnig_rate'"),
        ("[[method]]\nmodel = 'iat'\n", "without a name"),
        ("[[method]]\nname = 'a'\nmodel = 'vit'\n", "'vit'"),
        ("[[method]]\nname = 'a'\nschedule = 'fast'\n", "'fast'"),
        ("[[method]]\nname = 'A b'\n[[method]]\nname = 'a-b'\n", "two methods"),
        (
            "[[method]]\nname = 'a'\nschedule = 'guided'\n",
            "no weight for its guidance",
        ),
        (
            "[[method]]\nname = 'a'\nguidance = 1.0\n",
            "sets guidance, which has no effect",
        ),
        ("[[method]]\nname = 'a'\nschedule = 'stagewise'\nfeedback = 1.0\n", "learn at once"),
        ("[[method]]\nname = 'a'\nnarrowing = 3\n", "need each other"),
        ("[protocol]\nscheme = 'thirds'\n", "'thirds'"),
        ("[protocol]\nrepeats = 0\n", "0 repeats"),
        ("[protocol]\nresample = 'both'\n", "'both'"),
        ("[protocol]\nthreshold = 'f1'\n", "'f1'"),
        ("[features]\nencodr = 'a'\n", "'encodr'"),
        ("[protocol]\nfolds = 3\n", "no effect unless the scheme is 'k-fold'"),
        ("[[method]]\nname = 'a'\nchoose_budget = true\n", "no sweep to choose from"),
        ("[protocol]\nsweep = [[1]]\n[[method]]\nname = 'a'\nmodel = 'ab_mil'\n", "a sweep, which"),
    ],
)
def test_what_does_not_fit_in_a_protocol_is_named(written, text, says):
    with pytest.raises(ProtocolError, match=says):
        load_protocol(written(text))


def test_labels_of_the_papers_model_are_smoothed_unless_a_file_says_otherwise(written):
    text = "[[method]]\nname = 'a'\n[[method]]\nname = 'b'\nlabel_smoothing = 0.0\n"
    plain, none = load_protocol(written(text)).methods
    smoothing = [stage_training(plain, depth, 3, 0).loss.label_smoothing for depth in range(3)]
    assert smoothing == [0.1, 0.1, 0.0]
    assert none.training.loss.label_smoothing == 0


def test_without_methods_a_protocol_leaves_them_to_the_paper(written):
    assert load_protocol(written("[protocol]\nsweep = [[1, 1]]\n")).methods == ()
    names = [method.name for method in paper_methods()]
    assert names[0] == "HAG-MIL"
    assert set(BASELINES) - set(names) == {"evidence_pooling"}  # ours, not the paper's
    assert sum(name.startswith("HAG-MIL, ") for name in names) == 5
    assert "HAG-MIL, aggregation gated" not in names  # HAG-MIL itself
    with pytest.raises(ProtocolError, match=r"sets epochs in \[defaults\], which has"):
        load_protocol(written("[defaults]\nepochs = 3\n"))


@pytest.mark.parametrize("method", paper_methods(), ids=lambda method: method.name)
def test_every_method_of_the_paper_can_be_made_for_three_depths(method):
    with torch.device("meta"):
        model = build(method, FACTS, 0)
    papers = FACTS.mpp if method.model == "iat" else FACTS.mpp[1:2]  # baselines at level 1
    assert model.config.mpp == papers


def test_the_papers_methods_fit_the_features_that_there_are():
    for n_depths, n_shared, depth in [(3, 2, 1), (3, 1, 0), (2, 2, 0), (1, 1, 0)]:
        methods = paper_methods(PaperSettings(n_depths, n_shared))
        assert methods[0].budget == (7000,) * (n_depths - 1)
        assert {method.depths for method in methods if method.model != "iat"} == {(depth,)}
        facts = replace(FACTS, mpp=FACTS.mpp[:n_depths], n_shared=n_shared)
        with torch.device("meta"):
            assert all(build(method, facts, 0) for method in methods)


def test_clam_tells_subtypes_apart_where_there_are_some():
    for subtyping in (False, True):
        methods = paper_methods(PaperSettings(subtyping=subtyping))
        found = [m.training.loss.subtyping for m in methods if m.model.startswith("clam")]
        assert found == [subtyping] * 2


def test_depths_that_the_features_lack_are_refused():
    with pytest.raises(BundleError, match="choose among 0 … 2"):
        build(Method("deep", depths=(2, 3), budget=(1,)), FACTS, 0)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_trains_reads_and_comes_back_as_a_bundle(name, tmp_path):
    method = load_method(name)
    slides = [puzzle.slide for puzzle in puzzles(6, 3, World.draw(0))]
    run = ProtocolRun(method, Split((0, 1), (2, 3), (4, 5)), 0, tmp_path)
    record = list(carry_out(run, slides, FACTS))[-1]
    assert isinstance(record, RunRecord)
    model = load_bundle(tmp_path / "model.hagmil")
    assert model.config.stages[0].model == name
    assert model.config.training["test"]["patches"] == record.figures["patches"]
    again = list(carry_out(run, slides, FACTS))
    assert again == [record]  # on record already: nothing is trained


def test_a_bundle_trained_without_a_bound_of_the_gradient_can_be_read_again(tmp_path):
    method = load_method("mean_pooling")
    method = replace(method, training=replace(method.training, clip=float("inf")))
    slides = [puzzle.slide for puzzle in puzzles(6, 3, World.draw(0))]
    # No class but one is tested, so that the AUC is not defined either.
    test = tuple(i for i, slide in enumerate(slides) if slide.label == slides[4].label)[-1:]
    run = ProtocolRun(method, Split((0, 1), (2, 3), test), 0, tmp_path)
    record = list(carry_out(run, slides, FACTS))[-1]
    assert np.isnan(record.figures["auc"])
    told = load_bundle(tmp_path / "model.hagmil").config.training
    assert told["method"]["training"]["clip"] == "inf"
    parse_json((tmp_path / "run.json").read_text())
    (again,) = carry_out(run, slides, FACTS)
    assert repr(again) == repr(record)


def load_method(name):
    width = "widths" if name.endswith("ab_mil") else "hidden"
    options = {width: [16] if width == "widths" else 16}
    return Method(name, model=name, options=options, depths=(0,), training=TrainConfig(epochs=1))


def test_k_in_use_stands_beside_k_of_training():
    protocol = Protocol((Method("one"), Method("two")))
    records = [
        RunRecord("one", "a", {"auc": 0.8}, budget=[4, 4], training_budget=[8, 8]),
        RunRecord("one", "b", {"auc": 0.9}, budget=[8, 8], training_budget=[8, 8]),
        RunRecord("two", "a", {"auc": 0.7}),
    ]
    lines = as_markdown(method_rows(protocol, records), protocol).splitlines()
    assert "| one | 4, 4 (trained: 8, 8); 8, 8 | **0.850 ± 0.071** | 2 |" in lines
    assert "| two |  | *0.700 ± 0.000* | 1 |" in lines


def test_a_chosen_budget_is_the_best_on_validation_and_the_cheapest_of_equals():
    auc_of = {(8, 8): 0.8, (2, 2): 0.9, (4, 4): 0.9, (16, 16): 0.7}

    def read(model, slides, budget):
        labels = np.array([0] * 10 + [1])
        scores = np.arange(11) / 11
        scores[-1] = auc_of[budget] - 0.05
        patches = np.full(11, budget[0])
        return SimpleNamespace(
            labels=labels, decisive=np.stack([1 - scores, scores], 1), patches=patches
        )

    model = SimpleNamespace(config=SimpleNamespace(budget=(8, 8)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_hagmil.training.protocol.runs.predict_slides", read)
        assert chosen_budget(model, [], [(4, 4), (2, 2), (16, 16)]) == (2, 2)
        assert chosen_budget(model, [], []) == (8, 8)


def test_a_method_that_chooses_its_budget_is_read_with_what_it_chose(tmp_path):
    options = {"widths": [16], "heads": 2, "instance_dim": 8, "gate_dim": 8, "attention": "exact"}
    method = Method("chosen", options=options, budget=(3, 3), training=TrainConfig(epochs=1))
    method = replace(method, choose_budget=True)
    slides = [puzzle.slide for puzzle in puzzles(12, 3, World.draw(0))]
    run = ProtocolRun(method, Split((0, 1), tuple(range(2, 8)), (8, 9, 10, 11)), 0, tmp_path)
    record = list(carry_out(run, slides, FACTS, [(1, 1), (2, 2)]))[-1]
    assert record.training_budget == [3, 3]
    assert tuple(record.budget) in {(1, 1), (2, 2), (3, 3)}
    assert load_bundle(tmp_path / "model.hagmil").config.budget == tuple(record.budget)
    if record.budget != [3, 3]:
        same = next(entry for entry in record.sweep if entry["budget"] == record.budget)
        assert same["auc"] == record.figures["auc"]
        assert same["patches"] == record.figures["patches"]


def test_tables_give_mean_and_deviation_and_the_best_in_bold(tmp_path):
    protocol = Protocol((Method("one"), Method("two")))
    records = [
        RunRecord("one", "a", {"auc": 0.8, "patches": 10.0}),
        RunRecord("one", "b", {"auc": 0.9, "patches": 12.0}),
        RunRecord("two", "a", {"auc": 0.7, "patches": 1000.0}),
    ]
    text = as_markdown(method_rows(protocol, records), protocol)
    assert "| one | **0.850 ± 0.071** | 11 | 2 |" in text
    assert "| two | *0.700 ± 0.000* | 1,000 | 1 |" in text
    write_tables(tmp_path, protocol, records)
    rows = list(csv.DictReader((tmp_path / "tables.csv").read_text().splitlines()))
    assert float(rows[0]["auc_sd"]) == pytest.approx(0.0707, abs=1e-4)


@pytest.fixture(scope="session")
def imported(tmp_path_factory):
    """A table of 24 slides of 12 patients, and their imported features in a store."""
    folder = tmp_path_factory.mktemp("imported")
    lines, generator = ["slide,label,patient"], torch.Generator().manual_seed(0)
    folders = ("level_2", "level_1_corresponding", "level_0_corresponding")
    for name in folders:
        (folder / f"feats_{name}" / "pt_files").mkdir(parents=True)
    for i in range(24):
        label = i // 2 % 2
        lines.append(f"s{i}.svs,{('normal', 'tumor')[label]},p{i // 2}")
        for depth, name in enumerate(folders):
            features = torch.randn(6 * 4**depth, 8, generator=generator)
            features[:1, 0] += 6.0 * label
            torch.save(features, folder / f"feats_{name}" / "pt_files" / f"s{i}.pt")
    table = folder / "cohort.csv"
    table.write_text("\n".join(lines) + "\n")
    words = ["--import", "official", "--features", str(folder), "--store", str(folder / "store")]
    assert main(["encode", str(table), *words]) == 0
    return folder


@pytest.fixture
def cohort(imported, tmp_path):
    """The table in a folder of its own, with its features."""
    shutil.copytree(imported, tmp_path, dirs_exist_ok=True)
    return tmp_path / "cohort.csv"


def test_from_stored_features_to_tables_and_a_bundle_that_evaluate_takes(cohort, written, capsys):
    folder = cohort.parent
    store, out = ["--store", str(folder / "store")], ["--out", str(folder / "out")]
    config = ["--config", str(written(PROTOCOL))]
    assert main(["protocol", str(cohort), *store, *out, *config]) == 0
    said = capsys.readouterr().out
    assert "Table 1: methods" in said
    assert "HAG-MIL, seed-1: AUC" in said
    for name in ("tables.md", "tables.csv", "sweep.csv", "sweep.png"):
        assert (folder / "out" / name).stat().st_size > 100
    run = folder / "out" / "runs" / "hag-mil" / "seed-0"
    names = {path.name for path in run.iterdir()}
    written = {"curves.png", "epochs.csv", "model-card.md", "predictions.csv", "run.json"}
    assert names == {*written, "model.hagmil"}
    assert {"run", "bundle"} <= require_schemas(folder)
    card = (run / "model-card.md").read_text()
    figures = json.loads((run / "run.json").read_text())["figures"]
    assert f"| AUC | {figures['auc']:.3f} |" in card
    assert "| budget | 2, 2 |" in card
    assert "Slides: cohort.csv (24 slides)" in card
    assert "not for diagnosis" in card
    for name in ("hag-mil", "mean-pooling"):
        bundle = folder / "out" / "runs" / name / "seed-0" / "model.hagmil"
        assert load_bundle(bundle).config.encoder.name == "resnet50-layer3"
        measured = ["--out", str(folder / name), "--split", "all", "--json", "--factors", "1"]
        assert main(["evaluate", str(cohort), "--model", str(bundle), *store, *measured]) == 0
        assert (folder / name / "metrics.json").exists()


def run_of(cohort, name):
    return cohort.parent / "out" / "runs" / name / "seed-0"


def test_with_youdens_threshold_tables_bundle_and_evaluate_call_slides_alike(cohort, written):
    text = PROTOCOL.replace("repeats = 2", 'repeats = 2\nthreshold = "youden"')
    folder = cohort.parent
    store, out = ["--store", str(folder / "store")], ["--out", str(folder / "out")]
    assert main(["protocol", str(cohort), *store, *out, "--config", str(written(text))]) == 0
    table = (folder / "out" / "tables.md").read_text()
    assert "called by Youden's threshold" in table
    assert "| F1 (Youden) | accuracy (Youden) |" in table
    assert "| F1 |" not in table
    for name in ("hag-mil", "mean-pooling"):
        figures = json.loads((run_of(cohort, name) / "run.json").read_text())["figures"]
        bundle = load_bundle(run_of(cohort, name) / "model.hagmil")
        assert bundle.config.thresholds == {"tumor": figures["threshold"]}
    assert main(["tables", "join", str(folder / "out"), "--out", str(folder / "joined")]) == 0
    joined = (folder / "joined" / "joined.md").read_text()
    assert "out F1 (Youden) | out accuracy (Youden)" in joined


def test_runs_differ_by_the_seed_alone_where_a_protocol_says_so(cohort, written):
    text = PROTOCOL.replace("repeats = 2", 'repeats = 3\nresample = "seed"')
    folder = cohort.parent
    words = ["--store", str(folder / "store"), "--out", str(folder / "out")]
    words += ["--config", str(written(text)), "--method", "mean pooling"]
    assert main(["train", str(cohort), *words]) == 0
    runs = sorted((folder / "out" / "runs" / "mean-pooling").iterdir())
    told = [
        [row[:2] for row in csv.reader((run / "predictions.csv").read_text().splitlines())]
        for run in runs
    ]
    assert len(told) == 3
    assert told[0] == told[1] == told[2], "the same test slides"
    figures = [(run / "predictions.csv").read_text() for run in runs]
    assert len(set(figures)) == 3, "and other weights"
    assert "on one split, each with a seed" in (folder / "out" / "tables.md").read_text()
    rows = list(csv.DictReader((folder / "out" / "tables.csv").read_text().splitlines()))
    assert rows[0]["resample"] == "seed"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("encoder = 'swin-large'", "encoder = 'swin-large', got 'resnet50-layer3'"),
        ("n_features = 1536", "n_features = 1536, got 8"),
        ("mpp = [0.5, 0.25]", "mpp = "),
        ("patch_size = 224", "patch_size = 224, got 256"),
    ],
)
def test_a_protocol_refuses_features_that_it_is_not_for(cohort, written, capsys, line, says):
    words = ["--store", str(cohort.parent / "store"), "--out", str(cohort.parent / "out")]
    words += ["--config", str(written(f"[features]\n{line}\n" + PROTOCOL))]
    assert main(["protocol", str(cohort), *words]) == 1
    assert says in capsys.readouterr().err
    assert not (cohort.parent / "out" / "runs").exists()


def test_features_as_a_protocol_wants_them_are_taken():
    wanted = WantedFeatures(FACTS.encoder.name, FACTS.encoder.n_features, mpp=FACTS.mpp)
    wanted.require(FACTS)
    WantedFeatures().require(FACTS)
    with pytest.raises(FeatureStoreError, match="encode the slides as its"):
        replace(wanted, mpp=FACTS.mpp[1:]).require(FACTS)


def test_a_method_is_read_with_its_own_sweep_and_the_others_with_the_protocols(tmp_path):
    options = {"widths": [16], "heads": 2, "instance_dim": 8, "gate_dim": 8, "attention": "exact"}
    method = Method("own", options=options, budget=(3, 3), training=TrainConfig(epochs=1))
    slides = [puzzle.slide for puzzle in puzzles(8, 3, World.draw(0))]
    found = {}
    for name, sweep in {"own": ((1, 1),), "shared": ()}.items():
        run = ProtocolRun(
            replace(method, name=name, sweep=sweep), Split((0, 1, 2, 3), (4, 5), (6, 7)), 0,
            tmp_path / name,
        )  # fmt: skip
        record = list(carry_out(run, slides, FACTS, [(2, 2)]))[-1]
        found[name] = [entry["budget"] for entry in record.sweep]
    assert found == {"own": [[1, 1]], "shared": [[2, 2]]}


def test_figure_3_has_both_curves_with_k_mean_and_deviation(tmp_path):
    def record(method, run, k, auc, sweep=()):
        figures = {"auc": auc, "f1": auc / 2, "accuracy": auc / 4, "patches": 9.0 * k}
        figures |= {"f1_youden": 0.1, "accuracy_youden": 0.2}
        swept = [{"budget": [n, n], **figures, "auc": value} for n, value in sweep]
        return RunRecord(method, run, figures, swept, budget=[k, k])

    methods = (Method("HAG-MIL"), Method("k = 7", group="k in training"), Method("AB-MIL"))
    records = [
        record("HAG-MIL", "a", 70, 0.9, [(7, 0.5), (70, 0.9)]),
        record("HAG-MIL", "b", 70, 0.7, [(7, 0.7), (70, 0.7)]),
        record("k = 7", "a", 7, 0.6),
        record("AB-MIL", "a", 1, 0.2),
    ]
    rows = figure3_rows(Protocol(methods), records)
    told = {(row["curve"], row["k"]): (row["auc"], row["auc_sd"], row["runs"]) for row in rows}
    assert told == {
        ("training", 7): (0.6, 0.0, 1),
        ("training", 70): (pytest.approx(0.8), pytest.approx(0.1414, abs=1e-4), 2),
        ("inference", 7): (pytest.approx(0.6), pytest.approx(0.1414, abs=1e-4), 2),
        ("inference", 70): (pytest.approx(0.8), pytest.approx(0.1414, abs=1e-4), 2),
    }
    assert rows[-1]["accuracy"] == pytest.approx(0.2)
    write_tables(tmp_path, Protocol(methods), records)
    assert (tmp_path / "figure3.png").stat().st_size > 1000
    assert len((tmp_path / "figure3.csv").read_text().splitlines()) == 5
    assert figure3_rows(Protocol(methods[:1]), records) == []
    youden = figure3_rows(Protocol(methods, threshold="youden"), records[2:])
    assert youden[0]["f1"] == 0.1


def test_train_trains_one_method_and_writes_events_when_asked(cohort, written, capsys):
    folder = cohort.parent
    words = ["--store", str(folder / "store"), "--out", str(folder / "out"), "--json"]
    words += ["--config", str(written(PROTOCOL)), "--method", "mean pooling", "--tensorboard"]
    assert main(["train", str(cohort), *words]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["method"] for record in records] == ["mean pooling"] * 2
    assert list(folder.rglob("events.out.tfevents.*"))


def test_without_methods_the_papers_are_trained_as_the_features_allow(cohort, written):
    words = ["--store", str(cohort.parent / "store"), "--out", str(cohort.parent / "out")]
    words += ["--config", str(written("[protocol]\nrepeats = 1\n"))]
    assert main(["train", str(cohort), *words, "--method", "clam_sb"]) == 0
    training = load_bundle(run_of(cohort, "clam-sb") / "model.hagmil").config.training
    assert training["method"]["depths"] == [1], "level 1"
    assert training["epochs"] >= 52
    assert not training["method"]["training"]["loss"]["subtyping"]  # one tumour class


def test_a_method_that_is_not_there_is_one_line(cohort, written, capsys):
    words = ["--store", str(cohort.parent / "store"), "--out", str(cohort.parent / "out")]
    words += ["--config", str(written(PROTOCOL)), "--method", "vit"]
    assert main(["train", str(cohort), *words]) == 1
    assert "choose one of HAG-MIL, mean pooling" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_one_line_before_anything_is_read(cohort, written, capsys):
    if torch.cuda.is_available():
        pytest.skip("the machine has a GPU")
    words = ["--store", str(cohort.parent / "store"), "--out", str(cohort.parent / "out")]
    assert main(["train", str(cohort), *words, "--device", "cuda"]) == 1
    assert "'cuda' was asked for" in capsys.readouterr().err
    assert not (cohort.parent / "out" / "runs").exists()

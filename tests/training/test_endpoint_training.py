"""Endpoints instead of classes: learned, tabled and measured like them."""

import csv
import json

import numpy as np
import pytest
import torch
from endpoint_cohort import write_cohort

from json_schemas import require_schemas
from napari_hagmil.cli import main
from napari_hagmil.errors import ProtocolError
from napari_hagmil.models import BaselineConfig, Endpoint, LossConfig, build_stage, load_bundle
from napari_hagmil.training import Bag, TrainConfig, train_stage
from napari_hagmil.training.protocol.plan import EndpointPlan
from napari_hagmil.training.protocol.toml_file import load_protocol

ENDPOINTS = {
    "hazard": ('kind = "hazard"\nintervals = 3', "c_index"),
    "cox": ('kind = "cox"', "c_index"),
    "regression": ('kind = "regression"\ntargets = ["a", "b"]', "r2"),
    "labels": ('kind = "labels"\ntargets = ["much", "many"]', "auprc"),
}

PROTOCOL = """
[endpoint]
{endpoint}

[protocol]
repeats = 1
sweep = [[2, 8]]

[[method]]
name = "cascade"
model = "gated_ab_mil"
depths = [0, 1, 2]
schedule = "{schedule}"
budget = [4, 8]
epochs = 2
accumulate = 4
learning_rate = 1e-3
options = {{ widths = [8], hidden = 4 }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cohort of 12, 6 and 8 slides with everything measured, and its features in a store."""
    out = tmp_path_factory.mktemp("endpoints")
    write_cohort(out, (12, 6, 8))
    words = ["--from", "official", "--features", str(out), "--store", str(out / "store")]
    assert main(["features", "import", str(out / "cohort.csv"), *words]) == 0
    return out


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_from_a_table_of_measurements_to_tables_and_a_bundle_that_evaluate_measures(
    kind, folder, tmp_path, capsys
):
    entry, figure = ENDPOINTS[kind]
    config, table = tmp_path / "p.toml", str(folder / "cohort.csv")
    schedule = "stagewise" if kind == "cox" else "joint"
    config.write_text(PROTOCOL.format(endpoint=entry, schedule=schedule))
    store, out = ["--store", str(folder / "store")], tmp_path / "out"
    assert main(["protocol", table, *store, "--out", str(out), "--config", str(config)]) == 0
    run = out / "runs" / "cascade" / "seed-0"
    record = json.loads((run / "run.json").read_text())
    told = record["figures"]
    assert told[f"{figure}_low"] <= told[figure] <= told[f"{figure}_high"]
    assert {"c_index": "c-index", "r2": "R²", "auprc": "AUPRC"}[figure] in (
        out / "tables.md"
    ).read_text()
    assert record["sweep"][0]["budget"] == [2, 8]
    bundle = load_bundle(run / "model.hagmil", endpoints=True)
    assert bundle.config.endpoint.kind == kind
    words = ["--model", str(run / "model.hagmil"), *store, "--out", str(tmp_path / "read")]
    assert main(["evaluate", table, *words]) == 0
    assert require_schemas(tmp_path) == {"run", "bundle", "endpoint-metrics", "manifest"}
    found = json.loads((tmp_path / "read" / "metrics.json").read_text())["metrics"]
    assert found[figure]["value"] == pytest.approx(told[figure], abs=1e-9)
    rows = list(
        csv.DictReader((tmp_path / "read" / "predictions.csv").read_text("utf-8").splitlines())
    )
    assert len(rows) == 8
    assert set(bundle.config.endpoint.readings(np.zeros((1, len(bundle.config.classes))))) <= set(
        rows[0]
    )
    capsys.readouterr()
    assert main(["evaluate", table, *words, "--youden"]) == 1
    assert "on which --youden has no effect" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("endpoint", "measure"),
    [
        (Endpoint("cox"), lambda z: (float(np.exp(-z)), 1.0)),
        (Endpoint("hazard", edges=(0.6, 1.0, 1.6)), lambda z: (float(np.exp(-z)), 1.0)),
        (Endpoint("regression", ("z",), (5.0,), (2.0,)), lambda z: (5 + 2 * z,)),
        (Endpoint("labels", ("high",)), lambda z: (float(z > 0),)),
    ],
)
def test_what_follows_from_the_features_is_learned_in_its_order(endpoint, measure):
    rng = np.random.default_rng(0)
    bags = []
    for z in rng.normal(size=60):
        x = rng.normal(0, 0.3, (6, 4)) + np.array([z, 0, 0, 0])
        bags.append(Bag(torch.tensor(x, dtype=torch.float32), 0, measured=torch.tensor(measure(z))))
    options = {"hidden": 8, "dropout": 0.0}
    torch.manual_seed(0)
    model = build_stage(BaselineConfig("mean_pooling", 4, len(endpoint.outputs), options))
    loss = LossConfig(instance_loss="none", endpoint=endpoint)
    config = TrainConfig(epochs=25, learning_rate=1e-2, accumulate=10, loss=loss)
    last = list(train_stage(model, bags[:40], bags[40:], config))[-1]
    assert last.val_auc > 0.9


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ('kind = "cox"', "where 'cox' compares slides"),
        ('kind = "hazard"\ntargets = ["a"]', "targets unless it is of survival"),
        ('kind = "regression"', "targets unless it is of survival"),
        ('kind = "labels"\ntargets = ["a", "A"]', "targets with different names"),
        ('kind = "cox"\nintervals = 3', "intervals with the kind 'hazard' only"),
        ('kind = "death"', "unknown kind"),
        ("", "an \\[endpoint\\] without a kind"),
    ],
)
def test_an_endpoint_that_a_method_cannot_learn_is_refused(tmp_path, change, why):
    path = tmp_path / "p.toml"
    path.write_text(PROTOCOL.format(endpoint=change, schedule="joint"))
    with pytest.raises(ProtocolError, match=why):
        load_protocol(path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('model = "dtfd_afs"\noptions = { bias = true }', "needs a model among"),
        ('model = "iat"\ninstance_loss = "clam"\nk = 3', "has an instance loss"),
        ("background = 0\njoin = 0.5", "has a background, which is a class"),
        ('model = "gated_ab_mil"\nlabel_smoothing = 0.2', "smooths labels"),
        ('decision = "all depths"', "lets all depths decide"),
    ],
)
def test_what_only_classes_have_is_refused_with_an_endpoint(tmp_path, line, why):
    path = tmp_path / "p.toml"
    rest = '[endpoint]\nkind = "hazard"\n[[method]]\nname = "m"\ndepths = [0, 1]\n'
    rest += "" if "instance_loss" in line or "dtfd" in line else 'instance_loss = "none"\n'
    if "gated" in line:
        rest = rest.replace('instance_loss = "none"\n', "")
    path.write_text(rest + line)
    with pytest.raises(ProtocolError, match=why):
        load_protocol(path)


def test_hazards_have_intervals_with_as_many_events_of_the_training_slides():
    measured = [(float(t), float(t % 2)) for t in range(1, 17)]  # events at 1, 3 … 15
    endpoint = EndpointPlan("hazard", intervals=4).fitted(measured)
    events = np.array([t for t, event in measured if event])
    assert np.bincount(np.searchsorted(endpoint.edges, events)).tolist() == [2, 2, 2, 2]


def test_a_cell_that_is_no_measurement_is_reported_with_its_line(tmp_path, capsys):
    table = tmp_path / "cohort.csv"
    table.write_text(
        "slide,patient,time,event\na.svs,a,soon,1\nb.svs,b,-3,0\nc.svs,c,4,2\nd.svs,d,,1\n"
    )
    config = tmp_path / "p.toml"
    config.write_text(PROTOCOL.format(endpoint='kind = "hazard"', schedule="joint"))
    words = ["--store", str(tmp_path / "s"), "--out", str(tmp_path / "o"), "--config", str(config)]
    assert main(["protocol", str(table), *words]) == 1
    said = capsys.readouterr().err
    for problem in (
        "line 2 has 'soon' in time, which is no number",
        "line 3 has the time -3",
        "line 4 has the event 2, not 1, or 0 where it is censored",
        "line 5 has no time",
    ):
        assert problem in said

"""Slides scanned at 40× and at 20× train together; a training that cannot go on says so."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from puzzles import N_FEATURES, MarkedSlide

from napari_hagmil.cohort import Split
from napari_hagmil.errors import FeatureStoreError, TrainingError
from napari_hagmil.models import EncoderFacts, LossConfig
from napari_hagmil.training import CohortSlide, TrainConfig
from napari_hagmil.training.predictions import predict_slides
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit, weigh_depths
from napari_hagmil.training.protocol.methods import FeatureFacts, Method
from napari_hagmil.training.protocol.plan import Protocol
from napari_hagmil.training.protocol.runs import ProtocolRun, RunRecord, carry_out
from napari_hagmil.training.protocol.tables import write_tables
from napari_hagmil.training.run_state import RunState

FACTS = FeatureFacts(
    EncoderFacts("none", None, N_FEATURES), 8, (1.0, 0.5, 0.25), ("normal", "tumor"), 2
)
OPTIONS = {
    "widths": (16,), "heads": 2, "instance_dim": 16, "gate_dim": 8, "residual_kernel": 3,
    "attention": "exact",
}  # fmt: skip
HAGMIL = Method(
    "HAG-MIL",
    options=OPTIONS,
    budget=(2, 4),
    training=TrainConfig(epochs=2, learning_rate=5e-3, loss=LossConfig(instance_loss="none")),
)


class ToItsDepth(MarkedSlide):
    """A slide that has no features beyond its last depth."""

    def __init__(self, label, seed, n_depths):
        super().__init__(label, seed)
        self.tissue = self.tissue[:n_depths]

    def __call__(self, depth, nodes):
        assert depth < len(self.tissue), "asked for a depth that the slide does not have"
        return super().__call__(depth, nodes)


def cohort(n=12, n_short=4, seed=1):
    """Every third slide ends at 20×, of either class."""
    short = {i for i in range(n) if i % 3 == 2} if n_short else set()
    sources = [ToItsDepth(i % 2, 100 * seed + i, 2 if i in short else 3) for i in range(n)]
    return [CohortSlide(f"s{s.seed}", s.label, s.tissue, s) for s in sources]


SCHEDULES = [
    {"schedule": "joint"},
    {"schedule": "stagewise"},
    {"schedule": "guided"},
    {"schedule": "guided jointly"},
    {"schedule": "joint", "children": "all"},
    {"schedule": "stagewise", "children": "all", "random": (1, 1)},
    {"schedule": "joint", "decision": "all depths", "standardise": True},
    {"schedule": "joint", "context": "ancestors"},
]


@pytest.mark.parametrize("changes", SCHEDULES, ids=lambda c: " ".join(map(str, c.values())))
def test_every_schedule_trains_each_slide_to_the_depth_that_it_has(changes):
    guided = changes["schedule"].startswith("guided")
    training = replace(
        HAGMIL.training, guidance=float(guided), background=0, join=0.5, accumulate=2
    )
    method = replace(HAGMIL, training=training, **changes)
    slides = cohort()
    model = build(method, FACTS, 0)
    before = [{k: v.clone() for k, v in s.state_dict().items()} for s in model.stages]
    epochs = list(fit(method, model, slides[:6], slides[6:], FitSettings(0)))
    assert {one.depth for one in epochs if one.depth >= 0} == {0, 1, 2}
    assert all(np.isfinite(one.epoch.train_loss + one.epoch.val_loss) for one in epochs)
    for stage, weights in zip(model.stages, before, strict=True):
        assert any(not torch.equal(v, weights[k]) for k, v in stage.state_dict().items())


def test_predictions_end_where_the_slide_does():
    slides = [slide.at((0, 1, 2)) for slide in cohort(6)]
    model = build(HAGMIL, FACTS, 0).eval()
    found = predict_slides(model, slides)
    ends = np.array([slide.n_depths for slide in slides]) - 1
    assert np.isnan(found.logits[:, :, 0]).sum(1).tolist() == (2 - ends).tolist()
    own = torch.tensor(found.logits[range(6), ends]).double().softmax(-1).numpy()
    assert np.allclose(found.decisive, own)
    assert [len(nodes) for nodes in found.nodes] == (ends + 1).tolist()


def test_a_depth_that_a_slide_does_not_have_adds_nothing_to_its_decision():
    slides = [slide.at((0, 1, 2)) for slide in cohort(6)]
    model = build(HAGMIL, FACTS, 0).eval()
    weigh_depths(model, slides)
    weights = np.array(model.config.depth_weights)
    assert np.isfinite(weights).all()
    found = predict_slides(model, slides)
    pooled = np.einsum("d,sdc->sc", weights, np.nan_to_num(found.logits))
    assert np.allclose(found.decisive, torch.tensor(pooled).softmax(-1).numpy(), atol=1e-6)


def test_a_baseline_reads_the_finest_depth_that_every_slide_has():
    pooling = Method("mean", model="mean_pooling", training=replace(HAGMIL.training, epochs=1))
    assert build(pooling, FACTS, 0).config.mpp == (0.5,)
    assert build(pooling, replace(FACTS, n_shared=3), 0).config.mpp == (0.25,)


def run_of(method, tmp_path, parts=((0, 6), (6, 9), (9, 12))):
    split = Split(*(np.arange(*part) for part in parts))
    return ProtocolRun(method, split, 0, tmp_path / "runs" / "x" / "seed-0")


@pytest.mark.parametrize("model", ["iat", "mean_pooling"])
def test_a_run_over_an_uneven_cohort_is_put_on_record(tmp_path, model):
    options = OPTIONS if model == "iat" else {}
    budget = HAGMIL.budget if model == "iat" else ()
    run = run_of(replace(HAGMIL, model=model, options=options, budget=budget), tmp_path)
    record = list(carry_out(run, cohort(), FACTS, [(1, 1)]))[-1]
    assert record.failure == ""
    assert set(record.figures) >= {"auc", "auc_depth0", "accuracy"}
    rows = (run.folder / "predictions.csv").read_text().splitlines()
    assert len(rows) == 4


def test_a_slide_that_ends_before_a_methods_first_depth_is_named_before_training(tmp_path):
    deep = Method("deep", model="mean_pooling", depths=(2,), training=HAGMIL.training)
    with pytest.raises(FeatureStoreError, match=r"s102 end before depth 2, .*, got 2 depths"):
        next(carry_out(run_of(deep, tmp_path), cohort(), FACTS))


def test_a_split_without_slides_of_a_depth_fails_and_says_so(tmp_path):
    parts = ([0, 1, 3], [2, 5], [4, 6])
    run = ProtocolRun(HAGMIL, Split(*map(np.array, parts)), 0, tmp_path / "runs" / "x" / "seed-0")
    (record,) = carry_out(run, cohort(), FACTS)
    assert "needs a validation slide with depth 2" in record.failure


def diverging():
    """Finite features, and a learning rate that throws the weights out of every range."""
    return replace(
        HAGMIL, training=replace(HAGMIL.training, epochs=20, learning_rate=1e30, optimiser="sgd",
                                 clip=float("inf"))
    )  # fmt: skip


@pytest.mark.parametrize("schedule", ["joint", "stagewise"])
def test_a_loss_that_is_not_finite_stops_the_training_in_one_sentence(schedule):
    method = replace(diverging(), schedule=schedule)
    slides = cohort()
    with pytest.raises(TrainingError, match=r"must be finite, got .*; lower the learning rate"):
        list(fit(method, build(method, FACTS, 0), slides[:6], slides[6:], FitSettings(0)))


def test_a_failed_run_leaves_no_model_and_no_figures_in_a_table(tmp_path):
    good = run_of(HAGMIL, tmp_path)
    record = list(carry_out(good, cohort(), FACTS))[-1]
    assert (good.folder / "model.hagmil").exists()
    bad = replace(good, method=diverging())
    failed = list(carry_out(bad, cohort(), FACTS))[-1]
    assert isinstance(failed, RunRecord)
    assert failed.figures == {}
    assert "must be finite" in failed.failure
    assert not (bad.folder / "model.hagmil").exists()  # nor the one that stood there before
    assert json.loads((bad.folder / "run.json").read_text())["failure"] == failed.failure
    write_tables(tmp_path, Protocol((HAGMIL,)), [record, replace(failed, run="seed-1")])
    page = (tmp_path / "tables.md").read_text()
    assert f"- HAG-MIL, seed-1: {failed.failure}" in page
    (row,) = (line for line in page.splitlines() if line.startswith("| HAG-MIL"))
    assert row.endswith("| 1 |")
    assert f"{record.figures['auc']:.3f}" in row
    slides = cohort()
    list(carry_out(bad, slides, FACTS))
    assert any(slide.features.asked for slide in slides)  # tried again


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_never_kept(value):
    model = torch.nn.Linear(2, 2)
    run = RunState.start([model], [], 0, None)
    with torch.no_grad():
        model.weight[0, 0] = value
    with pytest.raises(TrainingError, match="every trained weight must be finite"):
        run.end_epoch(float("nan"), keep=True)

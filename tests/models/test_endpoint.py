"""Losses and readings of endpoints, against values worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from napari_hagmil.errors import BundleError
from napari_hagmil.models import (
    BaselineConfig,
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    Endpoint,
    load_bundle,
    save_bundle,
)
from napari_hagmil.models.endpoint import cox_loss, hazard_loss


def test_cox_loss_is_the_partial_likelihood_of_each_event_among_those_still_there():
    risk, time, event = (torch.tensor(x) for x in ([0.0, 1.0, -1.0], [2.0, 1.0, 3.0], [1.0, 1, 0]))
    # At 1 all three are there, at 2 the first and the third.
    first = math.log(math.exp(0) + math.exp(1) + math.exp(-1)) - 1
    second = math.log(math.exp(0) + math.exp(-1)) - 0
    assert_close(cox_loss(risk, time, event), torch.tensor((first + second) / 2))
    assert cox_loss(risk, time, torch.zeros(3)) == 0


def test_slides_with_the_same_time_are_at_risk_together():
    risk, time, event = torch.tensor([0.5, -0.5]), torch.tensor([4.0, 4.0]), torch.ones(2)
    together = math.log(math.exp(0.5) + math.exp(-0.5))
    assert_close(cox_loss(risk, time, event), torch.tensor(together))


def test_hazard_loss_counts_intervals_survived_and_the_one_of_the_event():
    logits = torch.log(torch.tensor([[0.25, 0.5, 1.0], [0.25, 0.5, 1.0]]))  # hazards 1/5, 1/3, 1/2
    happened = -(math.log(4 / 5) + math.log(1 / 3))
    censored = -math.log(4 / 5)
    interval = torch.tensor([1, 1])
    loss = hazard_loss(logits, interval, torch.tensor([1.0, 0.0]))
    assert_close(loss, torch.tensor((happened + censored) / 2))


def test_a_time_at_an_edge_belongs_to_the_interval_that_ends_there():
    endpoint = Endpoint("hazard", edges=(10.0, 20.0))
    outputs = torch.zeros(1, 3)
    at, after = (endpoint.loss(outputs, torch.tensor([[t, 1.0]])) for t in (10.0, 10.001))
    assert_close(at, torch.tensor(math.log(2)))
    assert_close(after, torch.tensor(2 * math.log(2)))


def test_readings_of_hazards_are_a_risk_and_the_chance_to_have_no_event_until_each_edge():
    endpoint = Endpoint("hazard", edges=(10.0, 20.0))
    read = endpoint.readings(np.log([[0.25, 0.5, 9.0]]))
    assert list(read) == ["risk", "survival_10", "survival_20"]
    assert read["survival_10"] == pytest.approx([4 / 5])
    assert read["survival_20"] == pytest.approx([4 / 5 * 2 / 3])
    assert read["risk"] == pytest.approx([-(4 / 5 + 8 / 15)])


def test_a_regression_learns_standardised_targets_and_reads_them_in_their_own_unit():
    endpoint = Endpoint("regression", ("ki67", "size"), (20.0, 3.0), (10.0, 0.5))
    assert endpoint.columns == ("target_ki67", "target_size")
    loss = endpoint.loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[40.0, 3.5]]))
    assert_close(loss, torch.tensor(1.0))  # both one deviation off
    read = endpoint.readings([[1.0, -1.0]])
    assert read["predicted_ki67"] == [30.0]
    assert read["predicted_size"] == [2.5]


def test_labels_have_a_chance_each_that_need_not_sum_to_one():
    endpoint = Endpoint("labels", ("er", "pr"))
    loss = endpoint.loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert_close(loss, torch.tensor(math.log(2)))
    read = endpoint.readings([[0.0, math.log(3)]])
    assert (read["p_er"][0], read["p_pr"][0]) == pytest.approx((0.5, 0.75))


@pytest.mark.parametrize(
    "broken",
    [
        ("regression", ()),
        ("cox", ("a",)),
        ("labels", ("a", "a")),
        ("regression", ("a",)),
        ("hazard", (), (), (), (2.0, 1.0)),
        ("hazard", (), (), (), ()),
    ],
)
def test_an_endpoint_that_contradicts_itself_is_refused(broken):
    with pytest.raises(ValueError, match="an Endpoint of kind"):
        Endpoint(*broken)


def test_a_bundle_keeps_its_endpoint_and_is_no_classifier(tmp_path):
    endpoint = Endpoint("hazard", edges=(12.0, 30.5))
    config = BundleConfig(
        name="survival",
        encoder=EncoderFacts("e", None, 3),
        patch_size=1,
        mpp=(1.0,),
        classes=endpoint.outputs,
        stages=(BaselineConfig("mean_pooling", 3, 3, {"hidden": 4}),),
        budget=(),
        endpoint=endpoint,
    )
    path = tmp_path / "survival.hagmil"
    save_bundle(CascadeModel(config), path)
    assert load_bundle(path, endpoints=True).config.endpoint == endpoint
    with pytest.raises(BundleError, match="predicts time, event, where classes are needed"):
        load_bundle(path)
    with pytest.raises(BundleError, match="needs the outputs of its endpoint"):
        replace(config, classes=("normal", "tumor", "other"))

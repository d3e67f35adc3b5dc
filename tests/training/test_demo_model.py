"""The demo model as it ships: what it is, where it came from, what its card says."""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import demo_card
import demo_cohort
import numpy as np
import pytest

from napari_hagmil.bundles import find_bundle
from napari_hagmil.encoders import load_encoder
from napari_hagmil.evaluation.localisation import lesions_met
from napari_hagmil.evaluation.metrics import auc
from napari_hagmil.features import encoder_facts
from napari_hagmil.models import load_bundle
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.pipeline import analyze_slide
from napari_hagmil.prepare import Options
from napari_hagmil.training.protocol.methods import Method
from napari_hagmil.training.protocol.toml_file import load_protocol

DOCS = Path(__file__).parents[2] / "docs"
MAX_BYTES = 8 * 2**20


@pytest.fixture(scope="module")
def demo():
    return load_bundle(find_bundle("demo"))


def test_the_demo_bundle_is_small_enough_to_ship():
    assert sum(file.stat().st_size for file in find_bundle("demo").iterdir()) <= MAX_BYTES


def test_the_demo_model_says_what_it_is_and_is_not_for(demo):
    config = demo.config
    assert config.licence == "BSD-3-Clause"
    assert "not for real tissue" in config.intended_use
    assert config.classes == ("normal", "tumor")
    assert config.mpp == (1.0, 0.5, 0.25)


def test_the_demo_model_names_the_encoder_that_is_installed(demo):
    encoder = load_encoder(demo.config.encoder.name)
    demo.config.check_encoder(encoder_facts(encoder))
    assert encoder.patch_size == demo.config.patch_size


def with_defaults(told, plain):
    """What was told, and for all that it leaves out, at any depth of it, the default."""
    both = {**plain, **told}
    return {
        key: with_defaults(value, plain[key])
        if isinstance(value, dict) and isinstance(plain.get(key), dict)
        else value
        for key, value in both.items()
    }


def test_the_demo_model_came_out_of_the_committed_protocol(demo):
    training = demo.config.training
    (method,) = load_protocol(DOCS / "protocols" / "demo.toml").methods
    # A setting that the package has learnt since then is at its default.
    plain, asked = (json.loads(json.dumps(asdict(m))) for m in (Method(method.name), method))
    assert with_defaults(training["method"], plain) == asked
    parts = [row.split for row in demo_cohort.learn(demo_cohort.N_LEARN)]
    assert training["slides"] == {part: parts.count(part) for part in ("train", "val", "test")}


def test_the_card_tells_the_figures_of_the_shipped_weights(demo):
    card = DOCS / "model-card.md"
    told = json.loads(card.with_suffix(".json").read_text(encoding="utf-8"))
    assert told["metrics"]["model"]["sha256"] == demo.sha256
    assert told["metrics"]["slides"] == demo_cohort.N_HELD_OUT
    assert card.read_text(encoding="utf-8") == "\n".join(demo_card.card(demo, told)) + "\n"


def test_the_demo_model_does_on_its_card_what_a_demo_must(demo):
    told = json.loads((DOCS / "model-card.json").read_text(encoding="utf-8"))
    assert told["metrics"]["auc"]["value"] >= 0.95
    assert told["lesions"]["all"]["by_depth"][-1] >= 0.90
    assert told["lesions"]["micro"]["by_depth"][-1] > told["lesions"]["micro"]["by_chance"]
    assert told["finest_share"]["overall"] <= 0.25


@pytest.mark.slow
def test_the_demo_model_calls_a_small_phantom_and_looks_at_its_lesion(tmp_path):
    path = tmp_path / "phantom.tiff"
    config = PhantomConfig(seed=1_300_001, size=4096, lesions=1, lesion_diameters_um=(300, 400))
    truth = write_phantom(path, config)
    result = analyze_slide(path, "demo")
    assert result.cascade is not None
    assert result.cascade.predicted_class == "tumor"
    last = result.cascade.stages[-1]
    assert is_inside(truth.lesions[0].polygon, result.grids[last.depth], best_node(last))


def best_node(stage):
    return stage.nodes[stage.attention.argmax()]


def is_inside(polygon, grid, node):
    """Whether the node's centre is in the lesion, or less than a node away from it."""
    y, x = (np.asarray(node) + 0.5) * grid.stride - 0.5
    distance = cv2.pointPolygonTest(polygon.astype(np.float32), (float(y), float(x)), True)
    return distance > -grid.stride


@pytest.mark.slow
def test_the_demo_model_still_does_on_fresh_phantoms_what_its_card_says(tmp_path):
    """The card is a committed file: a cascade that got worse must fail here."""
    labels, scores, met, encoded, tissue = [], [], [], 0, 0
    for i in range(12):
        config = PhantomConfig(seed=1_400_001 + i, size=2048, lesions=i % 2)
        truth = write_phantom(tmp_path / "phantom.tiff", config)
        # Less than the demo's own budget, which would read all of slides this small.
        result = analyze_slide(tmp_path / "phantom.tiff", "demo", options=Options(budget=(3, 8)))
        assert result.cascade is not None
        last = result.cascade.stages[-1]
        labels.append(i % 2)
        scores.append(last.probabilities[1])
        lesions = [(lesion.polygon, ()) for lesion in truth.lesions]
        met += lesions_met(lesions, result.grids[last.depth], last.nodes)
        encoded += result.cost.finest_encoded
        tissue += result.cost.finest_tissue
    assert auc(labels, scores) >= 0.95
    assert len(met) == 6
    assert sum(met) >= 5
    assert encoded <= 0.45 * tissue  # the lesions were found, not everything read


@pytest.mark.slow
def test_the_demo_model_knows_phantoms(tmp_path):
    """Slides that it has not seen, of a size it has not seen either."""
    for seed, size in ((1_500_001, 2048), (1_500_002, 3072), (1_500_003, 7168)):
        write_phantom(tmp_path / "a.tiff", PhantomConfig(seed=seed, size=size, lesions=seed % 2))
        result = analyze_slide(tmp_path / "a.tiff", "demo", options=Options(last_depth=0))
        assert result.unfit == ""
        assert result.uncertainty.unfamiliarity < 1
        assert result.cascade.predicted_class in result.uncertainty.class_set


@pytest.mark.parametrize(
    "name", ["CMU-1-Small-Region.svs", "CMU-1-Small-Region-dicom", "luna-1065626.svs"]
)
def test_the_demo_model_says_that_it_does_not_know_real_tissue(real_slides_dir, name):
    result = analyze_slide(real_slides_dir / name, "demo", options=Options(last_depth=0))
    assert "The model demo does not know slides like this one: it is " in result.unfit
    assert result.uncertainty.unfamiliarity > 1.3
    assert result.uncertainty.class_set == ("normal", "tumor")

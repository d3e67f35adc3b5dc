import cv2
import numpy as np
import pytest

from napari_hagmil.bundles import find_bundle
from napari_hagmil.encoders import load_encoder
from napari_hagmil.models import load_bundle
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.pipeline import analyze_slide

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
    demo.config.check_encoder(encoder.name, encoder.n_features, encoder.weights_sha256)
    assert encoder.patch_size == demo.config.patch_size


def test_the_seeds_of_training_and_validation_are_on_record_and_disjoint(demo):
    ranges = [split["seeds"] for split in demo.config.training["splits"].values()]
    assert len(ranges) == 2
    (a, b), (c, d) = sorted(ranges)
    assert a <= b < c <= d < 1_200_000  # where the held-out seeds begin


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

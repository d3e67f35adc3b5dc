"""Recipes: three ways to train HAG-MIL, of one code."""

from dataclasses import replace

import pytest
import torch
from test_protocol import cohort, imported, written

from napari_hagmil.cli import main
from napari_hagmil.errors import ProtocolError
from napari_hagmil.models import EncoderFacts, load_bundle
from napari_hagmil.training.protocol.fitting import build
from napari_hagmil.training.protocol.methods import FeatureFacts
from napari_hagmil.training.protocol.paper import PaperSettings
from napari_hagmil.training.protocol.recipes import RECIPES
from napari_hagmil.training.protocol.toml_file import load_protocol

__all__ = ["cohort", "imported", "written"]

FACTS = FeatureFacts(EncoderFacts("e", None, 16), 224, (1.0, 0.5, 0.25), ("normal", "tumor"))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("n_depths", [1, 2, 3])
@pytest.mark.parametrize("has_negative", [True, False])
def test_every_recipe_fits_any_depths_and_sets_nothing_that_is_idle(name, n_depths, has_negative):
    facts = replace(FACTS, mpp=FACTS.mpp[:n_depths])
    method = RECIPES[name](PaperSettings(n_depths, subtyping=True, has_negative=has_negative))
    with torch.device("meta"):
        model = build(method, facts, 0)
    assert model.config.n_depths == n_depths
    assert len(model.config.budget) == n_depths - 1


def test_only_a_known_negative_is_added_to_other_bags():
    joined = RECIPES["hagmil"](PaperSettings(has_negative=True)).training
    assert (joined.join, joined.background) == (0.5, 0)
    subtypes = RECIPES["hagmil"](PaperSettings(has_negative=False)).training
    assert (subtypes.join, subtypes.background) == (0.0, None)


def test_the_official_recipe_is_the_official_codes_loss_and_k():
    """Facts of the official code: 0.5 CE + 0.5 instance loss, 8 a side, 7,000 and 10,000."""
    method = RECIPES["official"](PaperSettings())
    loss = method.training.loss
    assert (loss.bag_weight, loss.instance_weight, loss.k) == (0.5, 0.5, 8)
    assert (loss.instance_loss, loss.label_smoothing) == ("clam", 0.1)
    assert (method.training_budget, method.budget) == ((7000, 7000), (10000, 10000))
    assert (method.training.learning_rate, method.training.weight_decay) == (1e-5, 1e-5)


def words(cohort):
    return ["--store", str(cohort.parent / "store"), "--out", str(cohort.parent / "out")]


@pytest.fixture
def quick(monkeypatch):
    """The recipes as they are, but for two epochs."""

    def shortened(make):
        def method(settings):
            made = make(settings)
            narrowing = min(made.narrowing, 1)
            return replace(made, narrowing=narrowing, training=replace(made.training, epochs=2))

        return method

    short = {name: shortened(make) for name, make in RECIPES.items()}
    monkeypatch.setattr("napari_hagmil.training.protocol.recipes.RECIPES", short)


def test_train_takes_our_recipe_unless_told_otherwise(cohort, written, quick):
    only_split = ["--config", str(written("[protocol]\nrepeats = 1\n"))]
    assert main(["train", str(cohort), *words(cohort), *only_split]) == 0
    (bundle,) = (cohort.parent / "out" / "runs" / "hag-mil-hagmil").rglob("model.hagmil")
    config = load_bundle(bundle).config
    assert config.context == "ancestors"
    assert {stage.norms for stage in config.stages} == {"none"}


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (["--method", "HAG-MIL"], "takes a recipe or a method, not both"),
        (["--config", "PROTOCOL"], "has methods of its own, so that no recipe can be trained"),
    ],
)
def test_a_recipe_beside_methods_is_refused(cohort, written, capsys, more, rule):
    more = [str(written("[[method]]\nname = 'a'\n")) if m == "PROTOCOL" else m for m in more]
    assert main(["train", str(cohort), *words(cohort), "--recipe", "paper", *more]) == 1
    assert rule in capsys.readouterr().err


def test_smoothing_the_labels_of_the_only_depth_is_refused(written):
    text = "[[method]]\nname = 'a'\ndepths = [0]\ninstance_loss = 'none'\n"
    (method,) = load_protocol(written(text)).methods
    assert method.training.loss.label_smoothing == 0
    with pytest.raises(ProtocolError, match="sets label_smoothing, which has no effect"):
        load_protocol(written(text + "label_smoothing = 0.1\n"))

"""Every setting of a method changes what is trained, or is refused by name."""

from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest
import torch

from napari_hagmil.errors import BundleError, ProtocolError
from napari_hagmil.models import EncoderFacts, IATConfig, LossConfig
from napari_hagmil.quadtree import children
from napari_hagmil.training import CohortSlide, TrainConfig
from napari_hagmil.training.protocol import fitting
from napari_hagmil.training.protocol.fitting import FitSettings, build, fit
from napari_hagmil.training.protocol.idle import (
    idle_settings,
    require_settings_that_work,
    without,
)
from napari_hagmil.training.protocol.methods import FeatureFacts, Method
from napari_hagmil.training.protocol.toml_file import load_protocol

N_FEATURES = 4
FACTS = FeatureFacts(EncoderFacts("none", None, N_FEATURES), 8, (1.0, 0.5, 0.25), ("no", "yes"))
SIDE = 2


class Drawn:
    """Features drawn once per depth, about a mean."""

    def __init__(self, mean, seed):
        generator = torch.Generator().manual_seed(seed)
        self.depths = [
            torch.randn(SIDE << d, SIDE << d, N_FEATURES, generator=generator) + mean
            for d in range(3)
        ]

    def __call__(self, depth, nodes):
        return self.depths[depth][nodes[:, 0], nodes[:, 1]]


def slides():
    rows, columns = np.divmod(np.arange(SIDE * SIDE), SIDE)
    coarse = np.stack((rows, columns), 1)
    found = []
    for i in range(5):
        nodes = [coarse]
        for _ in range(2):
            below = children(nodes[-1])
            nodes.append(below[np.arange(len(below)) % 4 != 1])
        # What is learnt is wrong on the last two, with which training is validated.
        mean = i % 2 if i < 3 else 1 - i % 2
        found.append(CohortSlide(f"s{i}", i % 2, tuple(nodes), Drawn(mean, i)))
    return found


SLIDES = slides()
IAT = {
    "widths": (8,), "heads": 2, "instance_dim": 8, "gate_dim": 4, "residual_kernel": 3,
    "landmarks": 5, "attention": "nystrom",
}  # fmt: skip
TRAINING = TrainConfig(epochs=1, learning_rate=1e-2, loss=LossConfig(k=1))
CASCADE = Method("m", options=IAT, budget=(3, 4), training=TRAINING)
GUIDED = replace(CASCADE, training=replace(TRAINING, guidance=1.0))
SMALL = {"hidden": 8}


def one_depth(model, options, loss="none"):
    training = replace(TRAINING, loss=LossConfig(instance_loss=loss, k=1 if loss == "clam" else 8))
    return Method("m", model=model, options=options, depths=(2,), training=training)


BASES = {
    "joint": CASCADE,
    "stagewise": replace(CASCADE, schedule="stagewise"),
    "guided jointly": replace(GUIDED, schedule="guided jointly"),
    "the transformer at one depth": replace(CASCADE, depths=(2,), budget=()),
    "gated_ab_mil": one_depth("gated_ab_mil", {"widths": (8,), "hidden": 4}),
    "mean_pooling": one_depth("mean_pooling", SMALL),
    "clam_sb": one_depth("clam_sb", {"hidden": 8, "gate_dim": 4}, "clam"),
    "dtfd_afs": one_depth("dtfd_afs", {"hidden": 8, "gate_dim": 4, "bias": True}),
}

OF_SELF_ATTENTION = ("heads", "landmarks", "attention", "residual_kernel")

#: Setting → what it is compared with, and what it is set to, with all that it needs.
ROWS = {
    "depths": ({}, {"depths": (0, 1), "budget": (3,)}),
    "schedule": ({}, {"schedule": "guided", "guidance": 1.0}),
    "context": ({}, {"context": "ancestors"}),
    "children": ({}, {"children": "all"}),
    "teacher_context": ({}, {"teacher_context": "none"}),
    "decision": ({}, {"decision": "all depths"}),
    "budget": ({}, {"budget": (1, 2)}),
    "training_budget": ({}, {"training_budget": (1, 2)}),
    "random": ({}, {"random": (2, 2)}),
    "first_budget": (
        {"first_budget": (4, 9), "narrowing": 1, "epochs": 2},
        {"first_budget": (1, 1), "narrowing": 1, "epochs": 2},
    ),
    "narrowing": (
        {"first_budget": (9, 30), "narrowing": 1, "epochs": 3},
        {"first_budget": (9, 30), "narrowing": 2, "epochs": 3},
    ),
    "sweep": None,  # read with, too
    "choose_budget": None,  # read with, not trained with: test_protocol.py
    "standardise": ({}, {"standardise": True}),
    "unmixed": ({}, {"unmixed": True}),
    "glorot": ({}, {"glorot": True}),
    "epochs": ({"keep_last": True}, {"keep_last": True, "epochs": 2}),
    "patience": (
        {"epochs": 4, "learning_rate": 0.1},
        {"epochs": 4, "learning_rate": 0.1, "patience": 1},
    ),
    "min_epochs": (
        {"epochs": 4, "learning_rate": 0.1, "patience": 1},
        {"epochs": 4, "learning_rate": 0.1, "patience": 1, "min_epochs": 4},
    ),
    "validated": (
        {"epochs": 4, "learning_rate": 0.1, "instance_weight": -3.0},
        {"epochs": 4, "learning_rate": 0.1, "instance_weight": -3.0, "validated": "bag"},
    ),
    "rate_epochs": (
        {"epochs": 2, "keep_last": True},
        {"epochs": 2, "rate_epochs": (1,), "keep_last": True},
    ),
    "rate_factor": (
        {"epochs": 2, "rate_epochs": (1,), "keep_last": True},
        {"epochs": 2, "rate_epochs": (1,), "keep_last": True, "rate_factor": 0.5},
    ),
    "balanced": ({"seed": 4}, {"balanced": True, "seed": 4}),
    "learning_rate": ({}, {"learning_rate": 1e-3}),
    "weight_decay": ({}, {"weight_decay": 1.0}),
    "optimiser": ({}, {"optimiser": "sgd"}),
    "rate_decay": ({}, {"rate_decay": 1.0}),
    "accumulate": ({}, {"accumulate": 2}),
    "clip": ({}, {"clip": 1e-3, "optimiser": "sgd"}),
    "feature_dropout": ({}, {"feature_dropout": 0.5}),
    "background": ({"background": 1, "join": 1.0}, {"background": 0, "join": 1.0}),
    "join": ({"background": 0, "join": 1e-9}, {"background": 0, "join": 1.0}),
    "guidance": ({}, {"guidance": 9.0}),
    "feedback": ({}, {"feedback": 1.0}),
    "precision": ({}, {"precision": "bfloat16"}),
    "keep_last": (
        {"epochs": 4, "learning_rate": 0.1},
        {"epochs": 4, "learning_rate": 0.1, "keep_last": True},
    ),
    "seed": ({}, {"seed": 5}),
    "bag_weight": ({"optimiser": "sgd"}, {"optimiser": "sgd", "bag_weight": 0.1}),
    "instance_weight": ({}, {"instance_weight": 5.0}),
    "label_smoothing": ({}, {"label_smoothing": 0.3}),
    "instance_loss": ({}, {"instance_loss": "paper"}),
    "k": ({}, {"k": 4}),
    "subtyping": ({}, {"subtyping": True}),
    "options.widths": ({}, {"options.widths": (8, 8)}),
    "options.heads": ({}, {"options.heads": 4}),
    "options.landmarks": ({}, {"options.landmarks": 3}),
    "options.instance_dim": ({}, {"options.instance_dim": 6}),
    "options.gate_dim": ({}, {"options.gate_dim": 5}),
    "options.bag_dim": ({}, {"options.bag_dim": 5}),
    "options.attention_dropout": ({}, {"options.attention_dropout": 0.0}),
    "options.gate_dropout": ({}, {"options.gate_dropout": 0.0}),
    "options.attention": ({}, {"options.attention": "exact", "options.landmarks": None}),
    "options.legacy_padding": ({}, {"options.legacy_padding": True}),
    "options.pinv_iterations": ({}, {"options.pinv_iterations": 1}),
    "options.residual_kernel": ({}, {"options.residual_kernel": 5}),
    "options.pooling": ({}, {"options.pooling": "class_token"}),
    "options.gated": ({}, {"options.gated": False}),
    "options.token_attention": ({}, {"options.token_attention": "patch_loss"}),
    "options.patch_head": ({}, {"options.patch_head": "classes"}),
    "options.norms": ({}, {"options.norms": "none"}),
    "options.self_attention": (
        {},
        {
            "options.self_attention": False,
            **{
                f"options.{n}": getattr(IATConfig(), n) for n in ("heads", "landmarks", "attention")
            },
            "options.residual_kernel": IATConfig().residual_kernel,
        },
    ),
    "options.branch_dropout": ({}, {"options.branch_dropout": 0.9}),
    "options.scored": ({}, {"options.scored": "projected"}),
    "options.sharpness": ({}, {"options.sharpness": 3.0}),
    "options.top": ({}, {"options.top": 3}),
}

DESCENT = {
    "schedule", "context", "children", "decision", "budget", "training_budget", "random",
    "label_smoothing",
}  # fmt: skip
TEACHER = {"teacher_context", "guidance"}
NARROWING = {"first_budget", "narrowing", "feedback"}
LOSS = {"instance_loss", "instance_weight", "k", "subtyping", "validated"}
ANY_IAT = {"options.token_attention", "options.patch_head", "options.top"}

#: What is refused: the setting does nothing there, or does not go with the rest.
REFUSED = {
    "joint": {*TEACHER, *ANY_IAT},
    "stagewise": {*TEACHER, *NARROWING, *ANY_IAT},
    "guided jointly": ANY_IAT,
    "the transformer at one depth": {*DESCENT, *TEACHER, *NARROWING, *ANY_IAT},
    "gated_ab_mil": {*DESCENT, *TEACHER, *NARROWING, *LOSS, "unmixed"},
    "mean_pooling": {*DESCENT, *TEACHER, *NARROWING, *LOSS, "unmixed"},
    "clam_sb": {*DESCENT, *TEACHER, *NARROWING, "unmixed", "instance_loss"},
    "dtfd_afs": {*DESCENT, *TEACHER, *NARROWING, "unmixed", "instance_loss", "k", "subtyping"},
}

#: Refused because they do not go with another setting, and not because they do nothing.
CONFLICTS = {"instance_loss", "options.patch_head"}


def having(method, settings):
    """The method with settings that are named as in a protocol file."""
    training, options = method.training, dict(method.options)
    names = {f.name for f in fields(Method)}
    for name, value in settings.items():
        if name.startswith("options."):
            options[name.removeprefix("options.")] = value
        elif name in names:
            method = replace(method, **{name: value})
        elif hasattr(training, name):
            training = replace(training, **{name: value})
        else:
            training = replace(training, loss=replace(training.loss, **{name: value}))
    return replace(method, training=training, options=options)


@cache
def outcome(base, settings):
    """What came out: the weights, how the depths decide, and how many epochs it took."""
    method = having(BASES[base], dict(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "require_settings_that_work", lambda method: None)
        model = build(method, FACTS, 0)
    epochs = list(fit(method, model, SLIDES[:3], SLIDES[3:], FitSettings(0)))
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return weights, model.depth_weights, len(epochs)


def differs(base, plain, changed):
    one, other = outcome(base, tuple(plain.items())), outcome(base, tuple(changed.items()))
    same_weights = one[0].shape == other[0].shape and torch.equal(one[0], other[0])
    return not same_weights or one[1:] != other[1:]


def refusal(method):
    """The sentence, or nothing."""
    try:
        require_settings_that_work(method)
    except ProtocolError as error:
        return str(error)
    return ""


#: Options are the model's: one way to train several depths at once, and one of one depth.
WITH_OPTIONS = ("joint", "guided jointly", "the transformer at one depth")

CASES = [
    (base, name)
    for base in BASES
    for name, row in ROWS.items()
    if row is not None and (base in WITH_OPTIONS or not name.startswith("options."))
]


@pytest.mark.parametrize(("base", "name"), CASES)
def test_a_setting_changes_what_is_trained_or_is_refused(base, name):
    plain, changed = ROWS[name]
    assert not refusal(BASES[base])
    method = having(BASES[base], changed)
    assert bool(refusal(method)) == (name in REFUSED[base]), refusal(method)
    idle = {one.name for one in idle_settings(method)}
    if not refusal(method):
        assert differs(base, plain, changed)
    elif name in idle and not {"first_budget", "feedback"} & changed.keys():
        assert "; leave it out" in refusal(method)
        assert not differs(base, plain, changed), "what is refused for doing nothing does nothing"
    else:
        assert name in CONFLICTS | NARROWING


EVIDENCE = {"options.pooling": "evidence", "options.top": 1, "instance_loss": "none", "k": 8}
WITHOUT_SCORES = {"options.instance_dim": 512, "options.gate_dim": 256}


@pytest.mark.parametrize("base", WITH_OPTIONS)
def test_evidence_decides_in_the_transformer_and_needs_no_scores(base, monkeypatch):
    settings = EVIDENCE | WITHOUT_SCORES
    method = having(BASES[base], settings)
    assert not refusal(method)
    monkeypatch.setitem(BASES, "evidence", method)
    assert differs("evidence", {}, {"options.top": 2})
    assert "needs no scores" in refusal(having(method, {"options.gate_dim": 4}))
    assert "needs no scores" in refusal(having(method, {"options.scored": "projected"}))
    assert "an instance loss" in refusal(having(method, {"instance_loss": "clam"}))
    outcome.cache_clear()


def test_no_setting_is_left_out():
    own = {f.name for kind in (Method, TrainConfig, LossConfig) for f in fields(kind)}
    own -= {"name", "model", "options", "group", "training", "loss"}
    own -= {"endpoint"}  # of a whole protocol: test_endpoint_training.py
    options = {f"options.{f.name}" for f in fields(IATConfig)}
    options -= {"options.n_features", "options.n_classes"}  # the features', the cohort's
    assert set(ROWS) == own | options


def in_file(tmp_path, text):
    path = tmp_path / "protocol.toml"
    path.write_text(text)
    return load_protocol(path).methods


SHARED = "[defaults]\nbudget = [2, 2]\nbackground = 0\n"


def test_of_the_defaults_a_method_takes_what_does_something_in_it(tmp_path):
    methods = "[[method]]\nname = 'a'\njoin = 0.5\n[[method]]\nname = 'b'\nmodel = 'ab_mil'\n"
    cascade, pooled = in_file(tmp_path, SHARED + methods)
    assert (cascade.budget, cascade.training.background) == ((2, 2), 0)
    assert (pooled.budget, pooled.training.background) == ((), None)


def test_a_default_that_does_nothing_in_any_method_is_refused(tmp_path):
    with pytest.raises(ProtocolError, match=r"sets background in \[defaults\], which"):
        in_file(tmp_path, SHARED + "[[method]]\nname = 'a'\n")


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("depths", "epochs")])
def test_a_setting_is_put_back_to_its_default_by_its_name(name):
    row = ROWS[name] or ({}, {"choose_budget": True, "sweep": ((1, 1),)})
    changed = without(having(Method("m"), {name: row[1][name]}), name)
    assert changed == Method("m")


def test_a_background_that_is_no_class_is_refused():
    method = having(CASCADE, {"background": 2, "join": 0.5})
    with pytest.raises(BundleError, match="none of the classes no, yes"):
        build(method, FACTS, 0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"narrowing": 1, "first_budget": (9, 9)}, "no epoch has the budget of training"),
        ({"depths": (0, 1), "budget": (2, 2)}, "more numbers in a budget than depths"),
        ({"schedule": "guided"}, "a teacher and no weight for its guidance"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, says):
    assert says in refusal(having(CASCADE, settings))


def test_a_standardised_dtfd_needs_a_bias_before_it_is_trained_and_not_after():
    method = having(BASES["dtfd_afs"], {"standardise": True, "options.bias": False})
    assert "no bias in its first layer" in refusal(method)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("patience", 0), ("accumulate", 0), ("learning_rate", -1e-3),
        ("learning_rate", float("nan")), ("clip", 0.0), ("join", 1.5), ("feature_dropout", 1.0),
        ("guidance", -1.0), ("weight_decay", -1.0), ("optimiser", "adma"), ("precision", "half"),
        ("rate_epochs", (200,)), ("rate_factor", 0.0), ("min_epochs", 999), ("validated", "all"),
    ],
)  # fmt: skip
def test_a_value_that_no_training_can_have_is_named(name, value):
    with pytest.raises(ValueError, match=name):
        TrainConfig(**{name: value})

"""The paper's protocols against the paper: every figure of its section 4 that they can hold."""

import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_hagmil.cohort import Cohort, SlideRecord, holdout, three_way
from napari_hagmil.models import IATConfig, IntegratedAttentionTransformer
from napari_hagmil.models.baselines import BASELINES
from napari_hagmil.training import TrainConfig
from napari_hagmil.training.protocol.fitting import stage_training
from napari_hagmil.training.protocol.paper import PaperSettings, paper_methods
from napari_hagmil.training.protocol.toml_file import load_protocol

FOLDER = Path(__file__).parents[2] / "docs" / "protocols"
NAMES = ("camelyon16", "tcga-rcc", "tcga-nsclc", "imgc")
EACH = pytest.mark.parametrize("name", NAMES)

#: § 4.4, Figure 3: "from 7 to 7,000 at equal intervals", eight of them.
FIGURE_3 = [7, 1006, 2005, 3004, 4003, 5002, 6001, 7000]

#: § 4.2, the methods of Tables 1 and 2.
METHODS = [
    ("HAG-MIL", "iat"),
    ("max pooling", "max_pooling"),
    ("mean pooling", "mean_pooling"),
    ("AB-MIL", "ab_mil"),
    ("CLAM-SB", "clam_sb"),
    ("CLAM-MB", "clam_mb"),
    ("TransMIL", "transmil"),
    ("DTFD-MIL", "dtfd_afs"),
]

_CLAM = {"learning_rate": 2e-4, "weight_decay": 1e-5, "balanced": True, "min_epochs": 52}

#: Of the authors' published code, what differs from one Adam, a bag a step, no bound, one rate.
AUTHORS = {
    "max pooling": _CLAM,  # CLAM's mil; core_utils.py: stop_epoch=50, counted from 0
    "mean pooling": _CLAM,
    # AttentionDeepMIL, main.py: --lr, --reg 10e-5
    "AB-MIL": {"learning_rate": 5e-4, "weight_decay": 1e-4},
    # README's command: --lr, --weighted_sample, --early_stopping; main.py: --reg
    "CLAM-SB": {**_CLAM, "validated": "bag"},
    "CLAM-MB": {**_CLAM, "validated": "bag"},
    # TransMIL.yaml: lr, weight_decay, grad_acc, opt
    "TransMIL": {
        "learning_rate": 2e-4, "weight_decay": 1e-5, "accumulate": 2,
        "optimiser": "lookahead radam",
    },
    # Main_DTFD_MIL.py: --lr, --weight_decay, --grad_clipping, --epoch_step, --lr_decay_ratio
    "DTFD-MIL": {
        "learning_rate": 1e-4, "weight_decay": 1e-4, "clip": 5.0, "rate_epochs": (100,),
        "rate_factor": 0.2,
    },
}  # fmt: skip


def protocol(name):
    return load_protocol(FOLDER / f"{name}.toml")


def of_group(name, group):
    return [method for method in protocol(name).methods if method.group == group]


def hagmils(name):
    return [method for method in protocol(name).methods if method.model == "iat"]


def baselines(name):
    return [method for method in protocol(name).methods if method.model != "iat"]


def cohort(counts):
    """Slides of {part: {class: n}}, each of a patient of its own."""
    records = [
        SlideRecord(Path(f"{part}-{label}-{i}.svs"), label, f"{part}-{label}-{i}", part or None)
        for part, classes in counts.items()
        for label, n in classes.items()
        for i in range(n)
    ]
    return Cohort(tuple(records), tuple(sorted({r.label for r in records})))


#: § 4.1: slides by part and class; the parts that come of them.
SPLITS = {
    "camelyon16": (
        {"train": {"normal": 157, "tumor": 111}, "test": {"normal": 80, "tumor": 49}},
        (188, 80, 129),
    ),
    "tcga-rcc": ({"": {"KICH": 121, "KIRC": 519, "KIRP": 300}}, (564, 141, 235)),
    "tcga-nsclc": ({"": {"LUSC": 512, "LUAD": 541}}, (632, 158, 263)),
    "imgc": (
        {
            "train": {"normal": 130, "cancer": 43},
            "val": {"normal": 34, "cancer": 13},
            "test": {"normal": 253, "cancer": 18},
        },
        (173, 47, 271),
    ),
}


@EACH
def test_section_4_1_the_slides_are_divided_as_the_paper_divides_them(name):
    counts, sizes = SPLITS[name]
    divide = {"holdout": holdout, "three-way": three_way}[protocol(name).scheme]
    for seed in (0, 4):
        split = divide(cohort(counts), seed=seed)
        found = tuple(map(len, (split.train, split.val, split.test)))
        assert found == pytest.approx(sizes, abs=1)
        assert sum(found) == sum(sizes)


@EACH
def test_section_4_2_five_runs_of_eight_methods(name):
    assert protocol(name).repeats == 5
    assert [(m.name, m.model) for m in of_group(name, "method")] == METHODS


@EACH
def test_section_4_2_slides_are_called_by_youdens_threshold_on_imgc_alone(name):
    assert protocol(name).threshold == ("youden" if name == "imgc" else "most probable")


@EACH
def test_section_4_2_the_classes_and_features_are_those_of_the_data_set(name):
    counts, _ = SPLITS[name]
    labels = {label for classes in counts.values() for label in classes}
    classes, features = protocol(name).classes, protocol(name).features
    assert set(classes) == labels
    assert classes[0] == "normal" or "normal" not in labels, "the negative first"
    own = ("swin-large", 1536) if name == "imgc" else ("resnet50-layer3", 1024)
    assert (features.encoder, features.n_features) == own
    assert features.mpp == (1.0, 0.5, 0.25), "10×, 20×, 40×"


@EACH
def test_section_4_2_all_methods_stop_after_20_epochs_without_a_lower_validation_loss(name):
    for method in protocol(name).methods:
        assert method.training.patience == 20
        assert method.training.epochs == 200
        assert not method.training.keep_last


@EACH
def test_section_4_2_rates_dropouts_and_dimensions_of_hagmil(name):
    for method in hagmils(name):
        assert (method.schedule, method.children) == ("joint", "all")
        training, model = method.training, IATConfig(**method.options)
        assert (training.learning_rate, training.weight_decay) == (1e-5, 1e-5)
        assert (training.optimiser, training.accumulate) == ("adam", 1)
        assert training.clip == float("inf")
        assert (model.gate_dropout, model.attention_dropout) == (0.25, 0.3)
        assert model.widths == (1024, 1536, 512, 1024)
        assert model.bag_dim == 1024
        assert model.attention == "nystrom"


@EACH
def test_section_4_2_labels_are_smoothed_at_the_lower_resolutions_of_hagmil_only(name):
    for method in hagmils(name):
        smoothed = [stage_training(method, d, 3, 0).loss.label_smoothing for d in range(3)]
        assert smoothed == [0.1, 0.1, 0.0]
    for method in baselines(name):
        assert stage_training(method, 0, 1, 0).loss.label_smoothing == 0


@EACH
def test_section_3_2_the_loss_is_the_sum_of_bag_and_patch_loss(name):
    for method in hagmils(name):
        loss = method.training.loss
        assert (loss.bag_weight, loss.instance_weight, loss.instance_loss) == (1, 1, "paper")
        assert IATConfig(**method.options).patch_head == "classes", "one head of C classes"


@EACH
def test_sections_3_3_and_3_4_norms_are_where_the_equations_have_them(name):
    assert {IATConfig(**method.options).norms for method in hagmils(name)} == {"paper"}


@EACH
def test_every_row_of_hagmil_has_a_loss_that_its_heads_can_give(name):
    features = torch.zeros(5, 8)
    for method in hagmils(name):
        small = {"n_features": 8, "widths": (8, 16), "bag_dim": 8, "instance_dim": 4, "gate_dim": 4}
        model = IntegratedAttentionTransformer(IATConfig(**{**method.options, **small}))
        assert torch.isfinite(model.loss(features, 1, method.training.loss).total)


@EACH
def test_section_4_2_baselines_work_at_level_1_and_on_imgc_all_at_level_0(name):
    # Depths 0, 1, 2 are the levels 2, 1, 0.
    depth = 2 if name == "imgc" else 1
    assert {method.depths for method in baselines(name)} == {(depth,)}
    assert all(method.on(3) == (0, 1, 2) for method in hagmils(name))


@EACH
def test_section_4_2_baselines_are_trained_as_their_authors_code_has_it(name):
    plain = TrainConfig(clip=float("inf"))
    for method in baselines(name):
        training = replace(method.training, loss=plain.loss)
        assert training == replace(plain, **AUTHORS[method.name]), method.name


@EACH
def test_without_a_file_the_papers_methods_are_those_of_its_protocols(name):
    settings = PaperSettings(subtyping=name.startswith("tcga"))
    papers = {
        method.model: method for method in paper_methods(settings) if method.group == "method"
    }
    for method in of_group(name, "method"):
        own = papers[method.model]
        assert method.training == own.training, method.name
        assert (method.budget, method.schedule, method.children) == (
            own.budget, own.schedule, own.children,
        )  # fmt: skip
        if name != "imgc":
            assert method.depths == own.depths
        if method.model == "iat":
            heads = {"patch_head": "classes"}
            assert IATConfig(**method.options) == IATConfig(
                **{**own.options, **heads, "bag_dim": 1024}
            )


@EACH
def test_clam_has_its_loss_and_subtyping_where_there_is_more_than_one_tumour_class(name):
    for method in baselines(name):
        if method.name.startswith("CLAM"):
            loss = method.training.loss
            assert (loss.bag_weight, loss.instance_weight, loss.k) == (0.7, 0.3, 8)
            assert loss.instance_loss == "clam"
            assert loss.subtyping == name.startswith("tcga")


@EACH
def test_baselines_have_no_options_of_the_transformer(name):
    for method in baselines(name):
        BASELINES[method.model](1024, 2, **method.options)


@pytest.mark.parametrize("name", ["camelyon16", "tcga-rcc"])
def test_figure_3_has_eight_k_in_training_and_at_inference(name):
    hagmil, *others = protocol(name).methods
    assert [list(budget) for budget in hagmil.sweep] == [[k, k] for k in FIGURE_3]
    assert not protocol(name).sweep
    assert not any(method.sweep for method in others), "the curve of inference is of one model"
    trained = [*of_group(name, "k in training"), of_group(name, "method")[0]]
    assert [list(method.budget) for method in trained] == [[k, k] for k in FIGURE_3]
    assert not any(method.training_budget for method in trained), "trained and read with it"
    assert len({str(method.options) for method in trained}) == 1, "nothing but k differs"


@pytest.mark.parametrize("name", ["tcga-nsclc", "imgc"])
def test_figure_3_and_table_3_are_of_no_other_data_set(name):
    assert protocol(name).sweep == ()
    assert not any(method.sweep for method in protocol(name).methods)
    assert {method.group for method in protocol(name).methods} == {"method"}


def test_table_3_has_a_row_each_and_hagmil_is_not_trained_again():
    rows = [IATConfig(**method.options) for method in of_group("camelyon16", "ablation")]
    rows.append(IATConfig(**of_group("camelyon16", "method")[0].options))
    # The paper does not say what trains the attention beside a token: both readings are rows.
    assert Counter((row.pooling, row.gated, row.token_attention) for row in rows) == {
        ("class_token", False, "auxiliary"): 1,
        ("class_token", True, "auxiliary"): 1,
        ("class_token", False, "patch_loss"): 1,
        ("class_token", True, "patch_loss"): 1,
        ("aggregation", False, "auxiliary"): 1,
        ("aggregation", True, "auxiliary"): 1,
    }
    assert not of_group("tcga-rcc", "ablation")


@EACH
def test_the_features_that_the_paper_took_are_named_in_the_commands(name):
    encoder = "swin-large" if name == "imgc" else "resnet50-layer3"
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    assert f"--encoder {encoder} --depths 1,0.5,0.25 --patch-size 256" in text
    assert f"--config {name}.toml" in text


@EACH
def test_no_default_reaches_a_method_in_which_it_does_nothing(name):
    content = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    assert set(content["defaults"]) == {"epochs", "patience", "optimiser", "accumulate", "clip"}

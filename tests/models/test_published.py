"""Checkpoints of other methods become bundles that compute what their authors' code computes."""

from __future__ import annotations

import json
import math
import re

import nystrom_attention
import pytest
import safetensors.torch
import torch
from torch import nn

from napari_hagmil.cascade.run import run_over
from napari_hagmil.cli import main
from napari_hagmil.errors import BundleError
from napari_hagmil.models import PublishedFacts, convert_published, load_bundle, load_published
from napari_hagmil.quadtree import PatchGrid, Quadtree

D, H, A, C = 12, 8, 6, 3
FACTS = PublishedFacts(classes=("a", "b", "c"), encoder="uni_v1", mpp=0.5, patch_size=256)


def linear(prefix, rows, columns, *, bias=True):
    made = {f"{prefix}.weight": torch.randn(rows, columns)}
    return made | ({f"{prefix}.bias": torch.randn(rows)} if bias else {})


def gated(prefix, branches, inputs=H):
    return {
        **linear(f"{prefix}.attention_a.0", A, inputs),
        **linear(f"{prefix}.attention_b.0", A, inputs),
        **linear(f"{prefix}.attention_c", branches, A),
    }


def clam(branches=1, at=3):
    return linear("attention_net.0", H, D) | gated(f"attention_net.{at}", branches)


def instance_heads():
    heads = [linear(f"instance_classifiers.{c}", 2, H) for c in range(C)]
    return heads[0] | heads[1] | heads[2] | {"instance_loss_fn.labels": torch.arange(2)}


def clam_sb():
    return clam() | linear("classifiers", C, H) | instance_heads()


def clam_sb_in_parallel():
    return {
        name.replace("attention_net.", "attention_net.module."): value
        for name, value in clam_sb().items()
    }


def clam_sb_plain():
    made = linear("attention_net.0", H, D) | linear("attention_net.3.module.0", A, H)
    return (
        made
        | linear("attention_net.3.module.3", 1, A)
        | linear("classifiers", C, H)
        | instance_heads()
    )


def clam_mb():
    heads = [linear(f"classifiers.{c}", 1, H) for c in range(C)]
    return clam(branches=C) | heads[0] | heads[1] | heads[2] | instance_heads()


def ab_mil_in_clam():
    return clam(at=2) | linear("classifier", C, H)


def ilse_gated(*, older=False):
    score = "attention_weights" if older else "attention_w"
    return {
        **linear("feature_extractor_part2.0", H, D),
        **linear("attention_V.0", A, H),
        **linear("attention_U.0", A, H),
        **linear(score, 1, A),
        **linear("classifier.0", 1, H),
    }


def ilse_plain():
    two = linear("feature_extractor.0", 10, D) | linear("feature_extractor.3", H, 10)
    return (
        two
        | linear("attention.0", A, H)
        | linear("attention.2", 1, A)
        | linear("classifier.0", 1, H)
    )


def ilse_bare():
    return {
        **linear("attention.0", A, D),
        **linear("attention.2", 1, A),
        **linear("classifier", C, D),
    }


def dtfd():
    def attention(prefix):
        return {
            **linear(f"{prefix}attention_V.0", A, H),
            **linear(f"{prefix}attention_U.0", A, H),
            **linear(f"{prefix}attention_weights", 1, A),
        }

    return {
        "classifier": linear("fc", C, H),
        "dim_reduction": linear("fc1", H, D, bias=False),
        "attention": attention(""),
        "att_classifier": attention("attention.") | linear("classifier.fc", C, H),
    }


def transmil():
    made = PublishedTransMIL().state_dict()
    return {f"model.{name}": value for name, value in made.items()}


class TransLayer(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = nystrom_attention.NystromAttention(
            dim=dim, dim_head=dim // 8, heads=8, num_landmarks=dim // 2, pinv_iterations=6,
            residual=True, dropout=0.1,
        )  # fmt: skip

    def forward(self, x):
        return x + self.attn(self.norm(x))


class Positions(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.proj, self.proj1, self.proj2 = (
            nn.Conv2d(dim, dim, k, 1, k // 2, groups=dim) for k in (7, 5, 3)
        )

    def forward(self, x, side):
        token, rest = x[:, :1], x[:, 1:]
        image = rest.transpose(1, 2).reshape(1, -1, side, side)
        image = image + self.proj(image) + self.proj1(image) + self.proj2(image)
        return torch.cat((token, image.flatten(2).transpose(1, 2)), 1)


class PublishedTransMIL(nn.Module):
    """The published network by its equations, with the published names."""

    def __init__(self, dim=16):
        super().__init__()
        self.pos_layer = Positions(dim)
        self._fc1 = nn.Sequential(nn.Linear(D, dim), nn.ReLU())
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.layer1, self.layer2 = TransLayer(dim), TransLayer(dim)
        self.norm, self._fc2 = nn.LayerNorm(dim), nn.Linear(dim, C)

    def forward(self, features):
        h = self._fc1(features[None])
        side = math.ceil(math.sqrt(h.shape[1]))
        h = torch.cat((h, h[:, : side * side - h.shape[1]]), 1)
        h = self.layer1(torch.cat((self.cls_token, h), 1))
        return self._fc2(self.norm(self.layer2(self.pos_layer(h, side)))[:, 0])[0]


def affine(w, name, x):
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)


def gate(w, v, u, score, h):
    hidden = affine(w, v, h).tanh()
    return affine(w, score, hidden if u is None else hidden * affine(w, u, h).sigmoid())


def of_clam(w, x):
    at = next(n for n in (2, 3) if any(name.startswith(f"attention_net.{n}.") for name in w))
    h = affine(w, "attention_net.0", x).relu()
    prefix = f"attention_net.{at}."
    if f"{prefix}module.0.weight" in w:
        scores = gate(w, f"{prefix}module.0", None, f"{prefix}module.3", h)
    else:
        parts = [f"{prefix}attention_{part}" for part in ("a.0", "b.0", "c")]
        scores = gate(w, *parts, h)
    pooled = scores.T.softmax(1) @ h
    if "classifiers.0.weight" in w:
        rows = [affine(w, f"classifiers.{c}", pooled[c]) for c in range(C)]
        return torch.cat(rows).softmax(0)
    head = "classifiers" if "classifiers.weight" in w else "classifier"
    return affine(w, head, pooled[0]).softmax(0)


def of_ilse(w, x):
    for layer in ("feature_extractor_part2.0", "feature_extractor.0", "feature_extractor.3"):
        x = affine(w, layer, x).relu() if f"{layer}.weight" in w else x
    if "attention.0.weight" in w:
        scores = gate(w, "attention.0", None, "attention.2", x)
    else:
        score = "attention_w" if "attention_w.weight" in w else "attention_weights"
        scores = gate(w, "attention_V.0", "attention_U.0", score, x)
    pooled = scores.T.softmax(1) @ x
    if "classifier.weight" in w:
        return affine(w, "classifier", pooled[0]).softmax(0)
    positive = affine(w, "classifier.0", pooled[0]).sigmoid()
    return torch.cat((1 - positive, positive))


def of_dtfd(w, x, groups, kind):
    """Both tiers for one grouping; an instance's activation is its contribution's class scores."""
    parts = ("attention_V.0", "attention_U.0", "attention_weights")
    h = affine(w["dim_reduction"], "fc1", x).relu()
    scores = gate(w["attention"], *parts, h)[:, 0]
    handed = []
    for group in groups:
        weighted = h[group] * scores[group].softmax(0)[:, None]
        activation = (weighted @ w["classifier"]["fc.weight"].T).softmax(1)
        order = (1 - activation[:, 0]).argsort(descending=True)
        chosen = {"maxs": order[:1], "maxmins": order[[0, -1]]}
        handed.append(weighted.sum(0)[None] if kind == "afs" else h[group][chosen[kind]])
    second = torch.cat(handed)
    upper = gate(w["att_classifier"], *(f"attention.{part}" for part in parts), second)
    return affine(w["att_classifier"], "classifier.fc", upper[:, 0].softmax(0) @ second)


CASES = {
    "CLAM-SB": (clam_sb, of_clam),
    "CLAM-SB plain": (clam_sb_plain, of_clam),
    "CLAM-MB": (clam_mb, of_clam),
    "AB-MIL in CLAM's layout": (ab_mil_in_clam, of_clam),
    "gated AB-MIL": (ilse_gated, of_ilse),
    "gated AB-MIL older": (lambda: ilse_gated(older=True), of_ilse),
    "AB-MIL": (ilse_plain, of_ilse),
    "AB-MIL bare": (ilse_bare, of_ilse),
}


def saved(tmp_path, content):
    torch.save(content, tmp_path / "theirs.pt")
    return tmp_path / "theirs.pt"


@pytest.mark.parametrize("case", CASES)
def test_a_checkpoint_gives_the_published_probabilities(tmp_path, case):
    make, published = CASES[case]
    weights, x = make(), torch.randn(20, D)
    found = load_published(saved(tmp_path, weights))
    assert case.startswith(found.method)
    probabilities = found.model(x).logits.softmax(0)
    torch.testing.assert_close(probabilities, published(weights, x), atol=1e-5, rtol=1e-4)


def test_weights_that_torch_wrapped_for_many_devices_are_the_same(tmp_path):
    torch.manual_seed(0)
    plain = load_published(saved(tmp_path, clam_sb())).model
    torch.manual_seed(0)
    wrapped = load_published(saved(tmp_path, clam_sb_in_parallel())).model
    x = torch.randn(9, D)
    torch.testing.assert_close(plain(x).logits, wrapped(x).logits)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda weights: {f"_orig_mod.{name}": w for name, w in weights.items()},  # torch.compile
        lambda weights: {f"module._orig_mod.{name}": w for name, w in weights.items()},
        lambda weights: {"state_dict": {f"model._orig_mod.{n}": w for n, w in weights.items()}},
        lambda weights: {"net": weights, "epoch": 3},
        lambda weights: {"model_state": {f"mil.net.{n}": w for n, w in weights.items()}},
    ],
)
def test_weights_are_the_same_whatever_a_script_put_around_their_names(tmp_path, wrapped):
    """FareedKhan-dev/train-llm-from-scratch#37, mahmoodlab/CLAM#54 and alike."""
    torch.manual_seed(0)
    weights, x = clam_sb(), torch.randn(9, D)
    plain = load_published(saved(tmp_path, weights)).model
    other = load_published(saved(tmp_path, wrapped(weights))).model
    torch.testing.assert_close(plain(x).logits, other(x).logits)


def test_weights_may_be_kept_as_safetensors(tmp_path):
    weights, x = clam_sb(), torch.randn(9, D)
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(weights, path)
    plain = load_published(saved(tmp_path, weights)).model
    torch.testing.assert_close(plain(x).logits, load_published(path).model(x).logits)
    path.write_bytes(b"no tensors")
    with pytest.raises(BundleError, match="cannot be read as a checkpoint"):
        load_published(path)


@pytest.mark.parametrize("kind", ["afs", "maxs", "maxmins"])
def test_dtfd_gives_the_published_tiers_of_its_groups(tmp_path, kind):
    weights, x = dtfd(), torch.randn(21, D)
    found = load_published(saved(tmp_path, weights), distillation=kind)
    assert (found.method, found.config.model) == ("DTFD-MIL", f"dtfd_{kind}")
    groupings = found.model._groupings(x)
    assert [len(groups) for groups in groupings] == [4] * 5
    expected = torch.stack([of_dtfd(weights, x, groups, kind) for groups in groupings]).mean(0)
    torch.testing.assert_close(found.model(x).logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [5, 16, 50])
def test_transmil_gives_the_published_logits(tmp_path, n):
    torch.manual_seed(n)
    theirs, x = PublishedTransMIL().eval(), torch.randn(n, D)
    path = saved(
        tmp_path, {"state_dict": {f"model.{k}": v for k, v in theirs.state_dict().items()}}
    )
    found = load_published(path)
    assert found.method == "TransMIL"
    with torch.inference_mode():
        torch.testing.assert_close(found.model(x).logits, theirs(x), atol=1e-4, rtol=1e-4)


def test_a_transmil_bundle_reads_its_bag_down_the_columns_as_it_was_trained(tmp_path):
    torch.manual_seed(1)
    theirs = PublishedTransMIL().eval()
    path = saved(tmp_path, theirs.state_dict())
    convert_published(path, tmp_path / "b.hagmil", FACTS)
    model = load_bundle(tmp_path / "b.hagmil")
    grid = PatchGrid(256, 2.0, (4, 4))
    rows, columns = (torch.arange(16) // 4, torch.arange(16) % 4)
    nodes = torch.stack((rows, columns), 1).numpy()
    of_node = torch.randn(4, 4, D)

    def features(depth, asked):
        return of_node[asked[:, 0], asked[:, 1]]

    (stage,) = run_over(model, Quadtree((grid,), (nodes,)), features)
    down_the_columns = of_node.transpose(0, 1).reshape(16, D)
    with torch.inference_mode():
        expected = theirs(down_the_columns)
        mine = model.stages[0](down_the_columns).attention.reshape(4, 4)
    torch.testing.assert_close(torch.from_numpy(stage.logits), expected, atol=1e-4, rtol=1e-4)
    attention = {tuple(n): a for n, a in zip(stage.nodes.tolist(), stage.attention, strict=True)}
    assert attention[(3, 1)] == pytest.approx(float(mine[1, 3]), abs=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: {}, "has none of the layouts that are known, got the entries none"),
        (lambda: linear("fc", 2, 2), r"give weights of CLAM-MB, .*TransMIL or HAG-MIL"),
        (lambda: clam_sb() | {"extra.weight": torch.ones(1)}, "it has the entry 'extra.weight'"),
        (lambda: ab_mil_in_clam() | gated("attention_net.3", 1), "under a second name too"),
        (
            lambda: ilse_plain() | {"feature_extractor_part1.0.weight": torch.ones(20, 1, 5, 5)},
            "it reads images and not features",
        ),
        (
            lambda: {k: v for k, v in clam_sb().items() if "attention_a.0.bias" not in k},
            "scores.content.bias",
        ),
        (
            lambda: {k: v for k, v in clam_sb().items() if "attention_c" not in k},
            "scores.score.weight",
        ),
        (
            lambda: ilse_plain() | linear("attention.2", 2, A) | linear("classifier.0", 1, 2 * H),
            "2 attention branches",
        ),
        (lambda: clam_sb() | linear("attention_net.0", H + 1, D), "size mismatch"),
    ],
)  # fmt: skip
def test_another_checkpoint_is_refused_in_one_sentence(tmp_path, make, says):
    with pytest.raises(BundleError, match=says) as caught:
        load_published(saved(tmp_path, make()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "facts", "says"),
    [
        (clam_sb, {"classes": (), "mpp": 0.0}, "12 features and 3 classes.* give classes=, mpp=$"),
        (dtfd, {}, "give distillation=$"),
        (clam_sb, {"n_features": 1024}, "a model of 12 features and not of 1024"),
        (clam_sb, {"classes": ("a", "b")}, r"names 2 classes where its stages give \[3\]"),
        (clam_sb, {"mpp": -1.0}, r"needs mpp .* not \[-1.0\]"),
    ],
)  # fmt: skip
def test_what_the_checkpoint_does_not_say_is_asked_for(tmp_path, make, facts, says):
    asked = {name: getattr(FACTS, name) for name in FACTS.__dataclass_fields__} | facts
    with pytest.raises(BundleError, match=says):
        convert_published(saved(tmp_path, make()), tmp_path / "b.hagmil", PublishedFacts(**asked))
    assert not (tmp_path / "b.hagmil").exists()


def convert(path, *options):
    return main(["convert", str(path), "--out", str(path.with_name("b.hagmil")), *options])


SAID = ("--classes", "a,b,c", "--encoder", "uni_v1", "--mpp", "0.5", "--patch-size", "256")


def test_the_command_line_names_the_options_that_are_missing(tmp_path, capsys):
    assert convert(saved(tmp_path, clam_sb()), "--classes", "a,b,c") == 1
    said = capsys.readouterr().err
    assert "--encoder NAME, --mpp X in µm per pixel of its patches, --patch-size PX" in said
    assert "--classes" not in said


def test_the_command_line_makes_a_bundle_that_says_where_it_comes_from(tmp_path, capsys):
    path = saved(tmp_path, transmil())
    assert convert(path, *SAID, "--n-features", str(D), "--licence", "MIT") == 0
    assert "TransMIL, 12 features, classes a, b, c" in capsys.readouterr().out
    config = json.loads((tmp_path / "b.hagmil" / "config.json").read_text())
    assert config["training"] == {"converted_from": "theirs.pt", "method": "TransMIL"}
    assert (config["encoder"]["name"], config["licence"]) == ("uni_v1", "MIT")
    assert (config["mpp"], config["order"], config["name"]) == ([0.5], "columns", "theirs")


def test_an_official_checkpoint_takes_the_facts_of_its_kind_alone(
    official_checkpoint, tmp_path, capsys
):
    official = official_checkpoint
    out = ["--out", str(tmp_path / "b.hagmil")]
    assert main(["convert", str(official), *out, "--mpp", "0.5", "--encoder", "mine"]) == 0
    config = load_bundle(tmp_path / "b.hagmil").config
    assert (config.mpp, config.encoder.name) == ((2.0, 1.0, 0.5), "mine")
    assert main(["convert", str(official), *out, "--distillation", "afs"]) == 1
    assert re.search(r"leave out --distillation", capsys.readouterr().err)

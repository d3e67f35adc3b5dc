"""Bundles: what goes in comes out, and what does not fit is refused in one sentence."""

from __future__ import annotations

import errno
import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from napari_hagmil.errors import BundleError, OutputError
from napari_hagmil.models import (
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    IATConfig,
    bundle_sha256,
    load_bundle,
    save_bundle,
)
from napari_hagmil.models.config_json import SCHEMA

STAGE = IATConfig(n_features=6, widths=(8, 8), n_classes=2, heads=2, instance_dim=4, gate_dim=4)
CONFIG = BundleConfig(
    name="small",
    encoder=EncoderFacts(name="an-encoder", weights_sha256="ab" * 32, n_features=6),
    patch_size=64,
    mpp=(1.0, 0.5, 0.25),
    classes=("normal", "tumor"),
    stages=(STAGE, replace(STAGE, attention="exact"), replace(STAGE, widths=(16,), gated=False)),
    budget=(4, 6),
    thresholds={"tumor": 0.4},
    training={"slides": 3, "seeds": [1, 2], "source": "phantoms"},
    licence="CC0",
    intended_use="tests",
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "small.hagmil"
    save_bundle(CascadeModel(CONFIG), path)
    return path


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = bundle / "config.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_weights(bundle: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = bundle / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    change(tensors)
    file.write_bytes(safetensors.torch.save(tensors))
    edit(bundle, lambda content: content.pop("weights_sha256"))


def refusal(path: Path) -> str:
    """The one sentence with which a bundle is refused."""
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 400
    return sentence


@pytest.mark.parametrize("name", ["small.hagmil", "small.hagmil.zip", "deep/er/small.hagmil"])
def test_a_bundle_comes_back_as_it_was_saved(tmp_path, name):
    model = CascadeModel(CONFIG).eval()
    sha256 = save_bundle(model, tmp_path / name)
    loaded = load_bundle(tmp_path / name)
    assert loaded.config == CONFIG
    assert not loaded.training
    assert loaded.sha256 == model.sha256 == sha256 == bundle_sha256(tmp_path / name)
    features = torch.randn(9, 6)
    for before, after in zip(model.stages, loaded.stages, strict=True):
        for a, b in zip(before(features), after(features), strict=True):
            assert torch.equal(a, b)


def test_a_folder_and_a_zip_of_one_model_have_one_hash(tmp_path):
    model = CascadeModel(CONFIG)
    assert save_bundle(model, tmp_path / "a.hagmil") == save_bundle(model, tmp_path / "a.zip")


def test_equal_models_make_equal_files(tmp_path):
    model = CascadeModel(CONFIG)
    for name in ("a.zip", "b.zip"):
        save_bundle(model, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_zip_that_holds_the_folder_itself_can_be_loaded(bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "nested.zip", "w") as archive:
        for file in bundle.iterdir():
            archive.write(file, f"small.hagmil/{file.name}")
    assert load_bundle(tmp_path / "nested.zip").config == CONFIG


def test_saving_again_replaces_the_bundle_and_leaves_nothing_else(bundle):
    torch.manual_seed(1)
    sha256 = save_bundle(CascadeModel(CONFIG), bundle)
    assert load_bundle(bundle).sha256 == sha256
    assert [p.name for p in bundle.parent.iterdir()] == [bundle.name]


def test_what_fails_half_way_leaves_the_old_bundle_as_it_was(bundle, monkeypatch):
    before = bundle_sha256(bundle)

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"small\.hagmil cannot be written to .*no space"):
        save_bundle(CascadeModel(CONFIG), bundle)
    monkeypatch.undo()
    assert bundle_sha256(bundle) == before
    assert [p.name for p in bundle.parent.iterdir()] == [bundle.name]


@pytest.mark.parametrize("name", ["notes", "notes.txt"])
def test_something_else_is_never_replaced(tmp_path, name):
    place = tmp_path / name
    if name == "notes":
        place.mkdir()
        (place / "thesis.txt").write_text("years of work")
    else:
        place.write_text("years of work")
    with pytest.raises(BundleError, match="something else stands there"):
        save_bundle(CascadeModel(CONFIG), place)
    assert "years of work" in (place / "thesis.txt" if place.is_dir() else place).read_text()


def test_half_precision_weights_are_loaded_as_float32(bundle):
    edit_weights(bundle, lambda t: t.update({k: v.half() for k, v in t.items()}))
    assert {p.dtype for p in load_bundle(bundle).parameters()} == {torch.float32}


CONFIG_FAULTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (
        lambda c: c.update(schema="napari-hagmil/bundle/2"),
        "schema .*, got 'napari-hagmil/bundle/2'",
    ),
    (lambda c: c.pop("schema"), "schema .*, got None"),
    (lambda c: c.pop("classes"), "lacks 'classes'"),
    (lambda c: c["encoder"].pop("n_features"), r"lacks 'encoder\.n_features'"),
    (lambda c: c.update(colour="blue"), "entry 'colour'"),
    (lambda c: c["stages"][1].update(depth=3), r"entry 'stages\[1\]\.depth'"),
    (lambda c: c.update(patch_size="64"), "'patch_size' .* to be a whole number, got '64'"),
    (lambda c: c.update(mpp=[1.0, 0.5]), "mpp of its 3 depths"),
    (lambda c: c.update(mpp=[1.0, 0.5, 0.3]), "each half of the one before"),
    (lambda c: c.update(mpp=[float("nan")] * 3), "NaN is not a number that JSON knows"),
    (lambda c: c.update(mpp=[-1.0, -0.5, -0.25]), "mpp of its 3 depths"),
    (lambda c: c.update(budget=[4]), "budget of 2 positive numbers"),
    (lambda c: c.update(budget=[4, 0]), "budget of 2 positive numbers"),
    (lambda c: c.update(classes=["a", "b", "c"]), "names 3 classes where its stages give"),
    (lambda c: c.update(classes=["a", "a"]), "at least two classes with different names"),
    (lambda c: c["encoder"].update(n_features=7), "encoder 'an-encoder' gives .7"),
    (lambda c: c["stages"][0].update(widths=[9, 8]), "multiples of heads=2"),
    (lambda c: c["stages"][0].update(attention="flash"), "known attention"),
    (lambda c: c["stages"][0].update(widths=[2**28, 8]), "shape"),
    (lambda c: c["stages"].pop(), "mpp of its 2 depths"),
    (lambda c: c.update(stages=[]), "no stages"),
    (lambda c: c.update(stages=[1, 2, 3]), "'stages' .* to be a list of objects"),
    (lambda c: c.update(order="random"), "order 'quadtree', 'attention' or 'columns'"),
    (lambda c: c.update(thresholds={"other": 0.5}), "thresholds for"),
    (lambda c: c.update(weights_sha256="00"), "that its config.json was written with, .* got "),
]


@pytest.mark.parametrize(("fault", "words"), CONFIG_FAULTS, ids=[w for _, w in CONFIG_FAULTS])
def test_a_config_that_does_not_fit_is_refused_in_one_sentence(bundle, fault, words):
    edit(bundle, fault)
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)
    assert "small" in refusal(bundle)


WEIGHT_FAULTS: list[tuple[Callable[[dict[str, torch.Tensor]], object], str]] = [
    (lambda t: t.pop("stages.0.head.bias"), r"lacks weights 'stages\.0\.head\.bias'"),
    (lambda t: t.update(extra=torch.zeros(1)), "unknown weights 'extra'"),
    (lambda t: t.update({"stages.0.head.bias": torch.zeros(5)}), r"shape \(2,\), .*, got \(5,\)"),
    (lambda t: t["stages.0.head.bias"].fill_(float("nan")), "not finite"),
    (lambda t: t.update({"stages.0.head.bias": torch.tensor([1, 2])}), "not finite"),
]


@pytest.mark.parametrize(("fault", "words"), WEIGHT_FAULTS, ids=[w for _, w in WEIGHT_FAULTS])
def test_weights_that_do_not_fit_are_refused_in_one_sentence(bundle, fault, words):
    edit_weights(bundle, fault)
    with pytest.raises(BundleError, match=words):
        load_bundle(bundle)
    refusal(bundle)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
class TestAMember:
    def test_that_is_missing_is_named(self, bundle, name):
        (bundle / name).unlink()
        assert f"lacks its {name}" in refusal(bundle)

    def test_that_is_damaged_is_named(self, bundle, name):
        (bundle / name).write_bytes(b"\xff\x00 not what it was")
        assert name in refusal(bundle)

    def test_that_is_empty_is_named(self, bundle, name):
        (bundle / name).write_bytes(b"")
        assert name in refusal(bundle)

    def test_that_is_a_link_to_elsewhere_is_refused(self, bundle, name):
        outside = bundle.parent / f"outside-{name}"
        (bundle / name).rename(outside)
        (bundle / name).symlink_to(outside)
        assert f"{name} that leaves the folder" in refusal(bundle)

    def test_that_climbs_out_of_a_zip_is_refused(self, bundle, name):
        archive = bundle.parent / "slip.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for member in bundle.iterdir():
                file.write(member, f"../{member.name}" if member.name == name else member.name)
        assert f"'../{name}' that leaves the folder" in refusal(archive)

    def test_that_is_a_link_in_a_zip_is_refused(self, bundle, name):
        archive = bundle.parent / "link.zip"
        with zipfile.ZipFile(archive, "w") as file:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, "/etc/passwd")
        assert f"{name!r} that leaves the folder" in refusal(archive)

    def test_that_stands_twice_in_a_zip_is_refused(self, bundle, name):
        archive = bundle.parent / "twice.zip"
        with zipfile.ZipFile(archive, "w") as file:
            for member in bundle.iterdir():
                file.write(member, member.name)
            file.write(bundle / name, f"other/{name}")
        assert f"more than one {name}" in refusal(archive)


def test_a_stray_absolute_member_spoils_a_zip(bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "stray.zip", "w") as file:
        for member in bundle.iterdir():
            file.write(member, member.name)
        file.writestr("/etc/cron.d/job", "evil")
    assert "leaves the folder" in refusal(tmp_path / "stray.zip")


def test_a_config_that_unfolds_to_gigabytes_is_not_unfolded(bundle, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(bundle / "model.safetensors", "model.safetensors")
        file.writestr("config.json", " " * (2 << 20))
    assert "at most 1,048,576 bytes, got 2,097,152" in refusal(tmp_path / "bomb.zip")


def test_a_pickle_is_never_opened(tmp_path):
    torch.save({"weights": torch.zeros(1)}, tmp_path / "model.pt")
    assert "lacks its config.json" in refusal(tmp_path / "model.pt")


def test_what_is_not_there_or_no_bundle_is_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path / "nowhere.hagmil")
    (tmp_path / "text.zip").write_text("hello")
    assert "cannot be read" in refusal(tmp_path / "text.zip")


def test_what_may_not_be_read_is_refused(bundle, monkeypatch):
    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "cannot be read: [Errno 13] Permission denied" in refusal(bundle)


def test_only_the_encoder_of_the_training_fits():
    CONFIG.check_encoder(EncoderFacts("an-encoder", "ab" * 32, 6))
    CONFIG.check_encoder(EncoderFacts("an-encoder", None, 6, mean=(1, 2, 3), mpp=(0.5,)))
    for name, n_features, sha256, words in (
        ("other", 6, None, "cannot use 'other' with 6 features"),
        ("an-encoder", 7, None, "cannot use 'an-encoder' with 7 features"),
        ("an-encoder", 6, "cd" * 32, "other weights of it"),
    ):
        with pytest.raises(BundleError, match=words):
            CONFIG.check_encoder(EncoderFacts(name, sha256, n_features))


def test_an_encoder_that_is_fed_in_another_way_is_refused():
    fed = {"mean": (127.0, 127.0, 127.0), "std": (128.0, 128.0, 128.0), "mpp": (0.5,)}
    mine = replace(CONFIG, encoder=replace(CONFIG.encoder, **fed))
    mine.check_encoder(replace(mine.encoder, mean=(127.0001, 127.0, 127.0)))
    for name, other, words in (
        ("mean", (124.0, 116.0, 104.0), "another mean of its normalisation .124, 116, 104, not"),
        ("std", (58.0, 57.0, 57.0), "another deviation of its normalisation"),
        ("mpp", (1.0,), "another µm per pixel that it is meant for .1, not 0.5"),
    ):
        with pytest.raises(BundleError, match=words):
            mine.check_encoder(replace(mine.encoder, **{name: other}))


def test_how_an_encoder_is_fed_is_kept_in_the_bundle(tmp_path):
    facts = replace(CONFIG.encoder, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), mpp=(0.5, 0.25))
    save_bundle(CascadeModel(replace(CONFIG, encoder=facts)), tmp_path / "fed.hagmil")
    kept = load_bundle(tmp_path / "fed.hagmil").config.encoder
    assert kept.as_json() == facts.as_json()
    assert "mean" not in CONFIG.encoder.as_json()


def test_the_schema_has_a_version(bundle):
    assert json.loads((bundle / "config.json").read_text())["schema"] == SCHEMA

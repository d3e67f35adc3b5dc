"""Encoders of transformers and lazyslide-models: random weights against the libraries' own way."""

import json
import re
import socket
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from napari_hagmil.encoders import Encoder, load_encoder
from napari_hagmil.encoders.families.lazyslide import zoo_entries, zoo_entry, zoo_model
from napari_hagmil.encoders.families.libraries import local_only
from napari_hagmil.errors import EncoderError


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path):
    """In float32, by torch, with an empty cache, and nobody dials."""

    def dial(*where):
        raise AssertionError(f"something dials {where}")

    monkeypatch.setenv("HAGMIL_RUNTIME", "torch")
    monkeypatch.setenv("HAGMIL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("HAGMIL_ALLOW_CODE", raising=False)
    monkeypatch.setattr("napari_hagmil.encoders.network.autocast_dtype", lambda device: None)
    if find_spec("huggingface_hub"):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", dial)
    monkeypatch.setattr(socket, "getaddrinfo", dial)


def patches(side, n=3):
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def small_vision(transformers, kind):
    """A small network of transformers, its own preparation of images, and what it would give."""
    torch.manual_seed(0)
    vit = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vit |= {"intermediate_size": 32, "image_size": 32, "patch_size": 16}
    images = {"size": {"height": 32, "width": 32}, "image_mean": [0.7, 0.5, 0.6]}
    images |= {"image_std": [0.2, 0.3, 0.25], "do_convert_rgb": None}
    if kind == "vit":
        model = transformers.ViTModel(transformers.ViTConfig(**vit))
        return model, transformers.ViTImageProcessor(**images), lambda out: out[:, 0]
    if kind == "dinov2":
        model = transformers.Dinov2Model(transformers.Dinov2Config(**vit))
        sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
        processor = transformers.BitImageProcessor(**{**images, **sizes, "do_center_crop": True})
        return model, processor, lambda out: out[:, 0]
    config = transformers.ConvNextConfig(hidden_sizes=[8, 8, 16, 24], depths=[1, 1, 1, 1])
    processor = transformers.ConvNextImageProcessor(
        **{**images, "size": {"shortest_edge": 32}, "crop_pct": 1.0}
    )
    return transformers.ConvNextModel(config), processor, None


@pytest.mark.parametrize("kind", ["vit", "dinov2", "convnext"])
def test_a_folder_of_transformers_sees_what_its_processor_shows_it(transformers, kind, tmp_path):
    model, processor, taken = small_vision(transformers, kind)
    model.eval().save_pretrained(tmp_path / "own")
    processor.save_pretrained(tmp_path / "own")
    encoder = load_encoder(f"hf:{tmp_path / 'own'}")
    assert isinstance(encoder, Encoder)
    assert (encoder.name, encoder.n_features, encoder.patch_size) == ("hf:own", 24, 32)
    images = [Image.fromarray(each) for each in patches(32)]
    with torch.no_grad():
        out = model(**processor(images, return_tensors="pt"))
    expected = out.pooler_output.flatten(1) if taken is None else taken(out.last_hidden_state)
    assert torch.allclose(encoder(patches(32)), expected, rtol=1e-4, atol=1e-4)


def test_a_model_of_images_and_text_gives_the_vector_of_the_image(transformers, tmp_path):
    torch.manual_seed(0)
    layers = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    layers |= {"intermediate_size": 32}
    vision = {**layers, "image_size": 32, "patch_size": 16}
    config = transformers.CLIPConfig(
        text_config={**layers, "vocab_size": 50, "max_position_embeddings": 8},
        vision_config=vision,
        projection_dim=12,
    )
    model = transformers.CLIPModel(config).eval()
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    model.save_pretrained(tmp_path / "clip")
    processor.save_pretrained(tmp_path / "clip")
    encoder = load_encoder(f"hf:{tmp_path / 'clip'}")
    assert encoder.n_features == 12
    images = [Image.fromarray(each) for each in patches(32)]
    with torch.no_grad():
        out = model.vision_model(**processor(images, return_tensors="pt"))
        expected = model.visual_projection(out.pooler_output)
    assert torch.allclose(encoder(patches(32)), expected, rtol=1e-4, atol=1e-4)


def timm_folder(timm, folder, **entries):
    """A network of timm as it lies on the hub, with a normalisation of its own."""
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0)
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    facts = {"input_size": [3, 224, 224], "mean": [0.7, 0.5, 0.6], "std": [0.2, 0.3, 0.25]}
    facts |= {"interpolation": "bicubic", "crop_pct": 1.0, "num_classes": 0}
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 0, "pretrained_cfg": facts}
    (folder / "config.json").write_text(json.dumps({**config, **entries}))
    return network.eval()


def test_a_folder_of_timm_on_the_hub_is_made_by_timm(timm, tmp_path, monkeypatch):
    network = timm_folder(timm, tmp_path / "weights" / "owner--name")
    encoder = load_encoder("hf:owner/name")
    assert (encoder.name, encoder.n_features, encoder.patch_size) == ("hf:owner/name", 192, 224)
    facts = {"input_size": (3, 224, 224), "mean": (0.7, 0.5, 0.6), "std": (0.2, 0.3, 0.25)}
    transform = timm.data.create_transform(**facts, crop_pct=1.0, is_training=False)
    batch = torch.stack([transform(Image.fromarray(each)) for each in patches(224)])
    with torch.no_grad():
        assert torch.allclose(encoder(patches(224)), network(batch), rtol=1e-3, atol=1e-3)


def test_what_is_not_on_this_machine_is_asked_of_nobody(transformers):
    with pytest.raises(EncoderError, match="hf:owner/name is not on this machine") as caught:
        load_encoder("hf:owner/name")
    assert "models --download hf:owner/name" in caught.value.sentence("command line")


def test_a_repository_with_code_is_loaded_only_where_it_is_trusted(transformers, tmp_path):
    model, processor, _ = small_vision(transformers, "vit")
    model.save_pretrained(tmp_path / "own")
    processor.save_pretrained(tmp_path / "own")
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    (tmp_path / "own" / "config.json").write_text(
        json.dumps({**config, "auto_map": {"AutoModel": "own--model.Own"}})
    )
    with pytest.raises(EncoderError, match="can run any code"):
        load_encoder(f"hf:{tmp_path / 'own'}")


@pytest.mark.parametrize("wrong", ["{", '{"size": {"height": 0, "width": 0}}', '{"size": []}'])
def test_a_folder_that_does_not_say_its_input_is_refused(transformers, wrong, tmp_path):
    model, _, _ = small_vision(transformers, "vit")
    model.save_pretrained(tmp_path / "own")
    (tmp_path / "own" / "preprocessor_config.json").write_text(wrong)
    with pytest.raises(EncoderError, match=r"preprocessor_config\.json"):
        load_encoder(f"hf:{tmp_path / 'own'}")


def test_an_encoder_of_the_zoo_sees_what_the_zoo_shows_it(zoo, monkeypatch, tmp_path):
    import timm

    weights = tmp_path / "flash.bin"
    weights.touch()
    torch.manual_seed(0)
    with monkeypatch.context() as patch:  # the zoo cannot make a network without a file of weights
        patch.setattr(torch, "load", lambda *_, **__: {})
        patch.setattr(timm.models.VisionTransformer, "load_state_dict", lambda *_: None)
        made = zoo_model(zoo_entry("gigapath-flash"), weights)
    torch.save(made.model.state_dict(), weights)
    encoder = load_encoder(f"lazyslide:gigapath-flash={weights}")
    assert (encoder.n_features, encoder.patch_size) == (384, 224)
    # The zoo scales a patch up and cuts its edge off; a patch here is what it sees.
    transform = [step for step in made.get_transform().transforms if "Resize" not in str(step)]
    batch = torch.stack([_through(transform, each) for each in patches(224, 2)])
    assert torch.allclose(encoder(patches(224, 2)), made.encode_image(batch), 1e-3, 1e-3)


def test_what_the_hubs_cache_has_is_found_and_prepared_as_its_processor_says(
    zoo, transformers, tmp_path
):
    model, processor, _ = small_vision(transformers, "vit")
    kept = tmp_path / "hub" / "models--owkin--phikon"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("1" * 40)
    model.eval().save_pretrained(kept / "snapshots" / ("1" * 40))
    processor.save_pretrained(kept / "snapshots" / ("1" * 40))
    encoder = load_encoder("lazyslide:phikon")
    assert (encoder.n_features, encoder.patch_size) == (24, 32)
    with local_only():
        made = zoo.MODEL_REGISTRY["phikon"]()
    expected = made.encode_image([Image.fromarray(each) for each in patches(32)])
    assert torch.allclose(encoder(patches(32)), expected, rtol=1e-4, atol=1e-4)
    hf = load_encoder("hf:owkin/phikon")
    assert torch.allclose(hf(patches(32)), expected, rtol=1e-4, atol=1e-4)


def _through(steps, image):
    for step in steps:
        image = step(image)
    return image


def test_the_zoo_names_licence_gating_and_code_of_each(zoo):
    entries = {entry.key: entry for entry in zoo_entries()}
    assert len(entries) >= 30
    uni = entries["uni"]
    assert (uni.n_features, uni.is_gated, uni.takes_file, uni.runs_code) == (
        1024,
        True,
        True,
        False,
    )
    assert "CC-BY-NC-ND" in uni.licence
    assert not entries["phikon"].takes_file
    assert entries["ctranspath"].runs_code


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lazyslide:nobody", "choose one of .*uni"),
        ("lazyslide:gpfm", "models --download lazyslide:gpfm"),
        ("lazyslide:phikon", "not on this machine"),
        ("lazyslide:virchow", "accept its terms at https://huggingface.co/paige-ai/Virchow"),
        ("lazyslide:ctranspath", "--allow-code"),
    ],
)
def test_what_the_zoo_lacks_here_is_said_with_what_brings_it(zoo, name, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(EncoderError) as caught:
            load_encoder(name)
    sentence = caught.value.sentence("command line")
    assert "\n" not in sentence
    assert re.search(said, sentence), sentence


def test_a_file_is_refused_where_the_zoo_takes_none(zoo, tmp_path):
    (tmp_path / "x.bin").touch()
    with pytest.raises(EncoderError, match="takes its weights from the hub's cache"):
        load_encoder(f"lazyslide:phikon={tmp_path / 'x.bin'}")

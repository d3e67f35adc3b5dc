import json
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from napari_hagmil.cascade import Steering
from napari_hagmil.errors import BundleError, DeviceError, MissingPixelSizeError
from napari_hagmil.models import CascadeModel
from napari_hagmil.pipeline import analyze_slide, read_stages
from napari_hagmil.prepare import Options, load_model, prepare
from napari_hagmil.quadtree import children, parents
from napari_hagmil.slide import open_slide
from napari_hagmil.tissue import TissueMask


@pytest.fixture(scope="module")
def model(scratch_bundle):
    return load_model(scratch_bundle, device="cpu")


def test_a_slide_is_read_coarse_to_fine_and_only_followed_branches_are_encoded(
    phantom, scratch_bundle
):
    told, stages = [], []
    result = analyze_slide(
        phantom,
        scratch_bundle,
        options=Options(device="cpu"),
        on_stage=stages.append,
        on_progress=told.append,
    )
    assert result.state == "done"
    for above, below in pairwise(result.stages):
        opened = children(above.nodes[above.followed])
        assert len(opened) == 4 * (4, 6)[above.depth]
        # Its children without tissue are not looked at.
        assert {tuple(n) for n in below.nodes} <= {tuple(n) for n in opened}
    assert result.cost.finest_encoded <= result.cost.finest_tissue
    assert result.cost.patches_encoded == sum(len(s.nodes) for s in result.stages)
    assert result.cost.patches_encoded < result.cost.patches_exhaustive
    assert len(stages) == 3
    assert {p.depth for p in told} == {0, 1, 2}
    assert result.cost.bytes_read > 0
    assert result.notes == ()


def test_the_same_slide_and_model_give_the_same_result(phantom, scratch_bundle):
    first, second = (
        analyze_slide(phantom, scratch_bundle, options=Options(device="cpu")) for _ in range(2)
    )
    for a, b in zip(first.stages, second.stages, strict=True):
        assert (a.nodes == b.nodes).all()
        assert (a.attention == b.attention).all()
        assert (a.logits == b.logits).all()


def test_a_larger_budget_encodes_only_the_new_branches(phantom, model):
    with open_slide(phantom) as slide:
        prepared = prepare(slide, *model)
        first = list(read_stages(prepared, Options()))
        before = prepared.features.patches_encoded
        second = list(read_stages(prepared, Options(budget=(5, 6))))
        known = [{tuple(n) for n in stage.nodes} for stage in first]
        new = sum(tuple(n) not in known[stage.depth] for stage in second for n in stage.nodes)
        assert prepared.features.patches_encoded - before == new
        assert second[0].followed.sum() == 5


def test_exhaustive_follows_every_node(phantom, model):
    with open_slide(phantom) as slide:
        prepared = prepare(slide, *model)
        *_, last = read_stages(prepared, Options(exhaustive=True))
    tissue = {tuple(n) for n in prepared.quadtree.nodes[-1]}
    assert {tuple(n) for n in last.nodes} == tissue


def test_exhaustive_with_the_papers_rule_follows_glass_too(phantom, model):
    network, encoder = model
    papers = CascadeModel(replace(network.config, children="all"))
    papers.load_state_dict(network.state_dict())
    with open_slide(phantom) as slide:
        prepared = prepare(slide, papers.eval(), encoder)
        *_, last = read_stages(prepared, Options(exhaustive=True))
    assert len(last.nodes) == 16 * len(prepared.quadtree.nodes[0])


def test_a_steered_place_is_followed_to_the_finest_depth(phantom, model):
    with open_slide(phantom) as slide:
        prepared = prepare(slide, *model)
        plain = list(read_stages(prepared, Options()))
        cut = plain[0].nodes[~plain[0].followed][0]
        grid = prepared.quadtree.grids[0]
        point = tuple(float(v) for v in (cut + 0.5) * grid.stride)
        stages = list(read_stages(prepared, Options(steering=Steering(follow=(point,)))))
    assert (parents(parents(stages[2].nodes)) == cut).all(1).any()


def test_a_slide_without_tissue_is_a_result_and_not_a_silent_success(phantom, scratch_bundle):
    with open_slide(phantom) as slide:
        empty = TissueMask(np.zeros((128, 128), bool), 32.0)
        result = analyze_slide(slide, scratch_bundle, options=Options(tissue=empty))
    assert result.state == "no_tissue"
    assert result.cascade is None
    assert "shows no tissue" in result.notes[0]


def test_a_slide_without_pixel_size_asks_for_it(slides_dir, scratch_bundle):
    with pytest.raises(MissingPixelSizeError, match="mpp="):
        analyze_slide(slides_dir / "histoprep-slide.jpeg", scratch_bundle)


def test_a_20x_slide_ends_at_20x_and_says_so(slides_dir, scratch_bundle):
    result = analyze_slide(
        slides_dir / "CMU-1-Small-Region.svs", scratch_bundle, options=Options(device="cpu")
    )
    assert len(result.stages) == 2
    assert "no 40×" in result.notes[0]


def test_a_place_that_cannot_be_read_is_reported_and_the_rest_goes_on(
    phantom, scratch_bundle, monkeypatch
):
    from napari_hagmil.errors import SlideReadError
    from napari_hagmil.features import sources

    def damaged(slide, regions, size, *, workers):
        for i, pixels in read(slide, regions, size, workers=workers):
            broken = regions[i].x % 3 == 2
            yield i, SlideReadError("broken") if broken else pixels

    read = sources.read_patches
    monkeypatch.setattr(sources, "read_patches", damaged)
    result = analyze_slide(phantom, scratch_bundle, options=Options(device="cpu"))
    unread = sum(len(s.unread) for s in result.stages)
    assert unread > 0
    assert any(f"{unread} places could not be read" in note for note in result.notes)


@pytest.mark.parametrize(("share", "state"), [(0.05, "done"), (0.3, "incomplete")])
def test_a_slide_of_which_too_much_is_unread_at_one_depth_has_no_class(
    phantom, model, monkeypatch, share, state
):
    from napari_hagmil.pipeline import slide_result

    with open_slide(phantom) as slide:
        prepared = prepare(slide, *model)
        stages = list(read_stages(prepared, Options()))
        seen = stages[1].nodes
        n = max(1, int(share * len(seen)))
        stages[1] = replace(stages[1], nodes=seen[n:], unread=seen[:n])
        result = slide_result(prepared, Options(), stages, 1.0)
    assert result.state == state
    assert (result.prediction is None) == (state == "incomplete")
    assert result.unread.depth == 1
    assert (result.unread.places, result.unread.asked) == (n, len(seen))
    assert any(note.startswith("Incomplete") for note in result.notes) == (state == "incomplete")


def test_glass_that_cannot_be_read_is_not_missing():
    from napari_hagmil.cascade import Stage, most_unread

    nodes, nothing = np.array([[0, 0], [0, 1]]), np.zeros(2, dtype=bool)
    numbers = np.ones(2, np.float32)
    stage = Stage(0, nodes, numbers, numbers, nothing, nothing, unread=np.array([[5, 5], [6, 6]]))
    assert most_unread([stage], [nodes]) is None
    assert most_unread([stage], [np.concatenate([nodes, stage.unread])]).places == 2


def test_a_slide_that_changes_while_it_is_read_is_said(phantom, scratch_bundle, tmp_path):
    path = shutil.copy(phantom, tmp_path / "slide.tiff")

    def grow(stage):
        with path.open("ab") as file:
            file.write(b"more")

    result = analyze_slide(path, scratch_bundle, options=Options(device="cpu"), on_stage=grow)
    assert "changed while it was open" in result.notes[0]


def test_a_bundle_trained_on_other_weights_of_the_encoder_is_refused(scratch_bundle, tmp_path):
    bundle = tmp_path / "other.hagmil"
    shutil.copytree(scratch_bundle, bundle)
    config = json.loads((bundle / "config.json").read_text())
    config["encoder"]["weights_sha256"] = "0" * 64
    (bundle / "config.json").write_text(json.dumps(config))
    with pytest.raises(BundleError, match="was trained on features of the encoder"):
        load_model(bundle, device="cpu")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda p, b: analyze_slide(p, "no-such-model"), BundleError, "neither a bundle on disk"),
        (
            lambda p, b: analyze_slide(p, b, options=Options(budget=(3,))),
            BundleError,
            "one number per depth but the last",
        ),
        (
            lambda p, b: analyze_slide(p, b, options=Options(device="tpu")),
            DeviceError,
            "a device is one of",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(phantom, scratch_bundle, call, error, says):
    with pytest.raises(error, match=says):
        call(phantom, scratch_bundle)

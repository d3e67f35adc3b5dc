"""The session without Qt: state in, state out."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_hagmil.attention.tissue_outlines import outlines_of
from napari_hagmil.cascade import Branch, SecondLookPlan
from napari_hagmil.cli import main
from napari_hagmil.errors import CancelledError
from napari_hagmil.export.geojson_reader import read_area
from napari_hagmil.models import CascadeModel, load_bundle, save_bundle
from napari_hagmil.polygons import contains, mask_of
from napari_hagmil.quadtree import children, is_among
from napari_hagmil.review import ReviewState
from napari_hagmil.session import Session
from napari_hagmil.session.questions import second_look_sentence
from napari_hagmil.session.steering import (
    clear_steering,
    correct_mpp,
    follow,
    leave_out,
    set_tissue,
    set_tissue_rings,
    steered,
)
from napari_hagmil.slide import open_slide
from napari_hagmil.tissue import TissueMask


@pytest.fixture
def session(phantom, scratch_bundle, tmp_path):
    path = tmp_path / "phantom.tiff"
    path.write_bytes(phantom.read_bytes())
    made = Session()
    made.model_name = str(scratch_bundle)
    made.budget = (3, 4)
    made.adopt(open_slide(path))
    yield made
    made.close()


@pytest.fixture
def bundle_in_context(scratch_bundle, tmp_path):
    """The scratch bundle as if trained on features alone, or with those of their ancestors."""

    def make(context):
        scratch = load_bundle(scratch_bundle).config
        n = scratch.encoder.n_features
        widths = [n * (depth + 1 if context == "ancestors" else 1) for depth in range(3)]
        stages = tuple(
            replace(stage, n_features=width)
            for stage, width in zip(scratch.stages, widths, strict=True)
        )
        torch.manual_seed(0)
        path = tmp_path / f"{context}.hagmil"
        save_bundle(CascadeModel(replace(scratch, context=context, stages=stages)), path)
        return path

    return make


def run(session):
    session.begin()
    for stage in session.run(lambda progress: None):
        session.add_stage(stage)
    session.finish(complete=True)


def test_the_price_is_known_when_the_tissue_is_and_zero_after_the_run(session):
    assert session.cost() is None
    assert session.make_ready() == ""
    assert session.cost().new > 0
    run(session)
    assert (session.cost().new, session.cost().exact) == (0, True)
    session.budget = (5, 4)
    tree, known = session.prepared.quadtree, session.stages
    more = known[0].nodes[np.argsort(-known[0].attention, kind="stable")[3:5]]
    tissue = is_among(children(more), tree.nodes[1]).sum()
    assert session.cost().depths[1].new == tissue > 0


def test_another_budget_keeps_what_is_known_and_the_result_before(session):
    run(session)
    first = tuple(session.stages)
    session.budget = (4, 4)
    run(session)
    assert session.before == first
    assert session.stages[0].attention is first[0].attention
    assert len(session.changes[0].opened) == 1


def test_wishes_go_through_the_review_and_are_undone_there(session):
    run(session)
    place = tuple((session.stages[0].nodes[0] + 0.5) * session.grids[0].stride)
    follow(session, place)
    leave_out(session, place)
    assert session.steering.follow == (place,)
    assert contains([(session.sitting.state.vetoes[0], ())], [place])[0]
    assert steered(session.sitting.state) == "1 branch to follow and 1 place to leave out."
    leave_out(session, place)
    follow(session, place)
    assert (session.steering.follow, session.steering.leave_out) == ((), ())
    session.sitting.undo()
    assert session.steering.follow == (place,)
    clear_steering(session)
    assert session.sitting.undo_name == "steer no longer"


def test_before_the_first_run_there_is_no_branch_to_steer(session):
    assert follow(session, (10.0, 10.0)) == ""
    assert session.sitting.state == ReviewState()


def test_edited_tissue_is_what_the_next_run_looks_at(session):
    session.make_ready()
    before, features = session.prepared.quadtree.nodes[0], session.prepared.features
    half = session.prepared.tissue.values.copy()
    half[:, : half.shape[1] // 2] = False
    set_tissue(session, TissueMask(half, session.prepared.tissue.downsample))
    session.make_ready()
    assert session.prepared.features is features
    assert 0 < len(session.prepared.quadtree.nodes[0]) < len(before)
    session.sitting.undo()
    session.make_ready()
    assert np.array_equal(session.prepared.quadtree.nodes[0], before)


def test_the_window_and_the_command_line_take_the_same_tissue_from_a_file(
    session, tmp_path, monkeypatch
):
    """An outline along pixel centres, a hole, a polygon that overlaps, one that crosses itself."""
    first = [
        [[16, 16], [2064, 16], [2064, 1040], [16, 1040]],
        [[528, 272], [528, 784], [1040, 784]],
    ]
    second = [[[1552, 784], [3088, 784], [3088, 2320], [1552, 2320]]]
    third = [[[500, 2500], [1500, 3500], [500, 3500], [1500, 2500]]]
    path = tmp_path / "tissue.geojson"
    path.write_text(json.dumps({"type": "MultiPolygon", "coordinates": [first, second, third]}))
    set_tissue_rings(session, read_area(path), "import tissue")
    session.make_ready()
    asked = []

    def analyze_with(loaded, slide, options, *, on_progress):
        asked.append(options.tissue)
        raise CancelledError("enough", "was seen")

    monkeypatch.setattr("napari_hagmil.pipeline.analyze_with", analyze_with)
    slide, out = str(session.slide.path), str(tmp_path / "out")
    main(["analyze", slide, "--model", session.model_name, "--out", out, "--tissue", str(path)])
    window = session.prepared.tissue
    assert asked[0].downsample == window.downsample
    np.testing.assert_array_equal(asked[0].values, window.values)
    at = [(900, 1800), (500, 600), (3000, 600), (100, 100), (3400, 1000)]
    seen = [bool(window.values[tuple(int(v / window.downsample) for v in yx)]) for yx in at]
    assert seen == [True, False, False, True, True]


def test_a_slide_whose_tissue_was_wiped_away_says_so(session):
    set_tissue(session, TissueMask(np.zeros((4, 4), bool), 32.0))
    assert "no tissue" in session.make_ready()


def test_a_corrected_pixel_size_is_in_the_review(session):
    correct_mpp(session, 0.5)
    assert session.sitting.state.mpp_override == 0.5


def test_a_cancelled_run_keeps_the_depths_that_are_complete(session):
    session.begin()
    stages = session.run(lambda progress: None)
    session.add_stage(next(stages))
    session.cancel()
    with pytest.raises(CancelledError):
        next(stages)
    session.finish(complete=False)
    assert (session.state, len(session.stages)) == ("cancelled", 1)
    assert session.result.state == "cancelled"


def test_the_complete_result_is_shown_until_another_is_complete(session):
    run(session)
    stages, result = list(session.stages), session.result
    happened = []
    session.stage_found.connect(lambda stage: happened.append("stage"))
    session.finished.connect(lambda result: happened.append("finished"))
    session.kept.connect(lambda: happened.append("kept"))
    session.budget = (8, 4)
    session.begin()
    found = session.run(lambda progress: None)
    session.add_stage(next(found))
    session.cancel()
    with pytest.raises(CancelledError):
        next(found)
    session.finish(complete=False)
    assert happened == ["kept"]
    assert (session.stages, session.result) == (stages, result)
    assert session.shown.complete
    assert len(session.regions()) > 0
    happened.clear()
    run(session)
    assert happened == ["stage"] * 3 + ["finished"]
    assert session.before == tuple(stages)


def test_a_run_over_known_patches_ends_where_one_would_be_encoded(session):
    run(session)
    stages, encoded = list(session.stages), session.prepared.features.patches_encoded
    states = []
    session.state_changed.connect(states.append)
    session.budget = (8, 4)
    session.begin(only_known=True)
    assert session.trying
    found = session.run(lambda progress: None)
    session.add_stage(next(found))
    with pytest.raises(CancelledError):
        next(found)
    session.finish(complete=False)
    assert (session.stages, states, session.trying) == (stages, [], False)
    assert session.prepared.features.patches_encoded == encoded
    session.budget = (3, 4)
    session.begin(only_known=True)
    for stage in session.run(lambda progress: None):
        session.add_stage(stage)
    session.finish(complete=True)
    assert states == ["done"]
    assert session.prepared.features.patches_encoded == encoded


@pytest.mark.parametrize("context", ["none", "ancestors"])
def test_both_questions_see_the_features_that_the_model_was_trained_on(
    session, bundle_in_context, context
):
    session.model_name = str(bundle_in_context(context))
    assert session.questions() is None
    run(session)
    questions, stage = session.questions(), session.stages[0]
    best = stage.nodes[stage.attention.argmax()]
    without = questions.without_branch(Branch(0, (int(best[0]), int(best[1]))))
    assert len(without) == 3
    assert not np.allclose(without[0], stage.probabilities)
    look = questions.second_look(SecondLookPlan(depth=0, n=2))
    assert len(look.sampled) == 2
    assert look.before == pytest.approx(session.stages[1].probabilities)
    assert questions.second_look(SecondLookPlan(depth=2, n=2)) is None
    words = second_look_sentence(look, 1.0, classes=("normal", "tumor"))
    assert words.startswith(f"2 of the {look.population} branches that 10× cut were drawn")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([8.0, 31.7]), st.sampled_from([0, 0.2, 0.8]))
def test_outlines_of_a_mask_enclose_that_mask(seed, downsample, short):
    rng = np.random.default_rng(seed)
    coarse = rng.random((6, 7)) < 0.5
    values = np.kron(coarse, np.ones((5, 5), bool))
    # The last row of the mask need not lie on the slide as a whole.
    shape = tuple(int((n - short) * downsample) for n in values.shape)
    rings = outlines_of(TissueMask(values, downsample), shape)
    for ring in rings:
        assert (np.array(ring) <= np.subtract(shape, 0.5)).all()
    again = mask_of(rings, shape, downsample)
    assert again.shape == values.shape
    assert (again != values).mean() < 0.02


def test_regions_and_places_to_leave_out_end_at_the_slides_edge(session):
    """Patches of the first depth reach to 4480 px, the slide to 4096."""
    run(session)
    assert session.grids[0].shape[0] * session.grids[0].stride > session.slide.shape[0]
    edge = np.subtract(session.slide.shape, 0.5)
    # Attention that grows towards the lower right corner.
    (stage,) = session.stages[:1]
    nodes = np.array([(row, column) for row in (3, 4) for column in (3, 4)])
    attention = nodes.sum(axis=1).astype(np.float32)
    none = np.zeros(len(nodes), bool)
    changed = replace(stage, nodes=nodes, attention=attention, followed=none, pinned=none)
    result = session.result
    session.shown.result = replace(
        result, cascade=replace(result.cascade, stages=(changed,)), tissue=None
    )
    (region,) = session.regions(quantile=0.5)
    np.testing.assert_array_equal(region.polygon.max(axis=0), edge)
    leave_out(session, (4000.0, 4000.0))
    (ring,) = session.steering.leave_out
    np.testing.assert_array_equal(np.max(ring, axis=0), edge)


def test_the_seconds_of_a_run_count_every_depth(session):
    assert session.make_ready() == ""
    features = session.prepared.features
    features(0, session.prepared.quadtree.nodes[0][:1])
    features.seconds.update(read=3.0 * features.patches_encoded, encode=0.0)
    cost = session.cost()
    assert all(depth.new > 0 for depth in cost.depths)
    assert cost.seconds == pytest.approx(3.0 * sum(depth.new for depth in cost.depths))

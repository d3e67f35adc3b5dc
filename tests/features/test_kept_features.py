"""Features that are kept on disk for the next run."""

import multiprocessing
import os

import numpy as np
import pytest
import torch

from napari_hagmil.cache import FEATURES
from napari_hagmil.cli import main
from napari_hagmil.features import KeptFeatures, LazyFeatures, kept_features
from napari_hagmil.pipeline import analyze_slide
from napari_hagmil.prepare import Options
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.slide import open_slide

GRID = PatchGrid(64, 4.0, (8, 8))
NODES = np.array([[1, 2], [3, 4], [5, 6]])
ROWS = torch.arange(12, dtype=torch.float32).reshape(3, 4)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HAGMIL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HAGMIL_FEATURES_GB", "1")
    return tmp_path / "cache" / "features"


@pytest.fixture
def kept(cache):
    return KeptFeatures(cache / "slide", 4)


def told(kept, grid=GRID):
    nodes, rows = kept.of(grid)
    return {tuple(n): r.tolist() for n, r in zip(nodes.tolist(), rows, strict=True)}


class Colours:
    """An encoder of means, which counts the patches that it is given."""

    name, weights_sha256, n_features, patch_size = "colours", "0" * 64, 3, 64

    def __init__(self):
        self.n = 0

    def __call__(self, patches):
        self.n += len(patches)
        return torch.from_numpy(patches.mean((1, 2)).astype(np.float32))


def test_what_is_added_is_there_in_another_object_and_for_that_grid_alone(kept, cache):
    kept.add(GRID, NODES, ROWS)
    again = KeptFeatures(cache / "slide", 4)
    assert told(again) == {tuple(n): r for n, r in zip(NODES.tolist(), ROWS.tolist(), strict=True)}
    assert told(again, PatchGrid(64, 2.0, (16, 16))) == {}
    assert told(KeptFeatures(cache / "other", 4)) == {}


def test_unread_places_are_not_kept(kept):
    rows = ROWS.clone()
    rows[1, 0] = torch.nan
    kept.add(GRID, NODES, rows)
    assert list(told(kept)) == [(1, 2), (5, 6)]


@pytest.mark.parametrize("damage", [b"", b"no tensors", "cut", "other length"])
def test_a_damaged_file_is_removed_and_the_others_are_read(kept, cache, damage):
    kept.add(GRID, NODES[:1], ROWS[:1])
    (file,) = (cache / "slide").iterdir()
    whole = file.read_bytes()
    if damage == "other length":
        KeptFeatures(cache / "slide", 5).add(GRID, NODES[:1], torch.ones(1, 5))
        (other,) = set((cache / "slide").iterdir()) - {file}
        other.replace(file)
    else:
        file.write_bytes(whole[:-3] if damage == "cut" else damage)
    kept.add(GRID, NODES[1:], ROWS[1:])
    assert list(told(kept)) == [(3, 4), (5, 6)]
    assert not file.exists()


def test_many_small_files_are_put_together(kept, cache):
    for i in range(30):
        kept.add(GRID, np.array([[i, 0]]), torch.full((1, 4), float(i)))
    assert len(told(kept)) == 30
    assert len(list((cache / "slide").iterdir())) == 1
    assert told(kept)[29, 0] == [29.0] * 4


def _add(folder, start):
    for i in range(start, start + 40):
        kept = KeptFeatures(folder, 4)
        kept.add(GRID, np.array([[i, 0]]), torch.full((1, 4), float(i)))
        kept.of(GRID)


def test_two_processes_may_add_to_one_slide(cache):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add, args=(cache / "slide", s)) for s in (0, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = told(KeptFeatures(cache / "slide", 4))
    assert found
    assert all(row == [float(r)] * 4 for (r, _), row in found.items())


def test_the_least_recently_used_make_room(kept, cache, monkeypatch):
    kept.add(GRID, NODES, ROWS)
    (old,) = (cache / "slide").iterdir()
    os.utime(old, (1, 1))
    monkeypatch.setenv("HAGMIL_FEATURES_GB", "1e-9")
    KeptFeatures(cache / "other", 4).add(GRID, NODES, ROWS)
    assert not old.exists()
    assert len(FEATURES.files()) == 1


def test_a_second_run_encodes_nothing_a_larger_one_only_what_is_new(phantom, cache):
    def features(encoder, slide):
        return LazyFeatures(slide, (GRID,), encoder, kept=kept_features(slide, encoder))

    with open_slide(phantom) as slide:
        first, second = Colours(), Colours()
        before = features(first, slide)(0, NODES[:2])
        assert first.n == 2
        again = features(second, slide)
        assert len(again.missing(0, NODES)) == 1
        torch.testing.assert_close(again(0, NODES)[:2], before, rtol=0, atol=0)
        assert (second.n, again.patches_encoded) == (1, 1)


def test_what_was_encoded_before_a_cancel_is_kept(phantom, cache):
    def cancel(progress):
        if progress.done == 2:
            raise KeyboardInterrupt

    with open_slide(phantom) as slide:
        encoder = Colours()
        source = LazyFeatures(
            slide,
            (GRID,),
            encoder,
            batch_size=2,
            kept=kept_features(slide, encoder),
            on_progress=cancel,
        )
        with pytest.raises(KeyboardInterrupt):
            source(0, NODES)
        assert len(told(KeptFeatures(next(cache.iterdir()), 3))) == 2


def test_other_weights_have_other_features(phantom, cache):
    with open_slide(phantom) as slide:
        encoder, other = Colours(), Colours()
        other.weights_sha256 = "1" * 64
        LazyFeatures(slide, (GRID,), encoder, kept=kept_features(slide, encoder))(0, NODES)
        LazyFeatures(slide, (GRID,), other, kept=kept_features(slide, other))(0, NODES)
        assert other.n == 3


def test_a_limit_of_nothing_keeps_nothing(phantom, cache, monkeypatch):
    monkeypatch.setenv("HAGMIL_FEATURES_GB", "0")
    with open_slide(phantom) as slide:
        assert kept_features(slide, Colours()) is None


def test_an_analysis_again_is_the_same_and_reads_no_pixel_for_the_model(
    phantom, scratch_bundle, cache
):
    first = analyze_slide(phantom, scratch_bundle)
    again = analyze_slide(phantom, scratch_bundle)
    anew = analyze_slide(phantom, scratch_bundle, options=Options(keep_features=False))
    for one, two, three in zip(first.stages, again.stages, anew.stages, strict=True):
        np.testing.assert_array_equal(one.attention, two.attention)
        np.testing.assert_array_equal(one.attention, three.attention)
    assert again.cost.patches_encoded == first.cost.patches_encoded
    assert again.cost.bytes_read < min(first.cost.bytes_read, anew.cost.bytes_read)
    assert again.cost.seconds["encode"] == 0


def test_the_cache_verb_clears_features_too(kept, cache, capsys):
    kept.add(GRID, NODES, ROWS)
    assert main(["cache"]) == 0
    assert "1 files of features" in capsys.readouterr().out
    assert main(["cache", "--clear"]) == 0
    assert FEATURES.files() == []

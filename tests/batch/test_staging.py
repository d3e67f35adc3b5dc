"""Copies of slides on a local disk, for slides on a slow drive."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_hagmil.batch.staging import staged
from napari_hagmil.errors import SlideChangedError
from napari_hagmil.files import sibling


@pytest.fixture
def slide(tmp_path):
    path = tmp_path / "slow" / "a.svs"
    path.parent.mkdir()
    path.write_bytes(b"pixels" * 100)
    return path


def test_a_copy_has_the_slides_name_and_bytes_and_goes_when_it_was_read(slide, tmp_path):
    cache = tmp_path / "cache"
    with staged(slide, cache, 1e6) as path:
        assert path.name == slide.name
        assert path.is_relative_to(cache)
        assert path.read_bytes() == slide.read_bytes()
        assert path.stat().st_mtime_ns == slide.stat().st_mtime_ns
    assert not list(cache.iterdir())


def test_what_belongs_to_a_slide_is_copied_with_it(tmp_path):
    mirax = tmp_path / "slow" / "m.mrxs"
    mirax.with_suffix("").mkdir(parents=True)
    mirax.write_bytes(b"thumbnail")
    (mirax.with_suffix("") / "Data0001.dat").write_bytes(b"tiles")
    zarr = tmp_path / "slow" / "z.ome.zarr"
    (zarr / "0").mkdir(parents=True)
    (zarr / "0" / "zarr.json").write_text("{}")
    with staged(mirax, tmp_path / "cache", 1e6) as path:
        assert (path.with_suffix("") / "Data0001.dat").read_bytes() == b"tiles"
    with staged(zarr, tmp_path / "cache", 1e6) as path:
        assert path != zarr
        assert (path / "0" / "zarr.json").read_text() == "{}"
    instance = tmp_path / "slow" / "1.dcm"
    instance.write_bytes(b"one of several files of a slide")
    with staged(instance, tmp_path / "cache", 1e6) as path:
        assert path == instance


def test_copies_of_all_processes_fit_the_limit_and_the_rest_is_read_where_it_lies(slide, tmp_path):
    cache = tmp_path / "cache"
    with staged(slide, cache, 1000) as first, staged(slide, cache, 1000) as second:
        assert first != slide
        assert second == slide
    with staged(slide, cache, 599) as path:
        assert path == slide
    assert not list(cache.iterdir())


@pytest.mark.parametrize("is_there", [True, False])
def test_a_copy_that_cannot_be_made_leaves_the_error_to_the_reader(slide, tmp_path, is_there):
    if is_there:
        (tmp_path / "cache").write_text("no folder")
    else:
        slide.unlink()
    with staged(slide, tmp_path / "cache", 1e6) as path:
        assert path == slide


def test_a_slide_that_is_replaced_while_its_copy_is_read_is_told(slide, tmp_path):
    with (
        pytest.raises(SlideChangedError, match="replaced while it was read"),
        staged(slide, tmp_path / "cache", 1e6),
    ):
        slide.write_bytes(b"others" * 100)
    assert not list((tmp_path / "cache").iterdir())


def test_copies_of_processes_that_were_killed_go_with_the_next_one(slide, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    with monkeypatch.context() as patch:
        patch.setattr("napari_hagmil.files.os.getpid", lambda: gone.pid)
        left = sibling(cache / "slide")
    left.mkdir(parents=True)
    Path(left, ".size").write_text("900")
    with staged(slide, cache, 1000) as path:
        assert path != slide
        assert not left.exists()

"""A slide that was opened before it was asked for."""

import os

import pytest

from napari_hagmil.errors import HagmilError
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.session import ahead
from napari_hagmil.session.ahead import OpenedAhead


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("ahead") / "small.tiff"
    write_phantom(made, PhantomConfig(seed=1, size=1024, lesions=0))
    return made


@pytest.fixture
def opened(monkeypatch):
    """The slides that were opened, in their order."""
    slides, really = [], ahead.open_slide

    def counted(*args, **kwargs):
        slides.append(really(*args, **kwargs))
        return slides[-1]

    monkeypatch.setattr(ahead, "open_slide", counted)
    return slides


def test_a_slide_that_waits_is_taken_and_is_not_opened_twice(path, opened):
    ready = OpenedAhead()
    ready.open(path)
    ready.open(path)
    assert ready.take(path) is opened[0]
    assert ready.take(path) is opened[1]
    assert len(opened) == 2


def test_another_slide_pixel_size_or_content_is_opened_anew(path, opened):
    ready = OpenedAhead()
    ready.open(path)
    assert ready.take(path, 0.5).mpp == 0.5
    times = path.stat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1_000_000))
    assert ready.take(path) is not opened[0]


def test_what_cannot_be_opened_is_told_when_it_is_taken(tmp_path):
    ready, bad = OpenedAhead(), tmp_path / "bad.svs"
    bad.write_bytes(b"no slide")
    for open_it in (ready.open, ready.take):
        with pytest.raises(HagmilError):
            open_it(bad)

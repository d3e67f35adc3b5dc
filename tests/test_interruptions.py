"""Full disks, signals, little memory: one sentence, and nothing is left lying about."""

import os
import signal
import subprocess
import sys
import time

import pytest

from napari_hagmil.cli import main
from napari_hagmil.files import drafting, reserve
from napari_hagmil.process import is_out_of_memory
from napari_hagmil.review import open_sitting
from napari_hagmil.review.lock import Lock
from napari_hagmil.session.recent import RecentSlides

posix = pytest.mark.skipif(os.name != "posix", reason="a matter of POSIX")


def phantom(folder, **how):
    words = [sys.executable, "-m", "napari_hagmil", "phantom", str(folder / "p.tiff")]
    return subprocess.Popen([*words, "--size", "16384"], stderr=subprocess.PIPE, text=True, **how)


def wait_for_draft(folder, process):
    while not any(folder.glob(".p.tiff.*/*")):
        assert process.poll() is None
        time.sleep(0.02)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_command_that_the_system_ends_leaves_no_draft(tmp_path, number):
    process = phantom(tmp_path)
    wait_for_draft(tmp_path, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.strip() == f"napari-hagmil: stopped by the system ({number.name})"
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.slow
def test_the_draft_of_a_killed_command_goes_with_the_next_one(tmp_path):
    process = phantom(tmp_path)
    wait_for_draft(tmp_path, process)
    process.kill()
    process.communicate()
    (tmp_path / ".others.1.tmp").touch()
    (draft,) = tmp_path.glob(".p.tiff.*")
    assert main(["phantom", str(tmp_path / "b.tiff"), "--size", "1024"]) == 0
    assert not draft.exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"b.tiff", "b.geojson", ".others.1.tmp"}


def test_a_draft_of_a_living_process_stays(tmp_path):
    with drafting(tmp_path / "a") as draft:
        draft.touch()
        script = "from napari_hagmil.files import replacing; from pathlib import Path\n"
        script += f"with replacing(Path({str(tmp_path / 'b')!r})) as draft: draft.touch()"
        subprocess.run([sys.executable, "-c", script], check=True)
        assert draft.exists()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no posix_fallocate")
def test_a_full_disk_is_told_before_a_file_is_mapped(tmp_path, monkeypatch, capsys):
    reserve(tmp_path / "a", 5000)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 5000

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert main(["phantom", str(tmp_path / "p.tiff"), "--size", "1024"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_without_fallocate_a_file_is_filled(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    reserve(tmp_path / "a", 5000)
    assert (tmp_path / "a").read_bytes() == bytes(5000)


def test_too_little_memory_is_one_sentence(monkeypatch, capsys, tmp_path):
    def want(*_, **__):
        raise MemoryError

    monkeypatch.setattr("napari_hagmil.phantom.write.plan_phantom", want)
    assert main(["phantom", str(tmp_path / "p.tiff")]) == 1
    said = capsys.readouterr().err
    assert "the memory is too small" in said
    assert said.count("\n") == 1


def test_whose_error_it_is_does_not_matter():
    import cv2
    import numpy as np
    import torch

    with pytest.raises(Exception) as cpu:  # noqa: PT011
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(Exception) as array:  # noqa: PT011
        np.empty(2**60, np.uint8)
    errors = [cpu.value, array.value, torch.OutOfMemoryError()]
    assert all(map(is_out_of_memory, errors))
    with pytest.raises(cv2.error) as other:
        cv2.resize(np.empty((0, 0), np.uint8), (5, 5))
    assert not any(map(is_out_of_memory, [other.value, RuntimeError("x"), ValueError("x")]))


@posix
def test_lists_and_locks_are_for_the_user_alone(tmp_path):
    recent = RecentSlides(tmp_path / "recent.json")
    recent.add(tmp_path)
    lock = Lock(tmp_path / "a.lock")
    lock.acquire()
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("recent.json", "a.lock")]
    assert modes == [0o600, 0o600]


@posix
def test_a_review_folder_that_is_a_link_is_not_followed(tmp_path):
    slide = tmp_path / "slide.tif"
    slide.write_bytes(b"pixels")
    other = open_sitting(slide, "f" * 32, user_folder=tmp_path / "user")
    other.change("pin", pins=((1.0, 2.0),))
    other.close()
    folder = other.journal.path.parent
    elsewhere = folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(elsewhere)
    before = {path: path.read_bytes() for path in elsewhere.iterdir()}
    sitting = open_sitting(slide, "f" * 32, user_folder=tmp_path / "user")
    assert sitting.state.pins == ()
    sitting.change("pin", pins=((3.0, 4.0),))
    sitting.close()
    assert sitting.journal.path.is_relative_to(tmp_path / "user")
    assert {path: path.read_bytes() for path in elsewhere.iterdir()} == before

"""Manifests: what was changed, cut, lost or added is found."""

import hashlib
import json
import os

import pytest

from napari_hagmil.errors import ManifestError
from napari_hagmil.ledger import check_manifest, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "0").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "result.json").write_text('{"cost": {"seconds": {"total": 3.1}, "n": 4}, "pid": 7}')
    write_manifest(tmp_path)
    return tmp_path


def test_an_untouched_folder_has_no_findings(folder):
    assert check_manifest(folder) == {}
    assert set(read_manifest(folder).files) == {"deep/er/0", "result.json"}


def negate(path):
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda f: negate(f / "deep/er/0"), ("deep/er/0", "is not what was written")),
        (lambda f: os.truncate(f / "deep/er/0", 100), ("deep/er/0", "has 100 bytes, not 5,120")),
        (lambda f: (f / "deep/er/0").unlink(), ("deep/er/0", "is missing")),
        (lambda f: (f / "deep/new").touch(), ("deep/new", "is not in the manifest")),
        (lambda f: (f / "deep/new").symlink_to("/etc"), ("deep/new", "is not in the manifest")),
    ],
)
def test_what_changed_is_named(folder, change, found):
    change(folder)
    assert check_manifest(folder) == dict([found])


def test_a_file_replaced_by_a_link_to_its_copy_is_named(folder, tmp_path_factory):
    copy = tmp_path_factory.mktemp("elsewhere") / "0"
    (folder / "deep/er/0").rename(copy)
    (folder / "deep/er/0").symlink_to(copy)
    assert check_manifest(folder) == {"deep/er/0": "is a link"}


def test_seconds_host_and_process_may_differ_and_nothing_else(folder):
    before = (folder / "manifest.json").read_bytes()
    (folder / "result.json").write_text('{"pid": 8, "host": "b", "cost": {"n": 4, "seconds": {}}}')
    assert check_manifest(folder) == {}
    write_manifest(folder)
    assert (folder / "manifest.json").read_bytes() == before
    (folder / "result.json").write_text('{"pid": 8, "cost": {"n": 5, "seconds": {}}}')
    assert check_manifest(folder) == {"result.json": "is not what was written"}
    (folder / "result.json").write_text("{")
    assert "cannot be read" in check_manifest(folder)["result.json"]


def test_manifests_of_earlier_versions_hash_the_bytes_that_were_read(folder):
    """These differ from one analysis to the next where threads read a slide."""
    result, manifest = folder / "result.json", folder / "manifest.json"
    result.write_text('{"cost": {"n": 5, "bytes_read": 1}}')
    write_manifest(folder)
    said = json.loads(manifest.read_text())
    assert said["files"]["result.json"]["without"] == [
        "bytes_read", "host", "pid", "seconds", "start",
    ]  # fmt: skip
    result.write_text('{"cost": {"n": 5, "bytes_read": 2}}')
    assert check_manifest(folder) == {}
    earlier = json.dumps({"cost": {"n": 5, "bytes_read": 2}}, sort_keys=True, separators=(",", ":"))
    said["files"]["result.json"] = {
        "sha256": hashlib.sha256(earlier.encode()).hexdigest(),
        "without": ["host", "pid", "seconds", "start"],
    }
    manifest.write_text(json.dumps(said))
    assert check_manifest(folder) == {}
    result.write_text('{"cost": {"n": 5, "bytes_read": 3}}')
    assert check_manifest(folder) == {"result.json": "is not what was written"}


def test_notes_laid_beside_the_files_are_nobodys_business(folder):
    (folder / "notes.txt").touch()
    assert check_manifest(folder) == {}


def test_a_page_may_differ_in_the_numbers_that_are_marked_and_in_nothing_else(folder):
    page = folder / "report.html"
    page.write_text('normal, in <span class="passing">3.1</span> s')
    write_manifest(folder)
    page.write_text('normal, in <span class="passing">12,345.6</span> s')
    assert check_manifest(folder) == {}
    for text in ("tumor, in 3.1 s", 'normal, in <span class="passing">tumor</span> s'):
        page.write_text(text)
        assert check_manifest(folder) == {"report.html": "is not what was written"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema": "other/1", "files": {}}',
        '{"schema": "napari-hagmil/manifest/1", "files": []}',
        '{"schema": "napari-hagmil/manifest/1", "files": {"a": 3}}',
    ],
)
def test_what_is_no_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=r"manifest.json cannot be read"):
        check_manifest(folder)


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "a/../../b", ""])
def test_no_place_outside_the_folder_is_looked_at(folder, place):
    said = json.loads((folder / "manifest.json").read_text())
    said["files"][place] = {"sha256": "0" * 64, "size": 0}
    (folder / "manifest.json").write_text(json.dumps(said))
    with pytest.raises(ManifestError, match="is no place in its folder"):
        check_manifest(folder)

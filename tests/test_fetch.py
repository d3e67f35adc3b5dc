"""Public files: fetched from a server of the test's own, never from the net."""

import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from napari_hagmil.errors import DownloadError, OfflineError
from napari_hagmil.plugin.fetch import MIRROR, PublicFile, fetch
from stand_ins import put_in_place

DATA = bytes(range(256)) * 40


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing on stderr."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.svs").write_bytes(DATA)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(MIRROR, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("HAGMIL_OFFLINE", raising=False)
    yield folder
    server.shutdown()
    server.server_close()


def public(data: bytes = DATA) -> PublicFile:
    digest = hashlib.sha256(data).hexdigest()
    return PublicFile("a.svs", "http://nowhere.invalid/a.svs", digest, len(data), "CC0-1.0", "us")


def test_a_file_is_fetched_once_and_checked(server, tmp_path):
    shares = []
    path = fetch(public(), tmp_path / "kept", shares.append)
    assert path.read_bytes() == DATA
    assert shares[-1] == 1
    (server / "a.svs").unlink()
    assert fetch(public(), tmp_path / "kept") == path


def test_a_copy_that_was_damaged_is_fetched_anew(server, tmp_path):
    path = fetch(public(), tmp_path)
    path.write_bytes(b"cut short")
    assert fetch(public(), tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("there", [DATA[:-1], DATA + b"more", b"x" * len(DATA)])
def test_another_file_is_refused_and_nothing_is_kept(server, tmp_path, there):
    (server / "a.svs").write_bytes(there)
    with pytest.raises(DownloadError, match="its hash is another"):
        fetch(public(), tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


def test_what_cannot_be_reached_is_one_sentence(server, tmp_path):
    (server / "a.svs").unlink()
    with pytest.raises(DownloadError, match=r"a\.svs cannot be fetched from http://127\.0\.0\.1"):
        fetch(public(), tmp_path / "kept")


def test_the_offline_switch_forbids_it(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HAGMIL_OFFLINE", "1")
    with pytest.raises(OfflineError):
        fetch(public(), tmp_path / "kept")


def test_make_data_fetches_what_it_shows_the_licence_of(tmp_path, monkeypatch, capsys):
    """From a folder that stands for the net, with files made for the test."""
    script = import_module_of(Path(__file__).parents[1] / "docs/scripts/fetch_data.py")
    (tmp_path / "net/slides").mkdir(parents=True)
    (tmp_path / "net/slides/a.svs").write_bytes(DATA)
    there, gone = replace(public(), name="slides/a.svs"), replace(public(), name="slides/b.svs")
    monkeypatch.setattr(script, "FILES", (there, gone))
    monkeypatch.setenv(MIRROR, (tmp_path / "net").as_uri())
    monkeypatch.setenv("HAGMIL_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("HAGMIL_OFFLINE", raising=False)
    assert script.main(["--list"]) == 0
    assert not (tmp_path / "data").exists()
    assert script.main([]) == 1
    assert (tmp_path / "data/slides/a.svs").read_bytes() == DATA
    said = capsys.readouterr()
    assert "CC0-1.0" in said.out
    assert there.sha256 in said.out
    assert "slides/b.svs cannot be fetched" in said.err


def test_what_make_data_fetched_takes_the_place_of_the_made_slides(tmp_path):
    made, real = tmp_path / "made", tmp_path / "real"
    for folder, names in ((made, ("a.svs", "b.svs")), (real, ("a.svs", "c.svs"))):
        (folder / "broken").mkdir(parents=True)
        for name in names:
            (folder / "broken" / name).write_text(folder.name)
    put_in_place(made, real)
    found = {path.name: path.read_text() for path in (made / "broken").iterdir()}
    assert found == {"a.svs": "real", "b.svs": "made"}
    assert put_in_place(made, tmp_path / "absent") == made


def test_the_files_of_make_data_are_those_that_the_tests_have(data_dir):
    script = import_module_of(Path(__file__).parents[1] / "docs/scripts/fetch_data.py")
    for file in script.FILES:
        data = (data_dir / file.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.n_bytes, file.sha256)


def import_module_of(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

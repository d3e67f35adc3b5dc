"""The offline switch: with it nothing leaves this machine."""

import socket

import pytest

from napari_hagmil.cli import main
from napari_hagmil.cli.parser import VERBS, build_parser
from napari_hagmil.errors import HagmilError, OfflineError
from napari_hagmil.permission import hosts_of, is_offline, is_this_machine, require_network
from napari_hagmil.slide import open_slide


@pytest.fixture
def _offline(monkeypatch):
    """The switch is on, and whoever dials all the same is heard."""
    monkeypatch.setenv("HAGMIL_OFFLINE", "1")

    def dial(*where):
        raise AssertionError(f"something dials {where}")

    monkeypatch.setattr(socket.socket, "connect", dial)
    monkeypatch.setattr(socket, "getaddrinfo", dial)


@pytest.mark.parametrize(
    ("stated", "off"), [("1", True), ("yes", True), ("0", False), ("", False), ("False", False)]
)
def test_the_variable_is_read_as_people_write_it(stated, off, monkeypatch):
    monkeypatch.setenv("HAGMIL_OFFLINE", stated)
    assert is_offline() is off


def test_one_sentence_says_what_needs_the_network_and_what_forbids_it(monkeypatch):
    monkeypatch.setenv("HAGMIL_OFFLINE", "1")
    with pytest.raises(OfflineError) as caught:
        require_network("the slide a.zarr")
    said = caught.value.sentence("command line")
    assert said.startswith("the slide a.zarr needs the network, which HAGMIL_OFFLINE forbids; ")
    assert "--offline" in said
    assert "--offline" not in caught.value.sentence("window")


@pytest.mark.parametrize("url", ["https://host/a.zarr", "s3://bucket/a.zarr", "a+b::ftp://h/a"])
@pytest.mark.usefixtures("_offline")
def test_a_slide_behind_a_url_is_refused(url):
    with pytest.raises(OfflineError, match="needs the network"):
        open_slide(url)


@pytest.mark.usefixtures("_offline")
def test_what_stays_on_this_machine_is_not_refused():
    with pytest.raises(HagmilError) as caught:
        open_slide("memory://nothing.zarr")
    assert not isinstance(caught.value, OfflineError)


@pytest.mark.usefixtures("_offline")
def test_a_cluster_elsewhere_is_refused():
    pytest.importorskip("distributed", reason="the extra distributed is not installed")
    from napari_hagmil.batch.runners import Cluster, DaskRunner

    with pytest.raises(OfflineError, match="the scheduler tcp://10"):
        DaskRunner(None, 1, None, Cluster("tcp://10.0.0.1:8786"))


def test_every_verb_takes_the_switch(monkeypatch, capsys):
    monkeypatch.setenv("HAGMIL_OFFLINE", "0")  # and is put back after the test
    assert main(["info", "https://host/slide.zarr", "--offline"]) == 1
    assert "needs the network, which HAGMIL_OFFLINE forbids" in capsys.readouterr().err
    for verb in VERBS:
        with pytest.raises(SystemExit):
            build_parser().parse_args([*verb.name.split(), "--help"])
        assert "--offline" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "hosts", "here"),
    [
        ("https://Host:8/a", ["host"], False),
        ("simplecache::http://me@127.0.0.1:80/a", ["127.0.0.1"], True),
        ("tcp://[::1]:8786", ["::1"], True),
        ("http://127.evil.org/a", ["127.evil.org"], False),
        ("zip://127.0.0.1::https://host/a", ["127.0.0.1", "host"], False),
    ],
)
def test_this_machine_is_told_from_others(address, hosts, here):
    assert hosts_of(address) == hosts
    assert is_this_machine(address) is here

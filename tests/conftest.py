"""Where real data is found, and what each process of tests has to itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

_PROJECT = Path(__file__).resolve().parents[1]

# A busy machine is no fault of the code.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Give every worker a display of its own: two windows on one share its pointer and focus."""
    if os.environ.get("PYTEST_XDIST_WORKER") and (program := shutil.which("Xvfb")):
        server, display = _virtual_display(program)
        config.add_cleanup(server.wait)  # cleanups run last first
        config.add_cleanup(server.terminate)
        os.environ["DISPLAY"] = display
        os.environ.pop("WAYLAND_DISPLAY", None)


def _virtual_display(program: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a display server in memory: its process, and the display's name once it answers."""
    answer, written = os.pipe()
    server = subprocess.Popen(
        [program, "-displayfd", str(written), "-screen", "0", "1920x1080x24", "-nolisten", "tcp"],
        pass_fds=[written],
        stderr=subprocess.DEVNULL,
    )
    os.close(written)
    with os.fdopen(answer) as lines:
        return server, f":{lines.readline().strip()}"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the user's cache is used, and nothing of a test's is left in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAGMIL_CACHE", str(tmp_path_factory.mktemp("cache")))
        # What one test has encoded must not make another one's run end at once.
        patch.setenv("HAGMIL_FEATURES_GB", "0")
        yield


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    """The package timm, where it is installed."""
    return _library("timm")


@pytest.fixture(scope="session")
def transformers() -> ModuleType:
    """The package transformers, where it is installed."""
    return _library("transformers")


@pytest.fixture(scope="session")
def zoo() -> ModuleType:
    """The package lazyslide-models, where it is installed."""
    return _library("lazyslide_models")


def _library(name: str) -> ModuleType:
    """A library of encoders, whatever build of torch its torchvision was made for."""
    import torch

    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    # torchvision from PyPI belongs to torch with CUDA; beside another build it looks for these
    # operators, which nothing here calls, and does not find them.
    if find_spec("torchvision") and not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        _LIBRARIES.append(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of these libraries' own dependencies
        return pytest.importorskip(name)


#: Operators are there as long as their library is.
_LIBRARIES: list[object] = []


#: What is there when all of it is; `make data` fetches only what has a public address.
_WHOLE = ("slides/luna-1065626.svs", "reference", "checkpoints", "mil", "idc_patches.npz")


def _data_path() -> Path:
    return Path(os.environ.get("HAGMIL_DATA", _PROJECT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real slides and patches: HAGMIL_DATA, or ../shared/data beside the project.

    Absent data skips a test on a user's machine, and fails it where CI=true. What `make data`
    fetches is a part of it: see `slides_dir`.
    """
    path = _data_path()
    absent = [name for name in _WHOLE if not (path / name).exists()]
    if absent:
        reason = f"{path} has no {absent[0]}; set HAGMIL_DATA to the folder with all real data"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def real_slides_dir(data_dir: Path) -> Path:
    """Real slides, for what a made one cannot show."""
    return data_dir / "slides"


@pytest.fixture(scope="session")
def slides_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real slides; for those that are not there, made ones of the same names, kinds and facts."""
    try:
        return Path(request.getfixturevalue("data_dir")) / "slides"
    except pytest.skip.Exception:
        from stand_ins import put_in_place, write_stand_ins

        phantom = request.getfixturevalue("phantom_file")
        made = write_stand_ins(tmp_path_factory.mktemp("stand-ins") / "slides", phantom)
        return put_in_place(made, _data_path() / "slides")


@pytest.fixture(scope="session")
def official_checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A checkpoint as the official code writes it: the reference's, or a made one."""
    try:
        return Path(request.getfixturevalue("data_dir")) / "reference" / "official_like.ckpt"
    except pytest.skip.Exception:
        from made_checkpoints import write_official

        return write_official(tmp_path_factory.mktemp("checkpoint") / "official_like.ckpt")


@pytest.fixture(scope="session")
def phantom(phantom_file: Path) -> Path:
    """A small phantom slide with two lesions; its truth lies beside it."""
    return phantom_file


@pytest.fixture(scope="session")
def phantom_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small phantom slide with two lesions; its truth lies beside it."""
    from napari_hagmil.phantom import PhantomConfig, write_phantom

    path = tmp_path_factory.mktemp("phantom") / "phantom.tiff"
    write_phantom(path, PhantomConfig(seed=5, size=4096, lesions=2))
    return path


@pytest.fixture(scope="session")
def scratch_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of three small untrained stages over the default encoder."""
    import torch

    from napari_hagmil.encoders import load_encoder
    from napari_hagmil.models import (
        BundleConfig,
        CascadeModel,
        EncoderFacts,
        IATConfig,
        save_bundle,
    )

    encoder = load_encoder("efficientnet-lite0")
    torch.manual_seed(0)
    stage = IATConfig(n_features=encoder.n_features, widths=(32, 16), n_classes=2, heads=2)
    config = BundleConfig(
        name="scratch",
        encoder=EncoderFacts(
            name=encoder.name,
            weights_sha256=encoder.weights_sha256,
            n_features=encoder.n_features,
        ),
        patch_size=encoder.patch_size,
        mpp=(1.0, 0.5, 0.25),
        classes=("normal", "tumor"),
        stages=(stage,) * 3,
        budget=(4, 6),
    )
    path = tmp_path_factory.mktemp("bundle") / "scratch.hagmil"
    save_bundle(CascadeModel(config), path)
    return path

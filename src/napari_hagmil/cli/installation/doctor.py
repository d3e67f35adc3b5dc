"""``doctor``: check the installation, and say what brings what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import Verb, json_option
from napari_hagmil.errors import DeviceError, HagmilError, Remedy
from napari_hagmil.permission import is_offline

if TYPE_CHECKING:
    import torch

#: Bytes of free disk below which a large slide's pyramid may not fit.
_LITTLE = 5e9

#: Optional packages, and the extra that brings each.
_OPTIONAL = {
    "onnxruntime": "onnx",
    "onnx": "onnx",
    "timm": "encoders",
    "transformers": "encoders",
    "lazyslide-models": "lazyslide",
    "openslide-python": "openslide",
    "wsidicom": "dicom",
    "highdicom": "highdicom",
    "spatialdata": "spatialdata",
    "h5py": "h5",
    "aiohttp": "remote",
    "distributed": "distributed",
    "PyQt6": "pyqt",
}


@dataclass(frozen=True)
class DoctorOptions:
    """Options of ``doctor``."""

    json: bool = json_option()


@dataclass(frozen=True)
class Diagnosis:
    """One check: what was found, and the remedy where something is wrong."""

    subject: str
    found: str
    remedy: str = ""


def doctor(options: DoctorOptions) -> int:
    """Print what is installed, what is missing, and the command that brings it."""
    findings = [*_basics(), *_devices(), *_encoders(), *_packages()]
    if options.json:
        answer([asdict(each) for each in findings])
        return 0
    for each in findings:
        say(f"{each.subject}: {each.found}" + (f"; {each.remedy}" if each.remedy else ""))
    return 0


def _basics() -> list[Diagnosis]:
    import torch

    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    spins = policy.upper() != "PASSIVE"
    names = ("napari-hagmil", "napari", "numpy", "tifffile", "zarr", "dask")
    known = ", ".join(f"{name} {_version(name) or 'missing'}" for name in names)
    return [
        Diagnosis("python", f"{platform.python_version()} on {platform.platform()}"),
        Diagnosis("versions", known),
        Diagnosis("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        Diagnosis(
            "threads that wait",
            f"OMP_WAIT_POLICY {policy}",
            "set it to PASSIVE where other work shares the machine" if spins else "",
        ),
        Diagnosis("network", "forbidden" if is_offline() else "used only where you ask for it"),
        *_window(),
        *_disk(),
    ]


def _window() -> list[Diagnosis]:
    bindings = [n for n in ("PyQt6", "PySide6", "PyQt5") if _version(n)]
    if not bindings:
        return [Diagnosis("Qt", "none", "run pip install 'napari-hagmil[pyqt]'")]
    found = ", ".join(f"{name} {_version(name)}" for name in bindings)
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not shown:
        return [Diagnosis("Qt", f"{found}, no display", "work at a screen, or under xvfb-run")]
    return [Diagnosis("Qt", found), _graphics()]


def _graphics() -> Diagnosis:
    """OpenGL, tried in a process of its own: a broken driver ends the one that asks."""
    command = [sys.executable, "-m", "napari_hagmil.widgets.graphics"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        drawn = asked.stdout.strip() if asked.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        drawn = ""
    driver = "install the driver of your graphics card, or Mesa (libgl1, libegl1)"
    return Diagnosis("OpenGL", drawn or "none: napari cannot draw", "" if drawn else driver)


def _disk() -> list[Diagnosis]:
    from napari_hagmil.cache import KINDS, cache_root
    from napari_hagmil.encoders.weights import weights_folder

    free = _free(cache_root())
    kept = [
        Diagnosis(
            f"kept {kind.name}",
            f"{kind.folder}, {sum(size for _, size in kind.files()) / 1e9:.1f} of "
            f"{kind.limit_bytes / 1e9:g} GB",
        )
        for kind in KINDS
    ]
    full = "run napari-hagmil cache --clear, or set HAGMIL_CACHE to another disk"
    return [
        *kept,
        Diagnosis("free disk", f"{free / 1e9:.0f} GB there", full if free < _LITTLE else ""),
        Diagnosis("weights", str(weights_folder())),
    ]


def _free(folder: Path) -> int:
    """Bytes free where a folder is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _devices() -> list[Diagnosis]:
    from napari_hagmil.encoders import DEVICES, resolve_device
    from napari_hagmil.encoders.network import chosen_runtime

    findings = []
    for name in DEVICES[1:]:
        try:
            device = resolve_device(name)
            said = f"ready, {chosen_runtime(device)} encodes{_memory_of(device)}"
            findings.append(Diagnosis(f"device {name}", said))
        except DeviceError:
            findings.append(Diagnosis(f"device {name}", "none"))
        except HagmilError as error:
            findings.append(Diagnosis(f"device {name}", error.sentence("command line")))
    return findings


def _memory_of(device: torch.device) -> str:
    """Name and memory of a GPU."""
    import torch

    if device.type != "cuda":
        return ""
    facts = torch.cuda.get_device_properties(device)
    return f", {facts.name}, {facts.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


def _encoders() -> list[Diagnosis]:
    from napari_hagmil.encoders import encoder_states

    return [
        Diagnosis(f"encoder {each.name}", *_said(each.missing, f"encoder {each.name} "))
        if each.missing
        else Diagnosis(f"encoder {each.name}", "ready")
        for each in encoder_states()
    ]


def _said(error: HagmilError, subject: str) -> tuple[str, str]:
    """What is wrong with a subject, and what to do about it."""
    problem = error.problem
    remedy = problem.remedy
    todo = remedy.on("command line") if isinstance(remedy, Remedy) else remedy
    return problem.statement.removeprefix(subject), todo


def _packages() -> list[Diagnosis]:
    from napari_hagmil.encoders.families.shell import INSTALL, PACKAGE

    brings = {name: f"pip install 'napari-hagmil[{extra}]'" for name, extra in _OPTIONAL.items()}
    brings[PACKAGE] = INSTALL
    return [
        Diagnosis(name, version)
        if (version := _version(name))
        else Diagnosis(name, "not installed", f"run {command}")
        for name, command in brings.items()
    ]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


DOCTOR = Verb(
    "doctor",
    DoctorOptions,
    doctor,
    "say what is installed, missing, and what brings it",
    says_names="it looks at no slide",
)

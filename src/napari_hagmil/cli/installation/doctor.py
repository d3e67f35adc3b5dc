"""``doctor``: check the installation, and say what brings what is missing."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata

from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import Verb, json_option
from napari_hagmil.errors import DeviceError, HagmilError

#: Optional packages, and the extra that brings each.
_OPTIONAL = {
    "onnxruntime": "onnx",
    "onnx": "onnx",
    "timm": "encoders",
    "openslide-python": "openslide",
    "wsidicom": "dicom",
    "h5py": "h5",
    "aiohttp": "remote",
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

    from napari_hagmil.cache import KINDS

    policy = os.environ.get("OMP_WAIT_POLICY", "not set")
    spins = policy.upper() != "PASSIVE"
    return [
        Diagnosis("python", f"{platform.python_version()} on {platform.platform()}"),
        Diagnosis("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        Diagnosis(
            "threads that wait",
            f"OMP_WAIT_POLICY {policy}",
            "set it to PASSIVE where other work shares the machine" if spins else "",
        ),
        _qt(),
        *(Diagnosis(f"kept {kind.name}", str(kind.folder)) for kind in KINDS),
    ]


def _qt() -> Diagnosis:
    bindings = [n for n in ("PyQt6", "PySide6", "PyQt5") if _version(n)]
    if not bindings:
        return Diagnosis("Qt", "none", "run pip install 'napari-hagmil[pyqt]'")
    found = ", ".join(f"{name} {_version(name)}" for name in bindings)
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not shown:
        return Diagnosis("Qt", f"{found}, no display", "work at a screen, or under xvfb-run")
    return Diagnosis("Qt", found)


def _devices() -> list[Diagnosis]:
    from napari_hagmil.encoders import DEVICES, resolve_device
    from napari_hagmil.encoders.network import chosen_runtime

    findings = []
    for name in DEVICES[1:]:
        try:
            device = resolve_device(name)
            findings.append(Diagnosis(f"device {name}", f"ready, {chosen_runtime(device)} encodes"))
        except DeviceError:
            findings.append(Diagnosis(f"device {name}", "none"))
        except HagmilError as error:
            findings.append(Diagnosis(f"device {name}", error.sentence("command line")))
    return findings


def _encoders() -> list[Diagnosis]:
    from napari_hagmil.encoders import ENCODERS, load_encoder

    findings = []
    for name in ENCODERS:
        try:
            load_encoder(name)
            findings.append(Diagnosis(f"encoder {name}", "ready"))
        except HagmilError as error:
            findings.append(Diagnosis(f"encoder {name}", error.sentence("command line")))
    return findings


def _packages() -> list[Diagnosis]:
    return [
        Diagnosis(name, version)
        if (version := _version(name))
        else Diagnosis(name, "not installed", f"run pip install 'napari-hagmil[{extra}]'")
        for name, extra in _OPTIONAL.items()
    ]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


DOCTOR = Verb("doctor", DoctorOptions, doctor, "say what is installed, missing, and what brings it")

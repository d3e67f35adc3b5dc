"""The device that an encoder and its model run on."""

from __future__ import annotations

from collections.abc import Callable

import torch

from napari_hagmil.errors import DeviceError

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(name: str = "auto") -> torch.device:
    """The torch device for a name; "auto" takes the best one there is.

    Raises
    ------
    DeviceError
        When the name is unknown, or the device is not there.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _has_mps()}
    if name == "auto":
        return torch.device(next(d for d in ("cuda", "mps", "cpu") if present[d]))
    kind = name.partition(":")[0]
    if kind not in present:
        raise DeviceError(
            "a device", f"is one of {', '.join(DEVICES)}", value=repr(name), remedy="use auto"
        )
    if not present[kind]:
        raise DeviceError(
            f"device {name!r}",
            f"was asked for, but this machine or this build of torch {torch.__version__} has none",
            remedy="use device auto or cpu",
        )
    return torch.device(name)


def _has_mps() -> bool:
    return bool(torch.backends.mps.is_available())


def patches_per_pass(device: torch.device) -> int:
    """How many patches an encoder should take in one forward pass.

    On a CPU the feature maps of eight patches stay in its cache: 59 patches/s of the default
    encoder against 43 with thirty-two. A GPU wants many.
    """
    return 8 if device.type == "cpu" else 256


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The reduced precision that pays on a device, or None for plain float32.

    bfloat16 pays where the hardware multiplies matrices of it: tensor cores, and CPUs with
    AMX. Elsewhere it is emulated and slower than float32.
    """
    if device.type == "cuda":
        return torch.bfloat16
    # torch before 2.13 does not report the capabilities of a CPU.
    ask: Callable[[], dict[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    capabilities = ask()
    if device.type == "cpu" and capabilities.get("amx_bf16"):
        return torch.bfloat16
    return None

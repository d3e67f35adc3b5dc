"""Encoders: patches → features."""

from napari_hagmil.encoders.device import DEVICES, resolve_device
from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.encoders.network import Computation, computation_of
from napari_hagmil.encoders.registry import ENCODERS, load_encoder

__all__ = [
    "DEVICES",
    "ENCODERS",
    "Computation",
    "Encoder",
    "computation_of",
    "load_encoder",
    "resolve_device",
]

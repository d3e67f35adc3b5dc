"""Encoders: patches → features."""

from napari_hagmil.encoders.device import DEVICES, resolve_device
from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.encoders.network import Computation, computation_of
from napari_hagmil.encoders.registry import ENCODERS, is_known, load_encoder

__all__ = [
    "DEVICES",
    "ENCODERS",
    "Computation",
    "Encoder",
    "computation_of",
    "is_known",
    "load_encoder",
    "resolve_device",
]

"""Encoders: patches → features."""

from napari_hagmil.encoders.device import DEVICES, resolve_device
from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.encoders.registry import ENCODERS, load_encoder

__all__ = ["DEVICES", "ENCODERS", "Encoder", "load_encoder", "resolve_device"]

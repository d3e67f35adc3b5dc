"""Encoders: patches → features."""

from napari_hagmil.encoders.catalogue import EncoderState, encoder_state, encoder_states
from napari_hagmil.encoders.device import DEVICES, resolve_device
from napari_hagmil.encoders.downloads import Download, Downloaded, download, plan_download
from napari_hagmil.encoders.interface import Encoder
from napari_hagmil.encoders.network import Computation, computation_of
from napari_hagmil.encoders.registry import ENCODERS, is_known, load_encoder

__all__ = [
    "DEVICES",
    "ENCODERS",
    "Computation",
    "Download",
    "Downloaded",
    "Encoder",
    "EncoderState",
    "computation_of",
    "download",
    "encoder_state",
    "encoder_states",
    "is_known",
    "load_encoder",
    "plan_download",
    "resolve_device",
]

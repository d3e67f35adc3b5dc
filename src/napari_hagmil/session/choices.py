"""Models, encoders and devices that can be chosen, and what is missing for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.bundles import find_bundle
from napari_hagmil.encoders import DEVICES, ENCODERS, load_encoder, resolve_device
from napari_hagmil.errors import DeviceError, EncoderError, HagmilError
from napari_hagmil.models import BundleConfig, load_bundle
from napari_hagmil.session.words import sentence


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose.

    Attributes
    ----------
    name : str
        As it is asked for.
    missing : str
        A sentence that says what is missing; empty when it can be used.
    config : BundleConfig or None
        Of a bundle that could be read.
    """

    name: str
    missing: str = ""
    config: BundleConfig | None = None


def bundle_choice(name: str | Path) -> Choice:
    """A bundle: whether it can be read, and the encoder that it wants."""
    try:
        config = load_bundle(find_bundle(name)).config
    except HagmilError as error:
        return Choice(str(name), sentence(error))
    if config.encoder.name not in ENCODERS:
        missing = (
            f"Model {config.name} was trained on the encoder {config.encoder.name}, which is not "
            f"known here; use a model over {' or '.join(sorted(ENCODERS))}"
        )
        return Choice(str(name), missing, config)
    return Choice(str(name), "", config)


def encoder_choices() -> tuple[Choice, ...]:
    """Every encoder; slow, for it loads them all."""
    return tuple(_encoder_choice(name) for name in ENCODERS)


def _encoder_choice(name: str) -> Choice:
    try:
        load_encoder(name)
    except EncoderError as error:
        return Choice(name, sentence(error))
    return Choice(name)


def device_choices() -> tuple[Choice, ...]:
    """Every device by name."""
    return tuple(_device_choice(name) for name in DEVICES)


def _device_choice(name: str) -> Choice:
    try:
        resolve_device(name)
    except DeviceError as error:
        return Choice(name, sentence(error))
    return Choice(name)

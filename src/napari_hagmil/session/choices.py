"""Models, encoders and devices that can be chosen, and what is missing for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.bundles import find_bundle
from napari_hagmil.encoders import DEVICES, ENCODERS, is_known, load_encoder, resolve_device
from napari_hagmil.encoders.weights import weights_folder
from napari_hagmil.errors import DeviceError, EncoderError, HagmilError, Problem
from napari_hagmil.models import BundleConfig, load_bundle
from napari_hagmil.session.sentences import error_sentence, problem_sentence


@dataclass(frozen=True, slots=True)
class Choice:
    """A model, encoder or device on offer.

    Attributes
    ----------
    name : str
        As `Session.model_name` or `Session.device` takes it.
    missing : str
        Why it cannot be used, as a sentence; empty when it can.
    config : BundleConfig or None
        Of a bundle that was read.
    """

    name: str
    missing: str = ""
    config: BundleConfig | None = None


def bundle_choice(name: str | Path) -> Choice:
    """A bundle: whether it can be read, and whether its encoder exists here."""
    try:
        config = load_bundle(find_bundle(name)).config
    except HagmilError as error:
        return Choice(str(name), error_sentence(error))
    if not is_known(config.encoder.name):
        problem = Problem(
            f"model {config.name}",
            f"was trained on the encoder {config.encoder.name}, which is not known here",
            remedy="choose its stored features under Features, or use a model over "
            f"{' or '.join(sorted(ENCODERS))}",
        )
        return Choice(str(name), problem_sentence(problem), config)
    return Choice(str(name), "", config)


def encoder_choices() -> tuple[Choice, ...]:
    """Every encoder by name; slow the first time, because each is loaded."""
    return tuple(_encoder_choice(name, weights_folder()) for name in ENCODERS)


def _encoder_choice(name: str, weights: Path) -> Choice:
    if (name, weights) in _LOADED:
        return Choice(name)
    try:
        load_encoder(name)
    except EncoderError as error:
        return Choice(name, error_sentence(error))
    _LOADED.add((name, weights))
    return Choice(name)


#: Encoders that were once loaded from a folder of weights: each window would load them all again.
_LOADED: set[tuple[str, Path]] = set()


def device_choices() -> tuple[Choice, ...]:
    """Every device by name."""
    return tuple(_device_choice(name) for name in DEVICES)


def _device_choice(name: str) -> Choice:
    try:
        resolve_device(name)
    except DeviceError as error:
        return Choice(name, error_sentence(error))
    return Choice(name)

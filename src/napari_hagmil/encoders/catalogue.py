"""What of the encoders is on this machine, what is missing, and under which licence each is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.encoders.families.hugging_face import CONFIG
from napari_hagmil.encoders.registry import ENCODERS, FILES, load_encoder
from napari_hagmil.encoders.weights import weights_folder
from napari_hagmil.errors import HagmilError

#: Licences of the weights that are known by name; others are the user's to know.
LICENCES = {
    "efficientnet-lite0": "Apache-2.0",
    "resnet50-layer3": "BSD-3-Clause",
    "swin-large": "MIT",
    "lite0+shell": "Apache-2.0 and MIT",
}


@dataclass(frozen=True, slots=True)
class EncoderState:
    """An encoder, and whether it can be used here.

    Attributes
    ----------
    name : str
    missing : HagmilError or None
        Why it cannot be used, with what brings it.
    n_features, patch_size : int
        0 where it cannot be loaded.
    licence : str
        Of the weights; empty where it is not known.
    """

    name: str
    missing: HagmilError | None = None
    n_features: int = 0
    patch_size: int = 0
    licence: str = ""


def encoder_state(name: str) -> EncoderState:
    """Load an encoder, and say whether it works here."""
    licence = LICENCES.get(name, "")
    try:
        encoder = load_encoder(name)
    except HagmilError as error:
        return EncoderState(name, error, licence=licence)
    return EncoderState(name, None, encoder.n_features, encoder.patch_size, licence)


def encoder_states() -> list[EncoderState]:
    """The encoders of the registry, and those whose files or folders lie in `weights_folder()`."""
    return [encoder_state(name) for name in (*ENCODERS, *_lying_about(weights_folder()))]


def _lying_about(folder: Path) -> list[str]:
    """Names of the encoders that are files or folders of a folder."""
    if not folder.is_dir():
        return []
    paths = sorted(folder.iterdir())
    files = [path.name for path in paths if path.suffix in FILES]
    repositories = [path.name for path in paths if (path / CONFIG).is_file()]
    return files + [f"hf:{name.replace('--', '/', 1)}" for name in repositories]

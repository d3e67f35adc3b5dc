"""``models`` and ``convert``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from napari_hagmil.bundles import shipped_bundles
from napari_hagmil.encoders import ENCODERS, load_encoder
from napari_hagmil.errors import EncoderError
from napari_hagmil.geometry import magnification_label
from napari_hagmil.models import convert_official, load_bundle


def models(arguments: argparse.Namespace) -> int:
    """List what can be used here, and what is missing for the rest."""
    bundles = [_bundle_facts(name) for name in shipped_bundles()]
    encoders = [{"name": name, "missing": _missing(name)} for name in ENCODERS]
    if arguments.json:
        print(json.dumps({"bundles": bundles, "encoders": encoders}, ensure_ascii=False))
        return 0
    for bundle in bundles:
        print(
            f"{bundle['name']}: {' → '.join(bundle['magnifications'])}, "
            f"classes {', '.join(bundle['classes'])}, encoder {bundle['encoder']}"
        )
        print(f"  {bundle['intended_use']}")
    for encoder in encoders:
        print(f"encoder {encoder['name']}: {encoder['missing'] or 'ready'}")
    return 0


def _bundle_facts(name: str) -> dict[str, Any]:
    model = load_bundle(shipped_bundles()[name])
    config = model.config
    return {
        "name": name,
        "sha256": model.sha256,
        "encoder": config.encoder.name,
        "classes": list(config.classes),
        "mpp": list(config.mpp),
        "magnifications": [magnification_label(mpp) for mpp in config.mpp],
        "budget": list(config.budget),
        "licence": config.licence,
        "intended_use": config.intended_use,
    }


def _missing(name: str) -> str:
    try:
        load_encoder(name)
    except EncoderError as error:
        return str(error)
    return ""


def convert(arguments: argparse.Namespace) -> int:
    """Make a bundle of an official checkpoint."""
    convert_official(arguments.checkpoint, arguments.out)
    print(f"{arguments.checkpoint.name} → {arguments.out}")
    return 0

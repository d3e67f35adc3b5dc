"""result.json: findings, slide, model, settings and cost of one analysis."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import napari_hagmil
from napari_hagmil.cascade.result import SlideResult, Stage
from napari_hagmil.files import replacing
from napari_hagmil.geometry import magnification
from napari_hagmil.purpose import RESEARCH_USE
from napari_hagmil.untrusted import well_formed

SCHEMA = "napari-hagmil/result/1"

#: Packages that a number in the result may depend on.
_PACKAGES = (
    "torch",
    "onnxruntime",
    "numpy",
    "tifffile",
    "imagecodecs",
    "zarr",
    "dask",
    "opencv-python-headless",
    "nystrom-attention",
    "efficientnet-lite-pytorch",
    "openslide-python",
    "wsidicom",
    "transformers",
)


def result_document(result: SlideResult) -> dict[str, Any]:
    """Convert a result to the schema ``napari-hagmil/result/1``; plain JSON types only.

    Probabilities are lists in the order of ``model.classes``. Without a finished cascade
    (no tissue, cancelled, incomplete) ``prediction`` is null: the deepest stage alone decides.
    """
    return {
        "schema": SCHEMA,
        "purpose": RESEARCH_USE,
        "state": result.state,
        "start": result.start,
        "slide": asdict(result.slide),
        "model": asdict(result.model),
        "settings": asdict(result.settings),
        "stages": [_stage(result, stage) for stage in result.stages],
        "prediction": _prediction(result),
        "thresholds": dict(result.cascade.thresholds) if result.cascade else {},
        "unfit": result.unfit or None,
        "uncertainty": asdict(result.uncertainty),
        "unread": asdict(result.unread) if result.unread else None,
        "quality": None if result.quality is None else dict(result.quality),
        "cost": asdict(result.cost),
        "versions": versions(),
        "notes": list(result.notes),
    }


def write_result(result: SlideResult, path: str | Path) -> None:
    """Write `result_document`; `OutputError` when the file cannot be written."""
    text = json.dumps(result_document(result), allow_nan=False, ensure_ascii=False, indent=2)
    with replacing(Path(path)) as draft:
        draft.write_text(well_formed(text) + "\n", encoding="utf-8")


def versions() -> dict[str, str]:
    """Versions of what computes, for those installed; imports none of them."""
    return dict(_installed())


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    """Looked up once in a process: each package's metadata are a file to be found and read."""
    found = {"napari-hagmil": napari_hagmil.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return tuple(found.items())


def changed_versions(document: object) -> str:
    """Say which packages had other versions when a stored result was made; "" where none had."""
    then, now = document.get("versions") if isinstance(document, dict) else None, versions()
    if not isinstance(then, dict):
        return "made with versions that are not known"
    differing = [
        f"{name} {then.get(name, 'none')} (here {now.get(name, 'none')})"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    return f"made with {', '.join(differing)}" if differing else ""


def _stage(result: SlideResult, stage: Stage) -> dict[str, Any]:
    mpp = result.slide.mpp * result.grids[stage.depth].downsample
    return {
        "depth": stage.depth,
        "patch_size": result.grids[stage.depth].patch_size,
        "downsample": result.grids[stage.depth].downsample,
        "grid": list(result.grids[stage.depth].shape),
        "mpp": mpp,
        "magnification": magnification(mpp),
        "nodes": len(stage.nodes),
        "followed": int(stage.followed.sum()),
        "pinned": int(stage.pinned.sum()),
        "unread": len(stage.unread),
        "vetoed": len(stage.vetoed),
        "probabilities": stage.probabilities.tolist(),
    }


def _prediction(result: SlideResult) -> dict[str, Any] | None:
    if result.prediction is None:
        return None
    return {
        "class": result.prediction.predicted_class,
        "probabilities": result.prediction.probabilities.tolist(),
    }

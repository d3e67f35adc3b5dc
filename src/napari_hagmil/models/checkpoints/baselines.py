"""Baselines on disk: our own safetensors files, and the checkpoints that their authors publish.

A published checkpoint is a pickle. It is read with `weights_only`, which runs none of its code;
`save_baseline` then keeps the weights in a format that cannot hold code.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from napari_hagmil.errors import BundleError
from napari_hagmil.files import replacing
from napari_hagmil.models.baselines import CLAMSB, DTFD, make_baseline
from napari_hagmil.models.baselines.dtfd import Distillation
from napari_hagmil.models.checkpoints.published import Published, load_published
from napari_hagmil.models.checkpoints.weights_only import one_line
from napari_hagmil.models.interface import BagModel
from napari_hagmil.untrusted import parse_json

SCHEMA = "napari-hagmil/baseline/1"

Model = TypeVar("Model", bound=BagModel)


def save_baseline(model: BagModel, path: str | os.PathLike[str], name: str, **options: Any) -> None:
    """Write a baseline as safetensors; `name` and `options` are those of `make_baseline`."""
    path = Path(path)
    facts = {"n_features": model.n_features, "n_classes": model.n_classes, "options": options}
    metadata = {"schema": SCHEMA, "model": json.dumps({"name": name, **facts})}
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    with replacing(path) as draft:
        draft.write_bytes(safetensors.torch.save(tensors, metadata))


def load_baseline(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> BagModel:
    """Read what `save_baseline` wrote, in eval mode; a `BundleError` when it does not fit."""
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no regular file")  # a pipe would be waited for
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    # Types that this torch does not have come as errors of their own.
    except (OSError, ValueError, KeyError, AttributeError, safetensors.SafetensorError) as error:
        raise BundleError(
            path.name,
            f"is not a safetensors file: {one_line(error)}",
            remedy="give one that save_baseline wrote",
        ) from error
    if metadata.get("schema") != SCHEMA:
        raise BundleError(
            path.name,
            f"needs the schema {SCHEMA!r} of a baseline",
            value=repr(metadata.get("schema")),
            remedy="save the model with save_baseline",
        )
    return _model(metadata.get("model", "{}"), tensors, path.name).to(device)


def _model(text: str, tensors: dict[str, Tensor], source: str) -> BagModel:
    """The baseline that `text` describes, with its weights, in eval mode."""
    try:
        facts = parse_json(text)
        with torch.device("meta"):  # no memory for dimensions that the weights do not have
            model = make_baseline(
                facts["name"], facts["n_features"], facts["n_classes"], **facts["options"]
            )
        model.load_state_dict(tensors, assign=True)
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise BundleError(
            source,
            f"cannot become a baseline: {one_line(error)}",
            remedy="save the model again with save_baseline",
        ) from error
    return model.eval()


def load_published_clam(path: str | os.PathLike[str]) -> CLAMSB:
    """CLAM-SB from a checkpoint of its authors' code, in eval mode."""
    return _of_method(path, load_published(path), CLAMSB)


def load_published_dtfd(
    path: str | os.PathLike[str], *, distillation: Distillation = "afs"
) -> DTFD:
    """DTFD-MIL from a checkpoint of its authors' code, in eval mode.

    The file does not name its distillation; give it where it is not "afs".
    """
    return _of_method(path, load_published(path, distillation=distillation), DTFD)


def _of_method(path: str | os.PathLike[str], found: Published, kind: type[Model]) -> Model:
    if not isinstance(found.model, kind):
        raise BundleError(
            Path(path).name,
            f"is {found.method} and not {kind.__name__}",
            remedy="load it with load_published",
        )
    return found.model

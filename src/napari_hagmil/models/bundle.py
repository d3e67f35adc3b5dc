"""Model bundles on disk: `config.json` and `model.safetensors` in a folder or a zip file.

Nothing on this path can run code: JSON, and safetensors.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from pathlib import Path, PurePosixPath

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from napari_hagmil.errors import BundleError
from napari_hagmil.files import is_there, replacing
from napari_hagmil.models.cascade import CascadeModel
from napari_hagmil.models.config import BundleConfig
from napari_hagmil.models.config_json import config_from_json, config_to_json

CONFIG, WEIGHTS = "config.json", "model.safetensors"

_AGAIN = "copy or download it again"

_LIMITS = {CONFIG: 1 << 20, WEIGHTS: 8 << 30}  # bytes; a zip may unfold to any size


#: How much larger than in its archive a file may be: weights shrink by a tenth, text some tenfold.
_MAX_SWELLING = 50

#: Trained weights stay below some hundreds; larger ones end in numbers that are not finite.
_MAX_WEIGHT = 1e6


def save_bundle(model: CascadeModel, path: str | os.PathLike[str]) -> str:
    """Write a cascade as a bundle, all or nothing.

    Parameters
    ----------
    model : CascadeModel
    path : path
        A folder, by custom NAME.hagmil; a zip file when it ends in ".zip". An existing bundle is
        replaced, anything else refused.

    Returns
    -------
    str
        SHA-256 of the weights file.
    """
    path = Path(path)
    tensors = {
        name: tensor.detach().to("cpu").contiguous() for name, tensor in model.state_dict().items()
    }
    weights = safetensors.torch.save(tensors)
    sha256 = hashlib.sha256(weights).hexdigest()
    config = config_to_json(model.config, weights_sha256=sha256).encode()
    _check_replaceable(path)
    with replacing(path) as draft:
        _write(draft, {CONFIG: config, WEIGHTS: weights}, as_zip=path.suffix == ".zip")
    model.sha256 = sha256
    return sha256


def load_bundle(
    path: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    endpoints: bool = False,
) -> CascadeModel:
    """Read a bundle, in eval mode, float32.

    Parameters
    ----------
    path : path
        A folder or a zip file, as `save_bundle` writes.
    device : str or torch.device
    endpoints : bool
        Whether a model of an endpoint will do; by default it has to predict classes.

    Raises
    ------
    BundleError
        In one sentence: a file is missing, corrupt or outside the bundle; schema, dimensions,
        classes or encoder do not fit each other or the weights.
    """
    path = Path(path)
    source = f"the model bundle {path.name}"
    files = _read(path, source)
    config, expected = config_from_json(_decode(files[CONFIG], source), source)
    if config.endpoint is not None and not endpoints:
        raise BundleError(
            source,
            f"predicts {', '.join(config.endpoint.columns)}, where classes are needed",
            remedy="measure it on slides with napari-hagmil evaluate, or take another model",
        )
    sha256 = hashlib.sha256(files[WEIGHTS]).hexdigest()
    if expected is not None and sha256 != expected:
        raise BundleError(
            source,
            f"needs the {WEIGHTS} that its config.json was written with, sha256 "
            f"{str(expected)[:12]}…",
            value=f"{sha256[:12]}…",
            remedy="copy or download it again",
        )
    with torch.device("meta"):  # no memory for dimensions that the weights do not have
        model = CascadeModel(config)
    model.load_state_dict(_tensors(files[WEIGHTS], model, source), assign=True)
    model.sha256 = sha256
    return model.to(device).eval()


def bundle_config(path: str | os.PathLike[str]) -> BundleConfig:
    """Read what a bundle says of itself; nothing looks at its weights.

    Raises
    ------
    BundleError
        In one sentence, when there is none that can be read.
    """
    path = Path(path)
    source = f"the model bundle {path.name}"
    return config_from_json(_decode(_read(path, source, (CONFIG,))[CONFIG], source), source)[0]


def bundle_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a bundle's weights file: the model's identity in results."""
    path = Path(path)
    return hashlib.sha256(_read(path, f"the model bundle {path.name}")[WEIGHTS]).hexdigest()


def _tensors(weights: bytes, model: CascadeModel, source: str) -> dict[str, Tensor]:
    """Float32 tensors of a weights file, checked against the model they are for."""
    try:
        tensors = safetensors.torch.load(weights)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise BundleError(
            source, f"has a corrupt {WEIGHTS}: {error}", remedy="copy or download it again"
        ) from error
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(shapes.keys() ^ tensors.keys()):
        verb = "lacks" if name in shapes else "has the unknown"
        raise BundleError(
            source,
            f"{verb} weights {name!r}, against the dimensions in its config.json",
            remedy="copy or download both files again",
        )
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != shapes[name]:
            raise BundleError(
                source,
                f"needs weights {name!r} of shape {shapes[name]}, as its config.json says",
                value=tuple(tensor.shape),
            )
        _check_numbers(name, tensor, source)
    return {name: tensor.float() for name, tensor in tensors.items()}


def _check_numbers(name: str, tensor: Tensor, source: str) -> None:
    if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
        raise BundleError(
            source, f"has weights {name!r} that are not finite numbers", remedy=_AGAIN
        )
    if tensor.numel() and float(tensor.abs().max()) > _MAX_WEIGHT:
        raise BundleError(
            source,
            f"has weights {name!r} above {_MAX_WEIGHT:g}, which no training gives",
            remedy=_AGAIN,
        )


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(
            source, f"has a config.json that is not UTF-8: {error}", remedy=_AGAIN
        ) from error


def _read(path: Path, source: str, names: tuple[str, ...] = (CONFIG, WEIGHTS)) -> dict[str, bytes]:
    """Both files of a bundle, or one of them."""
    if not is_there(path):
        raise BundleError(source, f"does not exist at {path}", remedy="give a folder or .zip file")
    try:
        if path.is_dir():
            return {name: _read_member(path, name, source) for name in names}
        if not path.is_file():
            raise BundleError(source, "is no regular file", remedy="give a folder or .zip file")
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive, source, names)
    except BundleError:
        raise
    # Damaged archives: zlib, lzma, struct and zipfile raise their own kinds.
    except Exception as error:
        raise BundleError(source, f"cannot be read: {error}", remedy=_AGAIN) from error


def _read_member(folder: Path, name: str, source: str) -> bytes:
    member = folder / name
    if not member.resolve().is_relative_to(folder.resolve()):
        raise BundleError(
            source,
            f"has a {name} that leaves the folder for {member.resolve()}",
            remedy="put the file itself there",
        )
    if not member.is_file():
        raise _lacking(source, name)
    _check_size(name, member.stat().st_size, source)
    return member.read_bytes()


def _read_archive(
    archive: zipfile.ZipFile, source: str, names: tuple[str, ...]
) -> dict[str, bytes]:
    """Files of a zipped bundle, at its root or in its only folder; nothing is unpacked."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        member = PurePosixPath(info.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(info.external_attr >> 16)
        if member.is_absolute() or ".." in member.parts or ":" in info.filename or is_link:
            raise BundleError(
                source,
                f"has the member {info.filename!r} that leaves the folder",
                remedy="take a bundle from a source you trust",
            )
        if len(member.parts) <= 2 and member.name in _LIMITS and not info.is_dir():
            if member.name in found:
                raise BundleError(
                    source, f"has more than one {member.name}", remedy="leave one bundle in the zip"
                )
            found[member.name] = info
    for name in _LIMITS:
        if name not in found:
            raise _lacking(source, name)
        _check_size(name, found[name].file_size, source)
        if found[name].file_size > _MAX_SWELLING * found[name].compress_size + 2**20:
            raise BundleError(
                source,
                f"has a {name} that swells {_MAX_SWELLING}-fold and more, as no weights do",
                remedy="take a bundle from a source you trust",
            )
    return {name: archive.read(found[name]) for name in names}


def _check_size(name: str, size: int, source: str) -> None:
    if size > _LIMITS[name]:
        raise BundleError(
            source,
            f"may have a {name} of at most {_LIMITS[name]:,} bytes",
            value=f"{size:,}",
            remedy="take a bundle from a source you trust",
        )


def _lacking(source: str, name: str) -> BundleError:
    return BundleError(
        source, f"lacks its {name}", remedy=f"give a bundle, which holds {CONFIG} and {WEIGHTS}"
    )


def _check_replaceable(path: Path) -> None:
    """Raise when something stands at `path` that is no bundle: never delete a user's folder."""
    if not path.exists() and not path.is_symlink():
        return
    if path.is_dir() and not path.is_symlink():
        replaceable = not any(path.iterdir()) or {p.name for p in path.iterdir()} <= set(_LIMITS)
    else:
        replaceable = path.suffix == ".zip" and path.is_file()
    if not replaceable:
        raise BundleError(
            str(path),
            "cannot become a model bundle: something else stands there",
            remedy="choose another place",
        )


def _write(path: Path, files: dict[str, bytes], *, as_zip: bool) -> None:
    if not as_zip:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            # The fixed time of ZipInfo makes equal models equal files.
            archive.writestr(zipfile.ZipInfo(name), content)

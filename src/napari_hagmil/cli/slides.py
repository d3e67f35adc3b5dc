"""``info``, ``pyramid``, ``cache``, ``phantom``, ``quality``, ``epithelium``: single slides."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_hagmil.cli.terminal import answer, move_to, percent, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    device_option,
    json_option,
    mpp_option,
    option,
    pseudonymise_option,
    switch,
)
from napari_hagmil.errors import SlideReadError


@dataclass(frozen=True)
class InfoOptions:
    """Options of ``info``."""

    slide: Path = argument("slide", type=Path)
    check: bool = switch("--check", "decode every tile; exit status 1 if any cannot be decoded")
    mpp: float | None = mpp_option()
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


@dataclass(frozen=True)
class PyramidOptions:
    """Options of ``pyramid``."""

    slide: Path = argument("slide", type=Path)
    out: Path = argument("below", type=Path, metavar="OUT.tiff|OUT.zarr")
    mpp: float | None = mpp_option()
    compression: Literal["jpeg", "deflate", "zstd"] = option(
        "--compression",
        choices=("jpeg", "deflate", "zstd"),
        default="jpeg",
        help="of a TIFF (default jpeg; the others are lossless)",
    )
    quality: int = option("--quality", type=int, default=90, help="of JPEG (default 90)")
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


@dataclass(frozen=True)
class CacheOptions:
    """Options of ``cache``."""

    clear: bool = switch("--clear", "empty the cache")
    json: bool = json_option()


@dataclass(frozen=True)
class PhantomOptions:
    """Options of ``phantom``."""

    out: Path = argument(type=Path, metavar="OUT.tiff")
    seed: int = option("--seed", type=int, default=0, help="of the random numbers (default 0)")
    size: int = option("--size", type=int, default=16384, help="side in px (default 16384)")
    lesions: int | None = option(
        "--lesions", type=int, help="number of lesions (default: drawn from the seed)"
    )
    mpp: float = option("--mpp", type=float, default=0.25, help="µm per pixel (default 0.25)")
    json: bool = json_option()


@dataclass(frozen=True)
class QualityOptions:
    """Options of ``quality``."""

    slide: Path = argument("slide", type=Path)
    out: Path | None = option(
        "--out",
        place="below",
        type=Path,
        metavar="DIR",
        help="folder for a picture and the places",
    )
    mpp: float | None = mpp_option()
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


@dataclass(frozen=True)
class EpitheliumOptions:
    """Options of ``epithelium``."""

    slide: Path = argument("slide", type=Path)
    out: Path | None = option(
        "--out", place="below", type=Path, metavar="DIR", help="folder for a picture and outlines"
    )
    weights: Path | None = option(
        "--weights",
        place="below",
        type=Path,
        metavar="FILE",
        help="SHELL's wheel or .onnx, if not installed",
    )
    device: str = device_option()
    mpp: float | None = mpp_option()
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def info(options: InfoOptions) -> int:
    """Print what a slide file holds."""
    from napari_hagmil.slide import check_slide, open_slide, slide_info

    with open_slide(options.slide, mpp=options.mpp) as slide:
        facts = slide_info(slide, "library" if options.json else "command line")
        if options.check:
            with percent() as bar:
                checked = check_slide(slide, on_progress=lambda share: move_to(bar, share))
            for level, counts in zip(facts["levels"], checked, strict=True):
                level["tiles"] = counts
        damaged = list(slide.unreadable)
    if options.json:
        answer(facts, indent=2)
    else:
        _print_facts(facts)
    if damaged:
        place = dict(zip(("level", "row", "column"), damaged[0], strict=True))
        first = ", ".join(f"{axis} {index}" for axis, index in place.items())
        raise SlideReadError(
            str(facts["name"]),
            f"has {len(damaged)} tiles that cannot be decoded, the first at {first}",
            remedy="copy the file again if its original is whole",
        )
    return 0


def _print_facts(facts: dict[str, Any]) -> None:
    for key, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            say(f"{key}:")
            for item in value:
                say("  " + "  ".join(f"{name}={_short(part)}" for name, part in item.items()))
        elif isinstance(value, list):
            say(f"{key}: {', '.join(map(str, value)) or 'none'}")
        else:
            say(f"{key}: {_short(value)}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{number} {name}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return "×".join(_short(part) for part in value)
    return "none" if value is None else str(value)


def pyramid(options: PyramidOptions) -> int:
    """Write a copy of a slide as a pyramidal file."""
    from napari_hagmil.slide import TiffStyle, make_pyramid

    style = TiffStyle(options.compression, options.quality)
    started = time.perf_counter()
    with percent() as bar:
        shapes = make_pyramid(
            options.slide,
            options.out,
            mpp=options.mpp,
            style=style,
            on_progress=lambda share: move_to(bar, share),
        )
    seconds = round(time.perf_counter() - started, 2)
    if options.json:
        levels = [list(shape) for shape in shapes]
        answer({"slide": str(options.out), "levels": levels, "seconds": seconds})
    else:
        say(f"{options.out}: {len(shapes)} levels, {_short(shapes[0])} px, {seconds:.1f} s")
    return 0


def cache(options: CacheOptions) -> int:
    """Print what the caches hold, or empty them."""
    from napari_hagmil.cache import KINDS, cache_root

    freed = sum(kind.clear() for kind in KINDS) if options.clear else 0
    sizes = {kind: [size for _, size in kind.files()] for kind in KINDS}
    if options.json:
        kinds = {
            kind.name: {
                "folder": str(kind.folder),
                "files": len(held),
                "bytes": sum(held),
                "limit_bytes": int(kind.limit_bytes),
            }
            for kind, held in sizes.items()
        }
        answer({"folder": str(cache_root()), "freed_bytes": freed, **kinds})
        return 0
    for kind, held in sizes.items():
        say(
            f"{kind.folder}: {len(held)} files of {kind.name}, "
            f"{sum(held) / 1e9:.2f} of {kind.limit_bytes / 1e9:.3g} GB"
        )
    if options.clear:
        say(f"{freed / 1e9:.2f} GB freed")
    return 0


def phantom(options: PhantomOptions) -> int:
    """Write a phantom slide and its truth."""
    from napari_hagmil.phantom import PhantomConfig, write_phantom

    config = PhantomConfig(
        seed=options.seed, size=options.size, lesions=options.lesions, mpp=options.mpp
    )
    started = time.perf_counter()
    with percent() as bar:
        truth = write_phantom(options.out, config, progress=lambda share: move_to(bar, share))
    seconds = time.perf_counter() - started
    facts = {
        "slide": str(options.out),
        "truth": str(options.out.with_suffix(".geojson")),
        "size": config.size,
        "mpp": config.mpp,
        "lesion_diameters_um": [round(lesion.diameter_um, 1) for lesion in truth.lesions],
        "seconds": round(seconds, 2),
    }
    if options.json:
        answer(facts)
    else:
        say(
            f"{options.out}: {config.size}×{config.size} px, {len(truth.lesions)} lesions, "
            f"{seconds:.1f} s; truth in {facts['truth']}"
        )
    return 0


def quality(options: QualityOptions) -> int:
    """Find folds, blur, ink, bubbles and pigment on a slide."""
    from napari_hagmil.batch.analysis import overview
    from napari_hagmil.export.on_request.quality import quality_document, write_quality
    from napari_hagmil.files import require_writable
    from napari_hagmil.quality import measure_quality
    from napari_hagmil.slide import open_slide

    if options.out is not None:
        require_writable(options.out)
    with open_slide(options.slide, mpp=options.mpp) as slide, percent() as bar:
        found = measure_quality(slide, on_progress=lambda share: move_to(bar, share))
        document = quality_document(found, slide.name)
        if options.out is not None:
            write_quality(found, overview(slide).pixels, options.out, name=slide.name)
    if options.json:
        answer(document)
        return 0
    shares = ", ".join(f"{kind} {share:.1%}" for kind, share in document["shares"].items())
    say(f"{document['slide']}: {shares} of {document['specimen_mm2']:.1f} mm²")
    for note in document["notes"]:
        say(f"  {note}")
    return 0


def epithelium(options: EpitheliumOptions) -> int:
    """Find epithelium, stroma and lumen on a slide."""
    from napari_hagmil.batch.analysis import overview
    from napari_hagmil.encoders import resolve_device
    from napari_hagmil.epithelium import find_epithelium
    from napari_hagmil.export.on_request.epithelium import epithelium_document, write_epithelium
    from napari_hagmil.files import require_writable
    from napari_hagmil.slide import open_slide

    if options.out is not None:
        require_writable(options.out)
    device = str(resolve_device(options.device))
    with open_slide(options.slide, mpp=options.mpp) as slide, percent() as bar:
        found = find_epithelium(
            slide,
            device=device,
            weights=options.weights,
            on_progress=lambda share: move_to(bar, share),
        )
        document = epithelium_document(found, slide.name)
        if options.out is not None:
            write_epithelium(found, slide, overview(slide).pixels, options.out)
    if options.json:
        answer(document)
        return 0
    shares = ", ".join(f"{name} {share:.1%}" for name, share in document["shares"].items())
    say(f"{document['slide']}: {shares} of {document['tissue_mm2']:.1f} mm²")
    return 0


INFO = Verb("info", InfoOptions, info, "describe a slide file")
PYRAMID = Verb(
    "pyramid", PyramidOptions, pyramid, "rewrite a slide as a pyramid that opens at every zoom"
)
CACHE = Verb(
    "cache",
    CacheOptions,
    cache,
    "show or empty the cache of coarse levels",
    says_names="what is kept goes by fingerprints, and names no slide",
)
PHANTOM = Verb(
    "phantom",
    PhantomOptions,
    phantom,
    "write a synthetic pyramidal slide, and its planted lesions as GeoJSON beside it",
    says_names="a phantom is of nobody",
)
QUALITY = Verb(
    "quality", QualityOptions, quality, "find folds, blur, ink, bubbles and pigment on a slide"
)
EPITHELIUM = Verb(
    "epithelium",
    EpitheliumOptions,
    epithelium,
    "find epithelium and stroma on a slide, by a network trained on H&E",
)

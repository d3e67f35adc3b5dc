"""``features``: import the features of other programs, and export features for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_hagmil.cli.encode import EncodeOptions, Kind, encode, halving
from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    at_least_one,
    json_option,
    mpp_option,
    option,
    out_option,
    pseudonymise_option,
    slides_argument,
    switch,
)
from napari_hagmil.errors import FeatureStoreError


@dataclass(frozen=True)
class ImportOptions:
    """Options of ``features import``."""

    cohort: str = slides_argument()
    store: Path = option(
        "--store",
        place="below",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the features",
    )
    kind: Kind = option(
        "--from",
        required=True,
        choices=("clam", "trident", "stamp", "official"),
        help="who made the files",
    )
    features: list[Path] = option(
        "--features",
        place="named",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="folder to import from; for clam and trident once per depth, coarse to fine",
    )
    encoder: str | None = option("--encoder", metavar="NAME", help="which encoder made them")
    depths: tuple[float, ...] | None = option(
        "--depths",
        type=halving,
        metavar="X,X/2,…",
        help="µm per pixel of each depth, coarse to fine",
    )
    patch_size: int | None = option(
        "--patch-size", type=at_least_one, metavar="PX", help="default the files' own"
    )
    mpp: float | None = mpp_option()
    overwrite: bool = switch("--overwrite", "replace features of another encoder, slide or depth")
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def import_features(options: ImportOptions) -> int:
    """Import what another program has encoded; the same as ``encode --import``."""
    return encode(
        EncodeOptions(
            cohort=options.cohort,
            store=options.store,
            encoder=options.encoder,
            depths=options.depths,
            patch_size=options.patch_size,
            dtype="float32",
            colors="file",
            device="cpu",
            allow_code=False,
            workers=None,
            readers=1,
            timeout=None,
            memory=None,
            overwrite=options.overwrite,
            mpp=options.mpp,
            tissue_dir=None,
            imported=options.kind,
            features=options.features,
            pseudonymise=False,  # They are stand-ins already.
            json=options.json,
        )
    )


@dataclass(frozen=True)
class ExportOptions:
    """Options of ``features export``."""

    store: Path = argument("result", type=Path, metavar="STORE")
    out: Path = out_option()
    kind: Literal["clam", "trident", "stamp", "store"] = option(
        "--as",
        required=True,
        choices=("clam", "trident", "stamp", "store"),
        help="whose files to write; store: our own, with one depth",
    )
    depth: int = option(
        "--depth", type=int, default=0, help="which depth, 0 the coarsest (default 0)"
    )
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def export(options: ExportOptions) -> int:
    """Export one depth of every slide of a store."""
    from napari_hagmil.features.exporters import export_store
    from napari_hagmil.features.store import SUFFIX, FeatureStore

    is_one = options.store.suffix == SUFFIX
    paths = [options.store] if is_one else sorted(options.store.glob(f"*{SUFFIX}"))
    if not paths:
        raise FeatureStoreError(
            str(options.store), "holds no stored features", remedy="give what encode --store made"
        )
    files = []
    for path in paths:
        files.append(
            export_store(FeatureStore(path), options.kind, options.out, depth=options.depth)
        )
        if not options.json:
            say(f"{path.stem}: {files[-1]}")
    if options.json:
        answer({"files": [str(file) for file in files]})
    return 0


EXPORT = Verb(
    "features export",
    ExportOptions,
    export,
    "write one depth of stored features as h5 of CLAM, TRIDENT or STAMP, or as a store",
)
IMPORT = Verb(
    "features import",
    ImportOptions,
    import_features,
    "take over features of CLAM, TRIDENT or the official code",
)

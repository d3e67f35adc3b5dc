"""``features export``: stored features as the h5 files of other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import Verb, argument, json_option, option, out_option
from napari_hagmil.errors import FeatureStoreError


@dataclass(frozen=True)
class ExportOptions:
    """Options of ``features export``."""

    store: Path = argument(type=Path, metavar="STORE")
    out: Path = out_option()
    kind: Literal["clam", "trident", "stamp"] = option(
        "--as", required=True, choices=("clam", "trident", "stamp"), help="whose files to write"
    )
    depth: int = option(
        "--depth", type=int, default=0, help="which depth, 0 the coarsest (default 0)"
    )
    json: bool = json_option()


def export(options: ExportOptions) -> int:
    """Write one depth of every slide of a store."""
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
    "write stored features as h5 of CLAM, TRIDENT or STAMP",
)

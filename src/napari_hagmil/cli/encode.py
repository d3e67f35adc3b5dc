"""``encode``: encode a whole cohort into a feature store."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_hagmil.cli.terminal import answer, printable, progress, say
from napari_hagmil.cli.verb import (
    Verb,
    at_least_one,
    code_option,
    device_option,
    json_option,
    memory_option,
    mpp_option,
    numbers,
    option,
    pseudonymise_option,
    slides_argument,
    switch,
    timeout_option,
    tissue_dir_option,
    workers_option,
)
from napari_hagmil.errors import AnnotationError, EncoderError, FeatureStoreError, Remedy

if TYPE_CHECKING:
    from napari_hagmil.cohort import Cohort
    from napari_hagmil.features import EncodeConfig, EncodeEvent, ImportConfig
    from napari_hagmil.tissue import TissueOutline

#: The encoder where none is named.
DEFAULT_ENCODER = "efficientnet-lite0"

Kind = Literal["clam", "trident", "stamp", "official"]


def halving(text: str) -> tuple[float, ...]:
    """µm per pixel of depths, each half the one before."""
    mpp = numbers(text)
    halves = all(abs(a / b - 2) < 0.02 for a, b in pairwise(mpp) if b > 0)
    if not mpp or min(mpp) <= 0 or not halves:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,X/2,… in µm per pixel, as 1,0.5,0.25")
    return mpp


@dataclass(frozen=True)
class EncodeOptions:
    """Options of ``encode``."""

    cohort: str = slides_argument()
    store: Path = option(
        "--store",
        place="below",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the features",
    )
    encoder: str | None = option(
        "--encoder", metavar="NAME", help=f"default {DEFAULT_ENCODER}; see napari-hagmil models"
    )
    depths: tuple[float, ...] | None = option(
        "--depths",
        type=halving,
        metavar="X,X/2,…",
        help="µm per pixel of each depth, coarse to fine (default 1,0.5,0.25)",
    )
    patch_size: int | None = option(
        "--patch-size", type=at_least_one, metavar="PX", help="default the encoder's"
    )
    dtype: Literal["float32", "float16"] = option(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the stored features (default float32)",
    )
    colors: Literal["file", "srgb"] = option(
        "--colors",
        choices=("file", "srgb"),
        default="file",
        help="what the encoder sees: the file's numbers (default), or sRGB by the ICC profile",
    )
    device: str = device_option()
    allow_code: bool = code_option()
    workers: int | None = workers_option()
    readers: int = option(
        "--readers", type=at_least_one, default=2, help="threads of a process that read (default 2)"
    )
    timeout: float | None = timeout_option()
    memory: float | None = memory_option()
    overwrite: bool = switch("--overwrite", "replace features of another encoder, slide or depth")
    mpp: float | None = mpp_option()
    tissue_dir: Path | None = tissue_dir_option()
    imported: Kind | None = option(
        "--import",
        choices=("clam", "trident", "stamp", "official"),
        help="import existing features of this format instead of encoding",
    )
    features: list[Path] | None = option(
        "--features",
        place="named",
        type=Path,
        action="append",
        metavar="DIR",
        help="folder to import from; for clam and trident once per depth, coarse to fine",
    )
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def encode(options: EncodeOptions) -> int:
    """Encode every slide of a cohort, or import features that another program has encoded."""
    from napari_hagmil.cohort import gather_slides

    if bool(options.features) != bool(options.imported):
        raise FeatureStoreError(
            "--import and --features", "belong together", remedy="give both, or neither"
        )
    cohort = gather_slides(options.cohort, files=options.imported is None)
    report = _Report(len(cohort), quiet=options.json)
    for note in cohort.notes:
        report.say(note)
    with report.bar:
        for event in _events(options, cohort):
            report.show(event)
    failed = [event for event in report.ends if event.kind != "done"]
    if options.json:
        slides = [asdict(event) for event in report.ends]
        answer({"store": str(options.store), "slides": slides})
    else:
        report.say(
            f"{len(report.ends) - len(failed)} of {len(cohort)} slides are in {options.store}"
        )
    return 3 if failed else 0


def _events(options: EncodeOptions, cohort: Cohort) -> Iterator[EncodeEvent]:
    from napari_hagmil.batch.encoding import EncodeJob, encode_by_processes
    from napari_hagmil.batch.pool import pool_for
    from napari_hagmil.encoders import load_encoder, resolve_device
    from napari_hagmil.features import encode_cohort, import_cohort

    if options.imported is not None:
        yield from import_cohort(
            cohort.records, options.store, _importing(options, options.imported)
        )
        return
    name, config = options.encoder or DEFAULT_ENCODER, _encoding(options, cohort)
    encoder = load_encoder(name, device=resolve_device(options.device))
    job = EncodeJob(options.store, name, options.device, config)
    with pool_for(job, options) as pool:
        if pool is None:
            yield from encode_cohort(cohort.records, options.store, encoder, config)
        else:
            del encoder  # It was loaded to say now what is wrong with it.
            yield from encode_by_processes(cohort.records, pool)


def _encoding(options: EncodeOptions, cohort: Cohort) -> EncodeConfig:
    from napari_hagmil.features import EncodeConfig
    from napari_hagmil.features.encode import DEFAULT_MPP

    return EncodeConfig(
        mpp=options.depths or DEFAULT_MPP,
        patch_size=options.patch_size,
        dtype=options.dtype,
        slide_mpp=options.mpp,
        overwrite=options.overwrite,
        readers=options.readers,
        colors=options.colors,
        outlines=_outlines(options.tissue_dir, cohort) if options.tissue_dir else None,
    )


@dataclass(frozen=True)
class _Outlines:
    """Reads a slide's tissue outlines from a folder when its turn comes."""

    folder: Path

    def __call__(self, name: str) -> TissueOutline | None:
        from napari_hagmil.export.geojson_reader import read_area
        from napari_hagmil.ledger import file_facts
        from napari_hagmil.tissue import TissueOutline

        path = self.folder / f"{name}.geojson"
        if not path.is_file():
            return None
        return TissueOutline(read_area(path), file_facts(path).sha256)


def _outlines(folder: Path, cohort: Cohort) -> _Outlines:
    if not any((folder / f"{record.name}.geojson").is_file() for record in cohort.records):
        example = cohort.records[0].name
        raise AnnotationError(
            str(folder),
            "holds no outlines of these slides",
            remedy=f"name the files after the slides: {example}.geojson",
        )
    return _Outlines(folder)


def _importing(options: EncodeOptions, kind: Kind) -> ImportConfig:
    from napari_hagmil.features import ImportConfig

    encoder = options.encoder
    if encoder is None and kind == "official":
        encoder = "resnet50-layer3"
    if encoder is None:
        raise EncoderError(
            "imported features",
            "do not say which encoder made them",
            remedy=Remedy("name it with encoder=", "name it with --encoder"),
        )
    return ImportConfig(
        kind=kind,
        folders=tuple(options.features or ()),
        encoder=encoder,
        mpp=options.depths,
        patch_size=options.patch_size,
        dtype=options.dtype,
        overwrite=options.overwrite,
        slide_mpp=options.mpp,
    )


class _Report:
    """Shows how far the work has come: a bar on a terminal, a line per slide elsewhere."""

    def __init__(self, n_slides: int, *, quiet: bool) -> None:
        self.ends: list[EncodeEvent] = []
        self._n_slides, self._quiet = n_slides, quiet
        self._left, self._made = 0, 0
        self._remaining: dict[str, int] = {}
        self._started = 0.0
        # On a terminal the bar itself estimates the time left.
        self.bar = progress("patch", 0)

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        if not self._quiet:
            say(text, above=self.bar)

    def show(self, event: EncodeEvent) -> None:
        """Show one event."""
        if event.kind == "laid out":
            # A slide is laid out again where another process takes it over.
            known = self._remaining.get(event.name)
            self._remaining[event.name] = event.total - event.done
            self._add_work(event.total - event.done - (known or 0))
            if known is None:
                self.bar.set_description("finding tissue")
                self._started = time.perf_counter()  # the last slide to be laid out sets the clock
            if event.message:
                self.say(f"{event.name}: {event.message}")
        elif event.kind == "encoded":
            self._advance(event)
        else:
            self._end(event)

    def _advance(self, event: EncodeEvent) -> None:
        # Another process may have encoded some of it.
        n = self._remaining[event.name] - (event.total - event.done)
        self._remaining[event.name] -= n
        self._made += n
        self._left -= n
        self.bar.set_description(printable(event.name))
        self.bar.update(n)

    def _add_work(self, n: int) -> None:
        self._left += n
        self.bar.total = (self.bar.total or 0) + n
        self.bar.refresh()

    def _end(self, event: EncodeEvent) -> None:
        self.ends.append(event)
        place = f"[{len(self.ends)}/{self._n_slides}] {event.name}"
        if event.kind != "done":
            self._add_work(-self._remaining.pop(event.name, 0))
            self.say(f"{place}: {event.state}: {event.message}")
            return
        unread = f", {event.unread} unread" if event.unread else ""
        note = f" {event.message}" if event.message else ""
        self.say(f"{place}: {event.total} patches{unread}{self._time_left()}{note}")

    def _time_left(self) -> str:
        if not self._left or not self._made:
            return ""
        seconds = self._left * (time.perf_counter() - self._started) / self._made
        return f"; about {duration(seconds)} left"


def duration(seconds: float) -> str:
    """Format seconds for planning: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


ENCODE = Verb(
    "encode", EncodeOptions, encode, "compute a cohort's features at every depth, for training"
)

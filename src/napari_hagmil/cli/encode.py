"""``encode``: features of a whole cohort, kept on disk."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

from tqdm import tqdm

from napari_hagmil.cohort import Cohort, read_cohort
from napari_hagmil.encoders import load_encoder, resolve_device
from napari_hagmil.errors import EncoderError, FeatureStoreError
from napari_hagmil.features import (
    EncodeConfig,
    EncodeEvent,
    ImportConfig,
    encode_cohort,
    import_cohort,
)
from napari_hagmil.features.encode import DEFAULT_MPP

_DEFAULT_ENCODER = "efficientnet-lite0"


def encode(arguments: argparse.Namespace) -> int:
    """Encode every slide of a cohort, or import what others encoded."""
    if bool(arguments.features) != bool(arguments.imported):
        raise FeatureStoreError(
            "--import and --features belong together: whose format, and the folders; give both"
        )
    cohort = read_cohort(arguments.cohort, files=arguments.imported is None, every_class=False)
    report = _Report(len(cohort), quiet=arguments.json)
    for note in cohort.notes:
        report.say(note)
    with report.bar:
        for event in _events(arguments, cohort):
            report.tell(event)
    failed = [event for event in report.ends if event.kind == "failed"]
    if arguments.json:
        slides = [asdict(event) for event in report.ends]
        print(json.dumps({"store": str(arguments.store), "slides": slides}, ensure_ascii=False))
    else:
        report.say(
            f"{len(report.ends) - len(failed)} of {len(cohort)} slides are in {arguments.store}"
        )
    return 3 if failed else 0


def _events(arguments: argparse.Namespace, cohort: Cohort) -> Iterator[EncodeEvent]:
    if arguments.imported is not None:
        return import_cohort(cohort.records, arguments.store, _importing(arguments))
    encoder = load_encoder(
        arguments.encoder or _DEFAULT_ENCODER, device=resolve_device(arguments.device)
    )
    return encode_cohort(cohort.records, arguments.store, encoder, _encoding(arguments))


def _encoding(arguments: argparse.Namespace) -> EncodeConfig:
    return EncodeConfig(
        mpp=arguments.depths or DEFAULT_MPP,
        patch_size=arguments.patch_size,
        dtype=arguments.dtype,
        slide_mpp=arguments.mpp,
        overwrite=arguments.overwrite,
        workers=arguments.workers,
    )


def _importing(arguments: argparse.Namespace) -> ImportConfig:
    encoder = arguments.encoder
    if encoder is None and arguments.imported == "official":
        encoder = "resnet50-layer3"
    if encoder is None:
        raise EncoderError(
            "imported features do not say which encoder made them; name it with --encoder"
        )
    return ImportConfig(
        kind=arguments.imported,
        folders=tuple(arguments.features),
        encoder=encoder,
        mpp=arguments.depths,
        patch_size=arguments.patch_size,
        dtype=arguments.dtype,
        overwrite=arguments.overwrite,
    )


class _Report:
    """Shows how far the work has come: a bar on a terminal, a line per slide elsewhere."""

    def __init__(self, n_slides: int, *, quiet: bool) -> None:
        self.ends: list[EncodeEvent] = []
        self._n_slides, self._quiet = n_slides, quiet
        self._left, self._made = 0, 0
        self._remaining: dict[str, int] = {}
        self._started = 0.0
        # A terminal's bar estimates the time that is left by itself.
        self.bar = tqdm(unit="patch", total=0, disable=not sys.stderr.isatty(), leave=False)

    def say(self, text: str) -> None:
        """Print a line, above the bar if there is one."""
        if not self._quiet:
            self.bar.write(text, file=sys.stdout)
            sys.stdout.flush()

    def tell(self, event: EncodeEvent) -> None:
        """Show one event."""
        if event.kind == "laid out":
            self._remaining[event.name] = event.total - event.done
            self.bar.set_description("finding tissue")
            self._started = time.perf_counter()  # the last slide to be laid out sets the clock
            self._add_work(event.total - event.done)
            if event.message:
                self.say(f"{event.name}: {event.message}")
        elif event.kind == "encoded":
            self._advance(event)
        else:
            self._end(event)

    def _advance(self, event: EncodeEvent) -> None:
        n = self._remaining[event.name] - (event.total - event.done)
        self._remaining[event.name] -= n
        self._made += n
        self._left -= n
        self.bar.set_description(event.name)
        self.bar.update(n)

    def _add_work(self, n: int) -> None:
        self._left += n
        self.bar.total = (self.bar.total or 0) + n
        self.bar.refresh()

    def _end(self, event: EncodeEvent) -> None:
        self.ends.append(event)
        place = f"[{len(self.ends)}/{self._n_slides}] {event.name}"
        if event.kind == "failed":
            self._add_work(-self._remaining.pop(event.name, 0))
            self.say(f"{place}: failed: {event.message}")
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
    """Seconds in words that are exact enough to plan by: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""``cohort``: a table of slides from what a data set comes with, and what is wrong with one."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from napari_hagmil.cohort import (
    Listing,
    SlideCheck,
    TableCheck,
    check_slides,
    check_table,
    from_camelyon16,
    from_folders,
    from_gdc,
    same_content,
    write_cohort,
)
from napari_hagmil.cohort.listing import number
from napari_hagmil.errors import HagmilError
from napari_hagmil.files import require_writable, write_csv
from napari_hagmil.slide import open_slide

#: Names that stand in a line before the rest is counted.
_NAMED = 4


def camelyon16(arguments: argparse.Namespace) -> int:
    """Write the table of a release of Camelyon16."""
    return _write(arguments, from_camelyon16(arguments.folder))


def gdc(arguments: argparse.Namespace) -> int:
    """Write the table of a manifest of the GDC."""
    listing = from_gdc(arguments.manifest, arguments.sample_sheet, slides=arguments.slides)
    return _write(arguments, listing)


def folders(arguments: argparse.Namespace) -> int:
    """Write the table of slides that lie in a folder per class."""
    return _write(arguments, from_folders(arguments.folder))


def _write(arguments: argparse.Namespace, listing: Listing) -> int:
    out: Path = arguments.out
    require_writable(out)
    write_cohort(out, listing.records)
    beside = out.with_name(f"{out.stem}-left-out.csv")
    if listing.left_out:
        write_csv(beside, ("file", "reason"), [(o.name, o.reason) for o in listing.left_out])
    else:
        beside.unlink(missing_ok=True)
    problems = [problem.sentence("command line") for problem in listing.problems]
    if arguments.json:
        answer = {
            "table": str(out),
            "slides": len(listing.records),
            "patients": len({record.patient for record in listing.records}),
            "classes": dict(Counter(record.label for record in listing.records)),
            "parts": dict(Counter(record.split or "" for record in listing.records)),
            "left_out": [asdict(one) for one in listing.left_out],
            "problems": problems,
            "notes": list(listing.notes),
        }
        print(json.dumps(answer, ensure_ascii=False))
        return 0
    _print_listing(out, listing)
    for sentence in problems:
        print(f"! {sentence}")
    for note in listing.notes:
        print(note)
    if listing.left_out:
        print(f"Everything that was left out stands in {beside.name}.")
    return 0


def _print_listing(out: Path, listing: Listing) -> None:
    records = listing.records
    classes = _counted(Counter(record.label for record in records))
    patients = len({record.patient for record in records})
    print(f"{out}: {number(len(records), 'slide')} of {number(patients, 'patient')}; {classes}")
    parts = Counter(record.split for record in records if record.split)
    if parts:
        print(f"parts: {_counted(parts)}")
    reasons: dict[str, list[str]] = {}
    for one in listing.left_out:
        reasons.setdefault(one.reason, []).append(one.name)
    for reason, names in reasons.items():
        print(f"left out, {reason}: {_some(names)}")


def _counted(counts: Counter[Any]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def check(arguments: argparse.Namespace) -> int:
    """Say what is wrong with a table and its slides, and what encoding them will take."""
    table = check_table(arguments.cohort)
    opened = check_slides(table.records, mpp=arguments.mpp)
    slides = list(_shown(opened, len(table.records), "slide"))
    answer: dict[str, Any] = {
        "table": str(arguments.cohort),
        "slides": len(table.records),
        "patients": len({record.patient for record in table.records}),
        "counts": table.counts(),
        "magnifications": dict(Counter(slide.magnification for slide in slides)),
        "disk_bytes": sum(slide.size_bytes for slide in slides),
        "problems": _problems(table, slides),
        "notes": list(table.notes),
    }
    usable = [slide for slide in slides if slide.problem is None]
    if usable and not arguments.no_estimate:
        cost, failures = _estimate(arguments, usable)
        answer["problems"] += failures
        answer["encoding"] = cost
    if arguments.json:
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _print_check(answer)
    return 3 if answer["problems"] else 0


def _shown(items: Any, total: int, unit: str) -> Any:
    return tqdm(items, total=total, unit=unit, disable=not sys.stderr.isatty(), leave=False)


def _problems(table: TableCheck, slides: Sequence[SlideCheck]) -> list[str]:
    problems = list(table.problems)
    problems += [s.problem.sentence("command line") for s in slides if s.problem is not None]
    problems += [
        f"{' and '.join(names)} seem to be the same file; keep one"
        for names in same_content(slides)
    ]
    return problems


def _estimate(
    arguments: argparse.Namespace, usable: Sequence[SlideCheck]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Cost of encoding, and why some of the sampled slides cannot be encoded."""
    from napari_hagmil.encoders import load_encoder, resolve_device
    from napari_hagmil.features.encode import DEFAULT_MPP
    from napari_hagmil.features.encoding_cost import (
        Rate,
        Sample,
        count_patches,
        encoding_cost,
        measure_rate,
    )

    encoder = load_encoder(arguments.encoder, device=resolve_device(arguments.device))
    mpp, size = arguments.depths or DEFAULT_MPP, arguments.patch_size or encoder.patch_size
    rate = Rate(arguments.rate, "as stated") if arguments.rate else None
    samples, failures, refused = [], [], set()
    chosen = _spread(usable, arguments.sample)
    for one in _shown(chosen, len(chosen), "slide"):
        try:
            with open_slide(one.record.path, mpp=arguments.mpp) as slide:
                samples.append(Sample(count_patches(slide, mpp, size), one.area_mm2))
                rate = rate or measure_rate(slide, encoder, mpp, size)
        except HagmilError as error:
            failures.append(error.sentence("command line"))
            refused.add(one.record.name)
    if rate is None or not samples:
        return None, failures
    areas = [one.area_mm2 for one in usable if one.record.name not in refused]
    per_patch = encoder.n_features * (2 if arguments.dtype == "float16" else 4)
    return asdict(encoding_cost(areas, samples, rate, per_patch)), failures


def _spread(slides: Sequence[SlideCheck], n: int) -> list[SlideCheck]:
    """`n` slides from all over a table; all of them for 0."""
    if not n or n >= len(slides):
        return list(slides)
    return [slides[i] for i in np.linspace(0, len(slides) - 1, n).astype(int)]


def _duration(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1.5 else f"{max(60 * hours, 1):.0f} min"


def _print_check(answer: dict[str, Any]) -> None:
    slides, patients = number(answer["slides"], "slide"), number(answer["patients"], "patient")
    print(f"{answer['table']}: {slides} of {patients}")
    for part, classes in answer["counts"].items():
        print(f"{part or 'no part'}: {_counted(Counter(classes))}")
    print(f"magnifications: {_counted(Counter(answer['magnifications'])) or 'none'}")
    print(f"files: {answer['disk_bytes'] / 1e9:.3g} GB")
    cost = answer.get("encoding")
    if cost:
        print(
            f"encoding: about {cost['patches']:,} patches, {_duration(cost['hours'])}, "
            f"{cost['disk_bytes'] / 1e9:.3g} GB of features"
        )
        for sentence in cost["assumptions"]:
            print(f"  {sentence}")
    for sentence in answer["problems"]:
        print(f"! {sentence}")
    for note in answer["notes"]:
        print(note)
    if not answer["problems"]:
        print("Nothing is wrong with it.")

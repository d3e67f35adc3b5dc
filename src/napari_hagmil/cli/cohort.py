"""``cohort``: make a cohort's table from a data set's own files, and check a table."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from napari_hagmil.cli.encode import DEFAULT_ENCODER, halving
from napari_hagmil.cli.terminal import answer, progress, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    at_least_one,
    code_option,
    cohort_argument,
    device_option,
    json_option,
    mpp_option,
    option,
    pseudonymise_option,
    switch,
)
from napari_hagmil.errors import HagmilError

if TYPE_CHECKING:
    from napari_hagmil.cohort import Listing, SlideCheck, TableCheck

Item = TypeVar("Item")

#: Names listed in a line; further ones are counted.
_NAMED = 4


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def _table_option() -> Any:
    return option(
        "--out", type=Path, required=True, metavar="COHORT.csv", help="the table to write"
    )


@dataclass(frozen=True)
class FolderOptions:
    """Options of ``cohort from-camelyon16`` and ``cohort from-folders``."""

    folder: Path = argument(
        type=Path, help="the release, or CLASS/SLIDE, or train|val|test/CLASS/SLIDE"
    )
    out: Path = _table_option()
    json: bool = json_option()


@dataclass(frozen=True)
class GdcOptions:
    """Options of ``cohort from-gdc``."""

    manifest: Path = argument(type=Path, help="gdc_manifest….txt")
    sample_sheet: Path | None = argument(type=Path, nargs="?", help="gdc_sample_sheet….tsv")
    slides: Path | None = option(
        "--slides", type=Path, metavar="DIR", help="folder that gdc-client downloaded to"
    )
    out: Path = _table_option()
    json: bool = json_option()


@dataclass(frozen=True)
class AgreeOptions:
    """Options of ``cohort agree``."""

    cohort: Path = argument(
        "run", type=Path, help="the folder of a batch, a folder with slides, or a table of them"
    )
    out: Path = option(
        "--out",
        place="below",
        type=Path,
        required=True,
        metavar="DIR",
        help="the folder to make; must not exist",
    )
    pseudonymise: bool = pseudonymise_option()


@dataclass(frozen=True)
class CheckOptions:
    """Options of ``cohort check``."""

    cohort: Path = cohort_argument()
    encoder: str = option(
        "--encoder",
        default=DEFAULT_ENCODER,
        metavar="NAME",
        help=f"to estimate for (default {DEFAULT_ENCODER})",
    )
    depths: tuple[float, ...] | None = option(
        "--depths", type=halving, metavar="X,X/2,…", help="µm per pixel of each depth, as of encode"
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
    device: str = device_option()
    allow_code: bool = code_option()
    sample: int = option(
        "--sample",
        type=_count,
        default=8,
        metavar="N",
        help="slides whose tissue is found for the estimate, 0 for all (default 8)",
    )
    rate: int | None = option(
        "--rate", type=at_least_one, metavar="N", help="patches per second (default: measured here)"
    )
    no_estimate: bool = switch("--no-estimate", "find no tissue, load no encoder")
    mpp: float | None = mpp_option()
    json: bool = json_option()


def camelyon16(options: FolderOptions) -> int:
    """Write the table of a release of Camelyon16."""
    from napari_hagmil.cohort import from_camelyon16

    return _write(options, from_camelyon16(options.folder))


def gdc(options: GdcOptions) -> int:
    """Write the table of a manifest of the GDC."""
    from napari_hagmil.cohort import from_gdc

    listing = from_gdc(options.manifest, options.sample_sheet, slides=options.slides)
    return _write(options, listing)


def folders(options: FolderOptions) -> int:
    """Write the table of slides that lie in a folder per class."""
    from napari_hagmil.cohort import from_folders

    return _write(options, from_folders(options.folder))


def _write(options: FolderOptions | GdcOptions, listing: Listing) -> int:
    from napari_hagmil.cohort import write_cohort
    from napari_hagmil.files import require_writable, write_csv

    out = options.out
    require_writable(out)
    write_cohort(out, listing.records)
    beside = out.with_name(f"{out.stem}-left-out.csv")
    if listing.left_out:
        write_csv(beside, ("file", "reason"), [(o.name, o.reason) for o in listing.left_out])
    else:
        beside.unlink(missing_ok=True)
    if options.json:
        answer(_listing_document(out, listing))
        return 0
    _print_listing(out, listing)
    for problem in listing.problems:
        say(f"! {problem.sentence('command line')}")
    for note in listing.notes:
        say(note)
    if listing.left_out:
        say(f"Everything that was left out stands in {beside.name}.")
    return 0


def _listing_document(out: Path, listing: Listing) -> dict[str, Any]:
    return {
        "table": str(out),
        "slides": len(listing.records),
        "patients": len({record.patient for record in listing.records}),
        "classes": dict(Counter(record.label for record in listing.records)),
        "parts": dict(Counter(record.split or "" for record in listing.records)),
        "left_out": [asdict(one) for one in listing.left_out],
        "problems": [problem.sentence("command line") for problem in listing.problems],
        "notes": list(listing.notes),
    }


def _print_listing(out: Path, listing: Listing) -> None:
    from napari_hagmil.cohort.listing import number

    records = listing.records
    classes = _counted(Counter(record.label for record in records))
    patients = len({record.patient for record in records})
    say(f"{out}: {number(len(records), 'slide')} of {number(patients, 'patient')}; {classes}")
    parts = Counter(record.split for record in records if record.split)
    if parts:
        say(f"parts: {_counted(parts)}")
    reasons: dict[str, list[str]] = {}
    for one in listing.left_out:
        reasons.setdefault(one.reason, []).append(one.name)
    for reason, names in reasons.items():
        say(f"left out, {reason}: {_some(names)}")


def _counted(counts: Counter[Any]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def check(options: CheckOptions) -> int:
    """Report what is wrong with a table and its slides, and estimate the cost of encoding them."""
    from napari_hagmil.cohort import check_slides, check_table

    table = check_table(options.cohort)
    opened = check_slides(table.records, mpp=options.mpp)
    slides = list(_shown(opened, len(table.records)))
    document: dict[str, Any] = {
        "table": str(options.cohort),
        "slides": len(table.records),
        "patients": len({record.patient for record in table.records}),
        "counts": table.counts(),
        "magnifications": dict(Counter(slide.magnification for slide in slides)),
        "disk_bytes": sum(slide.size_bytes for slide in slides),
        "problems": _problems(table, slides),
        "notes": list(table.notes),
    }
    usable = [slide for slide in slides if slide.problem is None]
    if usable and not options.no_estimate:
        cost, failures = _estimate(options, usable)
        document["problems"] += failures
        document["encoding"] = cost
    if options.json:
        answer(document)
    else:
        _print_check(document)
    return 3 if document["problems"] else 0


def _shown(items: Iterable[Item], total: int) -> Iterator[Item]:
    with progress("slide", total) as bar:
        for item in items:
            yield item
            bar.update()


def _problems(table: TableCheck, slides: Sequence[SlideCheck]) -> list[str]:
    from napari_hagmil.cohort import same_content

    problems = list(table.problems)
    problems += [s.problem.sentence("command line") for s in slides if s.problem is not None]
    problems += [
        f"{' and '.join(names)} seem to be the same file; keep one"
        for names in same_content(slides)
    ]
    return problems


def _estimate(
    options: CheckOptions, usable: Sequence[SlideCheck]
) -> tuple[dict[str, Any] | None, list[str]]:
    """Estimate the cost of encoding, and say why sampled slides cannot be encoded."""
    from napari_hagmil.encoders import load_encoder, resolve_device
    from napari_hagmil.features import encoding_cost as cost
    from napari_hagmil.features.encode import DEFAULT_MPP
    from napari_hagmil.slide import open_slide

    encoder = load_encoder(options.encoder, device=resolve_device(options.device))
    mpp, size = options.depths or DEFAULT_MPP, options.patch_size or encoder.patch_size
    rate = cost.Rate(options.rate, "as stated") if options.rate else None
    samples, failures, refused = [], [], set()
    chosen = _spread(usable, options.sample)
    for one in _shown(chosen, len(chosen)):
        try:
            with open_slide(one.record.path, mpp=options.mpp) as slide:
                samples.append(cost.Sample(cost.count_patches(slide, mpp, size), one.area_mm2))
                rate = rate or cost.measure_rate(slide, encoder, mpp, size)
        except HagmilError as error:
            failures.append(error.sentence("command line"))
            refused.add(one.record.name)
    if rate is None or not samples:
        return None, failures
    areas = [one.area_mm2 for one in usable if one.record.name not in refused]
    per_patch = encoder.n_features * (2 if options.dtype == "float16" else 4)
    return asdict(cost.encoding_cost(areas, samples, rate, per_patch)), failures


def _spread(slides: Sequence[SlideCheck], n: int) -> list[SlideCheck]:
    """`n` slides spread evenly over a table; all of them for 0."""
    import numpy as np

    if not n or n >= len(slides):
        return list(slides)
    return [slides[i] for i in np.linspace(0, len(slides) - 1, n).astype(int)]


def agree(options: AgreeOptions) -> int:
    """Compare the readers of a cohort's slides."""
    from napari_hagmil.session.cohort.compared import (
        compare_cohort,
        comparison_sentence,
        write_comparison,
    )
    from napari_hagmil.session.cohort.decisions import nameless
    from napari_hagmil.session.cohort.folder import open_cohort

    entries = [one for piece in open_cohort(options.cohort).read() for one in piece]
    entries = nameless(entries) if options.pseudonymise else entries
    found = compare_cohort(entries)
    if found.pairs:
        write_comparison(options.out, found, entries)
    say(comparison_sentence(found))
    return 0 if found.pairs else 3


def _duration(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1.5 else f"{max(60 * hours, 1):.0f} min"


def _print_check(document: dict[str, Any]) -> None:
    from napari_hagmil.cohort.listing import number

    slides, patients = number(document["slides"], "slide"), number(document["patients"], "patient")
    say(f"{document['table']}: {slides} of {patients}")
    for part, classes in document["counts"].items():
        say(f"{part or 'no part'}: {_counted(Counter(classes))}")
    say(f"magnifications: {_counted(Counter(document['magnifications'])) or 'none'}")
    say(f"files: {document['disk_bytes'] / 1e9:.3g} GB")
    cost = document.get("encoding")
    if cost:
        say(
            f"encoding: about {cost['patches']:,} patches, {_duration(cost['hours'])}, "
            f"{cost['disk_bytes'] / 1e9:.3g} GB of features"
        )
        for sentence in cost["assumptions"]:
            say(f"  {sentence}")
    for sentence in document["problems"]:
        say(f"! {sentence}")
    for note in document["notes"]:
        say(note)
    if not document["problems"]:
        say("Nothing is wrong with it.")


FROM_CAMELYON16 = Verb(
    "cohort from-camelyon16",
    FolderOptions,
    camelyon16,
    "list Camelyon16, in any layout of its releases",
    says_names="names are what it is for",
)
FROM_GDC = Verb(
    "cohort from-gdc",
    GdcOptions,
    gdc,
    "list diagnostic slides of TCGA, labelled by disease",
    says_names="names are what it is for",
)
FROM_FOLDERS = Verb(
    "cohort from-folders",
    FolderOptions,
    folders,
    "list slides sorted into a folder per class",
    says_names="names are what it is for",
)
CHECK = Verb(
    "cohort check",
    CheckOptions,
    check,
    "find what is wrong with a table, and estimate encoding",
    says_names="it says which slides of a table are to be mended; it writes no file",
)
AGREE = Verb(
    "cohort agree",
    AgreeOptions,
    agree,
    "compare the reviews of several readers: kappa, what one found and others not, a consensus",
)

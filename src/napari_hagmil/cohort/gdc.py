"""Slides of TCGA, from a manifest of the Genomic Data Commons and its sample sheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.cohort.listing import LeftOut, Listing, files_below, number, some
from napari_hagmil.cohort.read import table_text
from napari_hagmil.cohort.tcga import SLIDE_KINDS, Barcode, read_barcode
from napari_hagmil.errors import CohortError, Problem

Row = Mapping[str, str]

_MANIFEST = ("id", "filename")
_SHEET = ("file id", "file name", "project id", "case id")


@dataclass
class _Taken:
    """The rows seen so far, to find duplicates."""

    ids: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    contents: dict[str, str] = field(default_factory=dict)


def from_gdc(
    manifest: str | Path,
    sample_sheet: str | Path | None = None,
    *,
    slides: str | Path | None = None,
) -> Listing:
    """List the diagnostic slides of a manifest, labelled by disease.

    The patient is the barcode's ``TCGA-XX-XXXX``. The project comes from the sample sheet, or,
    without one, from the barcode's tissue source site, which is known for TCGA-KICH, -KIRC, -KIRP,
    -LUAD and -LUSC; the label is its last part, "KIRC".

    Parameters
    ----------
    manifest : path
        ``gdc_manifest….txt``: columns id, filename, and md5 and size where there are.
    sample_sheet : path, optional
        ``gdc_sample_sheet….tsv``: File ID, File Name, Project ID, Case ID.
    slides : path, optional
        Where the files lie, as gdc-client leaves them (``ID/NAME``) or otherwise; what is absent
        or not whole is left out. Without it, every slide is expected at ``ID/NAME`` beside the
        manifest.

    Raises
    ------
    CohortError
        When a table cannot be read or lacks a column, or no slide is left.
    """
    manifest = Path(manifest)
    rows = _table(manifest, _MANIFEST)
    sheet = _sheet(Path(sample_sheet)) if sample_sheet is not None else None
    places = _places(Path(slides)) if slides is not None else None
    taken, records, left_out = _Taken(), [], []
    for row in rows:
        reason = _twice(row, taken) or _reason_against(row, sheet)
        path = manifest.parent / row["id"] / row["filename"]
        if not reason and places is not None:
            path, reason = _place(row, places)
        if reason:
            left_out.append(LeftOut(row["filename"] or row["id"], reason))
        else:
            records.append(_record(row, sheet, path))
    if not records:
        reasons = Counter(one.reason for one in left_out).most_common(5)
        raise CohortError(
            f"{manifest.name} names no slide that can be used",
            [f"{n} left out: {reason}" for reason, n in reasons] or ["it is empty"],
        )
    problems = tuple(_problems(rows, sheet, left_out))
    return Listing(tuple(records), tuple(left_out), problems, tuple(_notes(records, sheet)))


def _table(path: Path, needed: Sequence[str]) -> list[Row]:
    """Rows by column; the columns' names in small letters."""
    text = table_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = "\t" if "\t" in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines = [[cell.strip() for cell in cells] for cells in reader if any(c.strip() for c in cells)]
    header = [name.lower() for name in lines[0]] if lines else []
    absent = [name for name in needed if name not in header]
    if absent:
        raise CohortError(
            f"{path.name} cannot be used",
            [
                f"it has no column {' and no '.join(repr(name) for name in absent)}",
                f"it has {', '.join(header[:12]) or 'no line'}",
                "download it again from the GDC's cart",
            ],
        )
    width = len(header)
    return [dict(zip(header, (cells + [""] * width)[:width], strict=True)) for cells in lines[1:]]


def _sheet(path: Path) -> dict[str, Row]:
    """Rows of a sample sheet by file id."""
    return {row["file id"].lower(): row for row in _table(path, _SHEET)}


def _twice(row: Row, taken: _Taken) -> str:
    """Say why a row repeats an earlier one; empty when it does not."""
    file_id, name, md5 = row["id"].lower(), row["filename"], row.get("md5", "").lower()
    if file_id in taken.ids:
        return "the manifest names it twice"
    taken.ids.add(file_id)
    if name in taken.names:
        return "the manifest names two files like this"
    taken.names.add(name)
    if md5 and md5 in taken.contents:
        return f"it is the same file as {taken.contents[md5]} (md5)"
    taken.contents[md5] = name
    return ""


def _reason_against(row: Row, sheet: Mapping[str, Row] | None) -> str:
    """Say why a file is not a slide of the cohort; empty when it is."""
    barcode = read_barcode(row["filename"])
    if barcode is None:
        return "its name does not begin with the barcode of a TCGA slide"
    if barcode.kind != "DX":
        return f"it is {SLIDE_KINDS[barcode.kind]}, not a diagnostic slide"
    if barcode.sample >= 10:
        return f"its sample ({barcode.sample}) is not of a tumour"
    if sheet is not None:
        return _reason_of_sheet(row, barcode, sheet)
    if barcode.project is None:
        return (
            f"its tissue source site {barcode.site} is of none of KICH, KIRC, KIRP, LUAD and LUSC; "
            "give the sample sheet"
        )
    return ""


def _reason_of_sheet(row: Row, barcode: Barcode, sheet: Mapping[str, Row]) -> str:
    entry = sheet.get(row["id"].lower())
    if entry is None:
        return "the sample sheet has no row for it"
    # A file of several samples of a case names the case once for each.
    cases = {case.strip().upper() for case in entry["case id"].split(",")}
    if cases != {barcode.patient}:
        return f"the sample sheet says case {entry['case id']}, its barcode {barcode.patient}"
    projects = {project.strip() for project in entry["project id"].split(",")}
    if len(projects) != 1 or not min(projects):
        return f"the sample sheet says project {entry['project id'] or 'nothing'}"
    return ""


def _record(row: Row, sheet: Mapping[str, Row] | None, path: Path) -> SlideRecord:
    barcode = read_barcode(row["filename"])
    assert barcode is not None  # or there were a reason against the slide
    project = barcode.project if sheet is None else sheet[row["id"].lower()]["project id"]
    label = str(project).split(",")[0].strip().removeprefix("TCGA-")
    return SlideRecord(path, label, barcode.patient, name=Path(row["filename"]).stem)


def _places(folder: Path) -> dict[str, list[Path]]:
    """Files of a folder by name."""
    places: dict[str, list[Path]] = {}
    for path in files_below(folder):
        places.setdefault(path.name, []).append(path)
    return places


def _place(row: Row, places: Mapping[str, list[Path]]) -> tuple[Path, str]:
    """Return where a slide lies, and why it cannot be used; empty when it can."""
    found = places.get(row["filename"], [])
    if not found:
        partial = f"{row['filename']}.partial" in places
        return Path(), "it is not downloaded whole" if partial else "it is not in the folder"
    own = [path for path in found if path.parent.name.lower() == row["id"].lower()]
    path = (own or found)[0]
    size, expected = path.stat().st_size, row.get("size", "")
    if expected.isdecimal() and size != int(expected):
        return path, f"it has {size:,} of {int(expected):,} bytes; download it again"
    return path, ""


def _problems(
    rows: Sequence[Row], sheet: Mapping[str, Row] | None, left_out: Sequence[LeftOut]
) -> Iterator[Problem]:
    absent = [one.name for one in left_out if one.reason.startswith("it is not ")]
    if absent:
        remedy = "fetch them with gdc-client download -m MANIFEST"
        rule = f"lacks {number(len(absent), 'slide')} of the manifest: {some(absent)}"
        yield Problem("The folder", rule, None, remedy)
    named = {row["id"].lower() for row in rows}
    others = [row["file name"] for file_id, row in (sheet or {}).items() if file_id not in named]
    if others:
        yield Problem("The sample sheet", f"has files that the manifest lacks: {some(others)}")


def _notes(records: Sequence[SlideRecord], sheet: Mapping[str, Row] | None) -> Iterator[str]:
    if sheet is None:
        yield (
            "Projects are those of the barcodes' tissue source sites; a case that was assigned "
            "to another disease later is right in the sample sheet only."
        )
    per_patient = Counter(record.patient for record in records)
    several = sum(n > 1 for n in per_patient.values())
    if several:
        yield (
            f"{several} of {len(per_patient)} patients have several diagnostic slides; all are "
            "kept, and slides of one patient stay in one part."
        )
    labels: dict[str, set[str]] = {}
    for record in records:
        labels.setdefault(record.patient, set()).add(record.label)
    mixed = sorted(patient for patient, names in labels.items() if len(names) > 1)
    if mixed:
        yield f"Patients with slides of two diseases: {some(mixed)}."
    later = [r.name for r in records if (b := read_barcode(r.name)) and b.sample != 1]
    if later:
        yield f"Not of a primary tumour, but recurrent, new or metastatic: {some(later)}."

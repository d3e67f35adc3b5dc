"""Read ``COHORT.csv`` as spreadsheets write it, and report everything wrong with it at once."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from napari_hagmil.cohort.classes import class_order
from napari_hagmil.cohort.cohort import (
    KNOWN_SUFFIXES,
    PARTS,
    SLIDE_SUFFIXES,
    Cohort,
    SlideRecord,
    default_name,
)
from napari_hagmil.cohort.measured import with_measured
from napari_hagmil.cohort.tcga import patient_of
from napari_hagmil.errors import CohortError
from napari_hagmil.files import from_spreadsheet_cell, is_there
from napari_hagmil.slide.location import url_of
from napari_hagmil.untrusted import read_regular

#: A table of a million slides has some 100 MB.
_MAX_BYTES = 256 * 2**20

REQUIRED = ("slide", "label", "patient")
UNLABELLED = ("slide",)
OPTIONAL = ("split", "name", "truth")

#: What others call these columns; the first that is there counts, and only where ours is not.
_OTHER_NAMES = {
    "slide": (
        *("slide_path", "wsi_path", "image_path", "file_path", "filepath", "path"),
        *("slide_id", "slide_name", "filename", "file_name", "file", "wsi", "image", "image_id"),
    ),
    "label": ("class", "category", "diagnosis", "slide_label"),
    "patient": ("patient_id", "case_id", "case", "subject_id", "subject", "submitter_id"),
}

#: What others call the parts.
_PART_NAMES = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}

#: Columns of endpoints: see `cohort.measured`.
MEASURED = re.compile("time|event|target_.+")

#: Spreadsheets separate by what their country uses.
_DELIMITERS = (",", ";", "\t", "|")

#: Excel's own first line, which names the separator: ``sep=;``. Other programs may quote it, or
#: fill it up to the number of columns.
_SEPARATOR_LINE = re.compile(r"""\s*"?sep=([,;\t|])"?[,;\t|\s]*""", re.IGNORECASE)

#: What no file system, or not every one, takes as a file's name.
_NO_FILE_NAME = re.compile(r"""[/\\:*?"<>|\x00-\x1f]|^\.""")

#: What the own files of Excel and LibreOffice begin with.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")

_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

Row = dict[str, str]
"""Cells by column, trimmed; "line" is where the row stands in the file."""


def read_cohort(
    csv_path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    files: bool = True,
    every_class: bool = True,
    labelled: bool = True,
    measured: Sequence[str] = (),
) -> Cohort:
    """Read a table of slides.

    Columns: `slide` (path, relative to the table, or URL), `label`, `patient`, and optionally
    `split` (train, val, test), `name` and `truth` (GeoJSON or ASAP XML of lesions, relative to the
    table).
    For endpoints also `time`, `event` (1 or 0) and `target_NAME`.
    What others call the first three (``slide_id``, ``case_id``, ``class`` …) is known, and noted.
    Commas, semicolons, tabs or bars; with or without a byte-order mark. Other columns are left
    out, and noted.

    Parameters
    ----------
    csv_path : path
    classes : sequence of str, optional
        The labels that there may be, in the order of the model's logits; by default all that
        there are, in alphabetical order.
    files : bool
        Whether the slides must be there; not needed where features were imported.
    every_class : bool
        Whether each class, and at least two, must have slides.
    labelled : bool
        Whether every slide needs a label and a patient. Otherwise the column `slide` is enough;
        the label is then empty, and the patient that of a TCGA barcode or the slide itself.
    measured : sequence of str
        Columns of an endpoint; every slide needs a number in each. Labels then say to which
        stratum a slide belongs, see `cohort.measured`, and the column `label` is not read.

    Raises
    ------
    CohortError
        With every problem in `problems`.
    """
    cohort, problems = survey(
        csv_path,
        classes=classes,
        files=files,
        every_class=every_class,
        labelled=labelled,
        measured=measured,
    )
    if problems:
        raise CohortError(f"{Path(csv_path).name} cannot be used", problems)
    return cohort


def survey(
    csv_path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    files: bool = True,
    every_class: bool = True,
    labelled: bool = True,
    measured: Sequence[str] = (),
) -> tuple[Cohort, list[str]]:
    """Read a table as `read_cohort` does, and return what is wrong with it beside its slides.

    Raises
    ------
    CohortError
        When it cannot be read as a table of slides at all.
    """
    csv_path = Path(csv_path)
    needed: Sequence[str] = REQUIRED if labelled else UNLABELLED
    if measured:
        needed = ("slide", "patient", *measured)
    header, rows, problems, notes = _table(csv_path, needed)
    problems += _cell_problems(rows, needed)
    records = [_record(row, csv_path.parent) for row in rows]
    lines = [int(row["line"]) for row in rows]
    if measured:
        records, unfit = with_measured(records, rows, measured)
        problems += unfit
    if files:
        problems += _file_problems(records, lines)
    problems += _duplicates(records, lines)
    problems += _split_problems(records)
    known = tuple(classes or class_order(record.label for record in records if record.label))
    problems += _class_problems(records, lines, known, every_class=every_class and labelled)
    return Cohort(tuple(records), known, (*notes, *_notes(header))), problems


def _table(path: Path, needed: Sequence[str]) -> tuple[list[str], list[Row], list[str], list[str]]:
    """Columns, rows with all known columns, what is wrong with single lines, and notes."""
    text = table_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    told = _SEPARATOR_LINE.fullmatch(first)
    delimiter = told[1] if told else max(_DELIMITERS, key=first.count)
    # Strict: after a quotation mark that is never closed, all other lines would be one cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
        lines = lines[1:] if told else lines
    except csv.Error as error:
        raise CohortError(
            f"{path.name} cannot be read", [f"line {reader.line_num}: {error}; save it as CSV"]
        ) from error
    if not lines:
        raise CohortError(f"{path.name} cannot be used", ["it is empty"])
    header, notes = _known_names([name.strip().lower() for name in lines[0][1]])
    _check_header(path, header, needed)
    width = len(header)
    # Spreadsheets fill rows up with empty cells beside the table.
    lines = [(line, _without_empty_ends(cells, width)) for line, cells in lines[1:]]
    good = [(line, cells) for line, cells in lines if len(cells) == width]
    problems = [
        f"line {line} has {len(cells)} cells where the header has {width}"
        for line, cells in lines
        if len(cells) != width
    ]
    if not lines:
        problems.append("it names no slide")
    return header, [_row(header, cells, line) for line, cells in good], problems, notes


def _known_names(header: list[str]) -> tuple[list[str], list[str]]:
    """The header with our names of columns that others call otherwise, and a note of each."""
    bare = [re.sub(r"[\s\-.]+", "_", name) for name in header]
    notes = []
    for ours, others in _OTHER_NAMES.items():
        theirs = next((name for name in others if bare.count(name) == 1), None)
        if ours not in header and theirs is not None:
            at = bare.index(theirs)
            notes.append(f"The column {header[at]} is taken for {ours}.")
            header = [*header[:at], ours, *header[at + 1 :]]
    return header, notes


def _without_empty_ends(cells: list[str], width: int) -> list[str]:
    extra = cells[width:]
    return cells if any(cell.strip() for cell in extra) else cells[:width]


def table_text(path: Path) -> str:
    """Decode a table that a spreadsheet or a portal wrote: UTF-8 or UTF-16.

    Raises
    ------
    CohortError
        When it cannot be read, or is no text.
    """
    try:
        content = read_regular(path, _MAX_BYTES)
    except ValueError as error:
        raise CohortError(f"{path.name} cannot be read", [f"{error}; give a CSV file"]) from error
    except OSError as error:
        raise CohortError(
            f"{path.name} cannot be read", [f"{error.strerror or error}; give a CSV file"]
        ) from error
    if content.startswith(_WORKBOOKS):
        raise CohortError(
            f"{path.name} cannot be read",
            ["it is a workbook of a spreadsheet program; save it as CSV UTF-8"],
        )
    encoding = next(
        (name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8"
    )
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise CohortError(
            f"{path.name} cannot be read",
            [f"it is not UTF-8 (byte {error.start}); save it as CSV UTF-8"],
        ) from error
    if "\0" in text:
        raise CohortError(f"{path.name} cannot be read", ["it is no text; save it as CSV UTF-8"])
    return text


def _check_header(path: Path, header: list[str], needed: Sequence[str]) -> None:
    problems = [f"the column {name!r} is missing" for name in needed if name not in header]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    problems += [f"the column {name!r} stands there twice" for name in twice]
    if problems:
        found = f"it has {', '.join(name or '(no name)' for name in header)}"
        raise CohortError(f"{path.name} cannot be used", [*problems, found])


def _row(header: list[str], cells: list[str], line: int) -> Row:
    row = dict.fromkeys((*REQUIRED, *OPTIONAL), "")
    row.update(zip(header, (from_spreadsheet_cell(cell.strip()) for cell in cells), strict=True))
    row["split"] = _PART_NAMES.get(row["split"].lower(), row["split"].lower())
    return row | {"line": str(line)}


def _cell_problems(rows: list[Row], needed: Sequence[str]) -> Iterator[str]:
    for row in rows:
        empty = [name for name in needed if not row[name]]
        if empty:
            yield f"line {row['line']} has no {' and no '.join(empty)}"
        if row["split"] not in ("", *PARTS):
            yield f"line {row['line']} has the split {row['split']!r}, not train, val or test"
        if row["name"] and _NO_FILE_NAME.search(row["name"]):
            yield f"line {row['line']} has the name {row['name']!r}, which cannot be a file's name"


def _record(row: Row, folder: Path) -> SlideRecord:
    path = _slide_of(folder, row["slide"]) if row["slide"] else Path()
    name = row["name"] or default_name(path)
    return SlideRecord(
        path=path,
        label=row["label"],
        # Where a patient is needed, a missing one was reported.
        patient=row["patient"] or patient_of(name) or name,
        split=row["split"] if row["split"] in PARTS else None,
        name=name,
        truth=_located(folder, row["truth"]) if row["truth"] else None,
    )


def _located(folder: Path, cell: str) -> Path:
    """A path of the table; one written on Windows is read elsewhere, too, and a URL stays one."""
    if url_of(cell) is not None:
        return Path(cell)
    path = folder / cell
    if "\\" in cell and not is_there(path):
        path = folder / cell.replace("\\", "/")
    return path


def _slide_of(folder: Path, cell: str) -> Path:
    """As `_located`; an id without a suffix, as CLAM's tables have, is the one slide called so."""
    path = _located(folder, cell)
    if path.suffix.lower() in KNOWN_SUFFIXES or url_of(path) is not None or is_there(path):
        return path
    named = (path.with_name(path.name + suffix) for suffix in sorted(SLIDE_SUFFIXES))
    there = [one for one in named if is_there(one)]
    return there[0] if len(there) == 1 else path


def _file_problems(records: list[SlideRecord], lines: list[int]) -> Iterator[str]:
    for record, line in zip(records, lines, strict=True):
        is_local = record.path.name and url_of(record.path) is None
        if is_local and not is_there(record.path):
            yield f"line {line}: the slide {record.path} does not exist"
        truth = record.truth
        if truth is not None and not (is_there(truth) and truth.is_file()):
            yield f"line {line}: the truth {record.truth} does not exist"


def _duplicates(records: list[SlideRecord], lines: list[int]) -> Iterator[str]:
    named = [(r, line) for r, line in zip(records, lines, strict=True) if r.path.name]
    paths = _places(named, lambda record: str(record.path.resolve()))
    for path, where in paths.items():
        if len(where) > 1:
            yield f"the slide {Path(path).name} stands in lines {_listed(where)}"
    # Once per file: a file listed twice is reported above.
    first = {where[0] for where in paths.values()}
    once = [(record, line) for record, line in named if line in first]
    names = _places(once, lambda record: record.name.casefold())
    for where in names.values():
        if len(where) > 1:
            same = next(record.name for record, line in named if line == where[0])
            yield (
                f"lines {_listed(where)} name different slides {same!r}; tell them apart "
                "in a column 'name'"
            )


def _places(
    named: list[tuple[SlideRecord, int]], key: Callable[[SlideRecord], str]
) -> dict[str, list[int]]:
    places = defaultdict(list)
    for record, line in named:
        places[key(record)].append(line)
    return places


def _listed(lines: list[int]) -> str:
    return " and ".join(map(str, lines)) if len(lines) < 5 else f"{lines[0]}, {lines[1]} and others"


def _split_problems(records: list[SlideRecord]) -> Iterator[str]:
    """Patients in two parts, and a validation set beside slides that have no part."""
    parts = defaultdict(set)
    for record in records:
        if record.split and record.patient:
            parts[record.patient].add(record.split)
    for patient, some in sorted(parts.items()):
        if len(some) > 1:
            named = " and ".join(part for part in PARTS if part in some)
            yield f"patient {patient} has slides in {named}; move them to one"
    undecided = sum(record.split is None for record in records)
    if undecided and any(record.split == "val" for record in records):
        yield (
            f"{undecided} of {len(records)} slides have no split beside others in val; "
            "fill in the column, or name the test slides only"
        )


def _class_problems(
    records: list[SlideRecord], lines: list[int], known: tuple[str, ...], *, every_class: bool
) -> Iterator[str]:
    for record, line in zip(records, lines, strict=True):
        if record.label and record.label not in known:
            yield f"line {line} has the label {record.label!r}, which is none of {', '.join(known)}"
    if not every_class or not records:
        return
    present = {record.label for record in records}
    for name in known:
        if name not in present:
            yield f"the class {name!r} has no slide"
    if len(known) < 2:
        yield f"all slides are labelled {', '.join(known) or 'nothing'}; two classes are needed"


def _notes(header: list[str]) -> tuple[str, ...]:
    others = [
        name
        for name in header
        if name and name not in (*REQUIRED, *OPTIONAL) and not MEASURED.fullmatch(name)
    ]
    if not others:
        return ()
    return (f"Columns that are not used: {', '.join(others)}.",)

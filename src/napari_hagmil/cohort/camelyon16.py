"""Camelyon16 as it is released: folders of slides, ``reference.csv``, annotations as ASAP XML.

Bejnordi et al., JAMA 2017; Litjens et al., GigaScience 2018. Slides are known by their names
(``normal_001.tif``, ``tumor_001.tif``, ``test_001.tif``), so that every layout in which they were
released is read: ``training/normal``, ``training/tumor`` and ``testing/images``; all in ``images``
with ``annotations`` beside; the challenge's ``Train_Normal``, ``Train_Tumor`` and ``Testset``.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_hagmil.cohort.cohort import Part, SlideRecord
from napari_hagmil.cohort.listing import LeftOut, Listing, files_below, number, some
from napari_hagmil.cohort.read import table_text
from napari_hagmil.errors import CohortError, Problem

CLASSES = ("normal", "tumor")
"""Of the cohort's labels, negative first."""

#: Slides of the current release.
_RELEASED = {"normal": 159, "tumor": 111, "test": 129}

_NAME = re.compile(r"(normal|tumor|test)_0*(\d+)", re.IGNORECASE)

#: Folders whose images are not slides, although one of the layouts names them like slides.
_NO_SLIDES = re.compile(r"mask|ground_truth|background_tissue|evaluation", re.IGNORECASE)

_LABELS = {
    "tumor": "tumor",
    "tumour": "tumor",
    "1": "tumor",
    "normal": "normal",
    "0": "normal",
}

#: The release's own README on slides of the challenge.
_WITHDRAWN = {
    "normal_086": "the data set withdrew it: it shows tumour, and was renamed tumor_111",
    "test_049": "the data set withdrew it: it is a duplicate",
}

#: Not every lesion is outlined, says the README.
_PARTLY_OUTLINED = {
    *(f"tumor_{n:03d}" for n in (10, 15, 18, 20, 25, 29, 33, 34, 44, 46, 51, 54, 55, 56, 67, 79)),
    *(f"tumor_{n:03d}" for n in (85, 92, 95, 110)),
    "test_114",
}


@dataclass
class _Found:
    """The files of a release, by what they are; slides and annotations by their common name."""

    slides: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    annotations: dict[str, Path] = field(default_factory=dict)
    references: list[Path] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    masks: Counter[str] = field(default_factory=Counter)
    others: list[Path] = field(default_factory=list)


def from_camelyon16(folder: str | Path) -> Listing:
    """List the slides of Camelyon16.

    Labels of the training slides come from their names, of the test slides from
    ``reference.csv``; the split is the official one, training slides being "train". Annotations
    become the truth. The data set names no patients: every slide is its own.

    Parameters
    ----------
    folder : path
        Of the release, or one that holds it.

    Raises
    ------
    CohortError
        When there is no such folder, or no slide of Camelyon16 in it.
    """
    folder = Path(folder)
    found = _found(folder)
    if not found.slides:
        raise CohortError(
            f"{folder.name or folder} holds no slides of Camelyon16",
            ["they are named normal_001.tif, tumor_001.tif, test_001.tif; give their folder"],
        )
    labels, problems = _reference(found, folder)
    records: list[SlideRecord] = []
    left_out = [
        LeftOut(place, f"{number(n, 'mask')}, not slides")
        for place, n in sorted(found.masks.items())
    ]
    left_out += [LeftOut(_within(path, folder), _NOT_NAMED) for path in found.others]
    for name in sorted(found.slides, key=_in_order):
        paths = found.slides[name]
        left_out += [
            LeftOut(_within(path, folder), f"the same slide lies in {_within(paths[0], folder)}")
            for path in paths[1:]
        ]
        reason = _reason_against(name, paths[0], labels, has_reference=bool(found.references))
        if reason:
            left_out.append(LeftOut(_within(paths[0], folder), reason))
        else:
            records.append(_record(name, paths[0], labels, found.annotations))
    problems += _problems(found, records, labels, folder)
    return Listing(tuple(records), tuple(left_out), tuple(problems), tuple(_notes(records)))


_NOT_NAMED = "it is not named as a slide of Camelyon16 is"


def _found(folder: Path) -> _Found:
    found = _Found()
    for path in files_below(folder):
        suffix, name = path.suffix.lower(), _common_name(path.stem)
        if path.name.lower() == "reference.csv":
            found.references.append(path)
        elif suffix == ".zip" and "annotation" in path.stem.lower():
            found.archives.append(path)
        elif suffix == ".xml" and name:
            found.annotations.setdefault(name, path)
        elif suffix in (".tif", ".tiff"):
            _place_image(found, path, name, folder)
    return found


def _place_image(found: _Found, path: Path, name: str, folder: Path) -> None:
    inside = path.relative_to(folder)
    if any(_NO_SLIDES.search(part) for part in (*inside.parts[:-1], path.stem)):
        found.masks[inside.parent.as_posix()] += 1
    elif name:
        found.slides[name].append(path)
    else:
        found.others.append(path)


def _common_name(stem: str) -> str:
    """``Tumor_1`` → ``tumor_001``; empty for anything else."""
    match = _NAME.fullmatch(stem)
    return f"{match[1].lower()}_{int(match[2]):03d}" if match else ""


def _reference(found: _Found, folder: Path) -> tuple[dict[str, str], list[Problem]]:
    """Labels of the test slides; an empty one where the tables contradict each other."""
    labels: dict[str, str] = {}
    problems = []
    for path in found.references:
        for line, cells in _rows(path):
            name = _common_name(Path(cells[0].strip()).stem)
            label = _LABELS.get(cells[1].strip().lower(), "") if len(cells) > 1 else ""
            if name and label:
                labels[name] = label if labels.get(name, label) == label else ""
            elif name or line > 1:  # the first line may be a header
                where = f"{_within(path, folder)}, line {line},"
                rule = "must name a test slide, then Tumor or Normal"
                problems.append(Problem(where, rule, ",".join(cells)[:60], "correct the line"))
    return labels, problems


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = table_text(path)
    delimiter = max(",;\t", key=text.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    yield from ((reader.line_num, cells) for cells in reader if any(c.strip() for c in cells))


def _reason_against(
    name: str, path: Path, labels: Mapping[str, str], *, has_reference: bool
) -> str:
    """Why a slide is left out; empty when it is not."""
    kind, parent = name.partition("_")[0], path.parent.name.lower()
    other = {"normal": "tumor", "tumor": "normal"}.get(kind)
    if name in _WITHDRAWN:
        return _WITHDRAWN[name]
    if other and other in parent:
        return f"it is named {kind}, but lies in {path.parent.name}"
    if kind == "test" and not has_reference:
        return "there is no reference.csv that says whether it shows tumour"
    if kind == "test" and name not in labels:
        return "reference.csv has no row for it"
    if kind == "test" and not labels[name]:
        return "reference.csv calls it both Tumor and Normal"
    return ""


def _record(
    name: str, path: Path, labels: Mapping[str, str], annotations: Mapping[str, Path]
) -> SlideRecord:
    kind = name.partition("_")[0]
    label = labels[name] if kind == "test" else kind
    truth = annotations.get(name) if label == "tumor" else None
    part: Part = "test" if kind == "test" else "train"
    return SlideRecord(path, label, name, part, name, truth)


def _problems(
    found: _Found, records: list[SlideRecord], labels: Mapping[str, str], folder: Path
) -> Iterator[Problem]:
    counts = Counter(name.partition("_")[0] for name in found.slides if name not in _WITHDRAWN)
    for kind, n in _RELEASED.items():
        if counts[kind] < n:
            rule = f"has {counts[kind]} of the {n} {kind} slides of the release"
            yield Problem(folder.name, rule, remedy="download the rest, or go on without them")
    absent = sorted(labels.keys() - found.slides.keys())
    if absent:
        yield Problem("reference.csv", f"names slides that are not here: {some(absent)}")
    if found.archives:
        archives = some([_within(path, folder) for path in found.archives])
        yield Problem(archives, "is not read while it is packed", remedy="unpack it beside itself")
    bare = [record.name for record in records if record.label == "tumor" and not record.truth]
    if bare:
        yield Problem("No annotation", f"was found for {some(bare)}, so that they have no truth")
    unused = sorted(found.annotations.keys() - found.slides.keys())
    if unused:
        yield Problem("Annotations", f"of slides that are not here are not used: {some(unused)}")
    contrary = [r.name for r in records if r.label == "normal" and r.name in found.annotations]
    if contrary:
        yield Problem("Annotations", f"of normal slides are not used: {some(contrary)}")


def _notes(records: list[SlideRecord]) -> Iterator[str]:
    yield (
        "Camelyon16 does not say which slides are of one patient: every slide stands as a patient "
        "of its own."
    )
    partly = [record.name for record in records if record.truth and record.name in _PARTLY_OUTLINED]
    if partly:
        yield f"Not every lesion is outlined in {some(partly, 25)}, says the data set."


def _in_order(name: str) -> tuple[int, str]:
    return ("normal", "tumor", "test").index(name.partition("_")[0]), name


def _within(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()

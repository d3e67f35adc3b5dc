"""Slides sorted into folders: one per class, optionally inside one per part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_hagmil.cohort.cohort import SLIDE_SUFFIXES, Part, SlideRecord, default_name
from napari_hagmil.cohort.listing import LeftOut, Listing, number, some
from napari_hagmil.cohort.tcga import patient_of
from napari_hagmil.errors import CohortError, Problem

_TRUTH_SUFFIXES = (".geojson", ".xml", ".annotations")

_PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, slots=True)
class PlacedSlide:
    """A slide's path, and the folders that it lies in, outermost first."""

    path: Path
    folders: tuple[str, ...]


def from_folders(folder: str | Path) -> Listing:
    """List slides by their folders: ``CLASS/SLIDE``, or ``train|val|test/CLASS/SLIDE``.

    A folder within a class is a patient (``CLASS/PATIENT/SLIDE``). Where there is none the patient
    is the barcode's of a TCGA slide, or else the slide itself. A GeoJSON or ASAP XML file beside a
    slide, named like it, is its truth.

    Raises
    ------
    CohortError
        When there is no such folder, or no class with slides in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CohortError(f"{folder.name or folder} cannot be used", ["it is not a folder"])
    places, left_out = slides_below(folder)
    has_parts = any(place.folders and place.folders[0].lower() in _PARTS for place in places)
    records = []
    for place in places:
        reason = _reason_against(place, has_parts=has_parts)
        if reason:
            left_out.append(LeftOut(place.path.relative_to(folder).as_posix(), reason))
        else:
            records.append(_record(place, has_parts=has_parts))
    if not records:
        raise CohortError(
            f"{folder.name} holds no classes with slides",
            ["slides lie in a folder per class, as tumor/a.svs or train/tumor/a.svs"],
        )
    return Listing(
        tuple(told_apart(records, folder)),
        tuple(left_out),
        tuple(_problems(records)),
        tuple(_notes(places, has_parts=has_parts)),
    )


def slides_below(folder: Path) -> tuple[list[PlacedSlide], list[LeftOut]]:
    """The slides in a folder and in those below it, and the files that are no slides."""
    places: list[PlacedSlide] = []
    left_out: list[LeftOut] = []
    _walk(folder, (), set(), (places, left_out))
    return places, left_out


def _walk(
    folder: Path,
    above: tuple[str, ...],
    seen: set[Path],
    found: tuple[list[PlacedSlide], list[LeftOut]],
) -> None:
    """Collect the slides of a folder and of those below, and the files that are no slides."""
    real = folder.resolve()
    if real in seen:  # a link that leads back
        return
    seen.add(real)
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    slides = [path for path in entries if is_slide(path)]
    stems = {default_name(path) for path in slides}
    found[0].extend(PlacedSlide(path, above) for path in slides)
    for path in entries:
        if path in slides or (path.suffix.lower() in _TRUTH_SUFFIXES and path.stem in stems):
            continue
        if path.suffix.lower() == ".csv":  # a table of slides, as this very one
            continue
        if not path.is_dir():
            name = "/".join((*above, path.name))
            found[1].append(LeftOut(name, f"{path.suffix or 'no suffix'} is not of a slide"))
        elif path.name not in stems:  # MIRAX and VMS keep their pixels in a folder named alike
            _walk(path, (*above, path.name), seen, found)


def is_slide(path: Path) -> bool:
    """Whether a file or folder is one by its name, or a series of DICOM files."""
    if not path.is_dir():
        return path.suffix.lower() in SLIDE_SUFFIXES
    return path.suffix.lower() == ".zarr" or any(path.glob("*.dcm"))


def _reason_against(place: PlacedSlide, *, has_parts: bool) -> str:
    if not place.folders:
        return "it lies in no class's folder"
    if has_parts and place.folders[0].lower() not in _PARTS:
        return "it lies beside the folders of train, val and test, not in one"
    if has_parts and len(place.folders) < 2:
        return f"it lies in {place.folders[0]}, but in no class's folder there"
    return ""


def _record(place: PlacedSlide, *, has_parts: bool) -> SlideRecord:
    part = _PARTS[place.folders[0].lower()] if has_parts else None
    label, *below = place.folders[1:] if has_parts else place.folders
    name = default_name(place.path)
    patient = patient_of(name) or (below[0] if below else name)
    truths = [place.path.parent / f"{name}{suffix}" for suffix in _TRUTH_SUFFIXES]
    truth = next((path for path in truths if path.is_file()), None)
    return SlideRecord(place.path, label, patient, part, name, truth)


def told_apart(records: Sequence[SlideRecord], folder: Path) -> Iterator[SlideRecord]:
    """Give every record a unique name; records named alike get their path within the folder."""
    counts = Counter(record.name.casefold() for record in records)
    for one in records:
        name, patient = one.name, one.patient
        if counts[name.casefold()] > 1:
            inside = one.path.relative_to(folder)
            name = "-".join((*inside.parts[:-1], one.name))
            # Two files that are named alike are not thereby of one patient.
            patient = name if patient == one.name else patient
        yield SlideRecord(one.path, one.label, patient, one.split, name, one.truth)


def _problems(records: Sequence[SlideRecord]) -> Iterator[Problem]:
    labels = sorted({record.label for record in records})
    if len(labels) < 2:
        rule = "has slides, where training needs two classes"
        yield Problem("One class alone", rule, labels[0], "add a folder of the other class")
    parts: dict[str, set[str]] = {}
    for record in records:
        if record.split:
            parts.setdefault(record.patient, set()).add(record.split)
    across = sorted(patient for patient, names in parts.items() if len(names) > 1)
    if across:
        yield Problem(
            f"{'Patient' if len(across) == 1 else 'Patients'} {some(across)}",
            "must not have slides in two parts",
            remedy="move them into one",
        )
    if 0 < sum(record.split is None for record in records) < len(records):
        yield Problem("Some slides", "have no part", remedy="move them into train, val or test")


def _notes(places: Sequence[PlacedSlide], *, has_parts: bool) -> Iterator[str]:
    depth = 2 if has_parts else 1
    alone = [
        default_name(place.path)
        for place in places
        if len(place.folders) == depth and not patient_of(default_name(place.path))
    ]
    if alone:
        yield (
            f"{number(len(alone), 'slide')} without a named patient: each stands as a patient of "
            "its own. Where several are of one patient, correct the table's column patient."
        )

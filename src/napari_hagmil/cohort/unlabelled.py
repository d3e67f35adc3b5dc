"""Find slides without labels: a table of paths, a folder, a glob, or one slide."""

from __future__ import annotations

import glob
import os
from collections import Counter
from pathlib import Path

from napari_hagmil.cohort.cohort import Cohort, SlideRecord, default_name
from napari_hagmil.cohort.folders import is_slide, slides_below, told_apart
from napari_hagmil.cohort.listing import some
from napari_hagmil.cohort.read import read_cohort
from napari_hagmil.cohort.tcga import patient_of
from napari_hagmil.errors import CohortError
from napari_hagmil.slide.location import url_of

#: Of files that list slides.
_TABLES = frozenset({".csv", ".tsv", ".txt"})


def gather_slides(source: str | Path, *, files: bool = True) -> Cohort:
    """Read or find slides; labels are kept where there are any, and not needed.

    Parameters
    ----------
    source : str or Path
        A table (``.csv``, ``.tsv``, ``.txt``) with a column `slide`; a folder, whose slides are
        looked for at any depth; a glob, ``slides/**/*.svs``; or a slide.
    files : bool
        Whether the slides of a table must be there.

    Returns
    -------
    Cohort
        A slide's name is the table's, or its file's; of files that are named alike, the path within
        the folder with "-" for "/". Its patient is the table's, that of a TCGA barcode, or itself.

    Raises
    ------
    CohortError
        When there is no slide, or the table cannot be used.
    """
    path = Path(source)
    if path.suffix.lower() in _TABLES:
        return read_cohort(path, files=files, every_class=False, labelled=False)
    if url_of(str(source)) is not None or (path.exists() and (path.is_file() or is_slide(path))):
        return Cohort((_record(path),), ())
    if path.is_dir():
        places, _ = slides_below(path)
        return _named([place.path for place in places], path, str(source))
    # Path.glob takes no absolute pattern.
    found = [Path(match) for match in sorted(glob.glob(str(source), recursive=True))]  # noqa: PTH207
    slides = [match for match in found if is_slide(match) and not match.name.startswith(".")]
    above = Path(os.path.commonpath(slides)) if len(slides) > 1 else Path()
    return _named(slides, above, str(source))


def _named(slides: list[Path], folder: Path, source: str) -> Cohort:
    if not slides:
        raise CohortError(
            f"{source} names no slide", ["give a table, a folder with slides, or a glob in quotes"]
        )
    records = tuple(told_apart([_record(path) for path in slides], folder))
    counts = Counter(record.name.casefold() for record in records)
    alike = sorted({record.name for record in records if counts[record.name.casefold()] > 1})
    if alike:
        raise CohortError(
            f"{source} holds slides of one name",
            [f"{some(alike)}; name them in the column 'name' of a table"],
        )
    return Cohort(records, ())


def _record(path: Path) -> SlideRecord:
    name = default_name(path)
    return SlideRecord(path, "", patient_of(name) or name, name=name)

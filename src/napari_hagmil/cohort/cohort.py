"""A cohort: slides with a label each, and the patients that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_hagmil.files import is_there

Part = Literal["train", "val", "test"]

PARTS: tuple[Part, ...] = ("train", "val", "test")

#: Of files that are slides; what they hold decides how they are read.
SLIDE_SUFFIXES = frozenset(
    {
        ".tif",
        ".tiff",
        ".svs",
        ".ndpi",
        ".scn",
        ".qptiff",
        ".mrxs",
        ".vms",
        ".vmu",
        ".bif",
        ".czi",
        ".svslide",
        ".png",
        ".jpg",
        ".jpeg",
    }
)

#: What else a table may name a slide by: a folder that is not there, its features.
_OTHER_SUFFIXES = frozenset({".zarr", ".dcm", ".h5", ".pt"})

#: Suffixes that are no part of a slide's name.
KNOWN_SUFFIXES = SLIDE_SUFFIXES | _OTHER_SUFFIXES


@dataclass(frozen=True, slots=True)
class SlideRecord:
    """A slide of a cohort.

    Attributes
    ----------
    path : Path
        The slide's file or folder.
    label : str
        Its class.
    patient : str
        The patient it comes from: slides of one patient are all in the same part of a split.
    split : str or None
        "train", "val" or "test" where the table says so.
    name : str
        Under which features and predictions are kept, unique in the cohort; by default the
        file's name without the suffix of a slide.
    truth : Path or None
        GeoJSON or ASAP XML with the outlines of what makes the label: the lesions.
    measured : tuple of float
        What was measured of it, in the order of the columns that were asked for; mostly nothing.
    """

    path: Path
    label: str
    patient: str
    split: Part | None = None
    name: str = ""
    truth: Path | None = None
    measured: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", default_name(self.path))


@dataclass(frozen=True, slots=True)
class Cohort:
    """Slides, and the classes that they can have.

    Attributes
    ----------
    records : tuple of SlideRecord
        In the order of the table.
    classes : tuple of str
        In the order of a model's logits: unless given, alphabetical after a known negative.
    notes : tuple of str
        What the user should know, a sentence each.
    """

    records: tuple[SlideRecord, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of every slide as its place in `classes`, (n,)."""
        places = {name: i for i, name in enumerate(self.classes)}
        return np.array([places[record.label] for record in self.records], dtype=np.int64)


def default_name(path: Path) -> str:
    """The file's name without the suffix of a slide; a folder's whole name.

    What follows a dot and is no such suffix belongs to the name: the UUID of a TCGA slide, the
    decimal of a case number.
    """
    is_suffix = path.suffix.lower() in KNOWN_SUFFIXES
    return path.stem if is_suffix and not (is_there(path) and path.is_dir()) else path.name

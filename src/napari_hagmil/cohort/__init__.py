"""Many slides with labels: the table that names them, and how they are divided."""

from napari_hagmil.cohort.cohort import PARTS, Cohort, Part, SlideRecord
from napari_hagmil.cohort.read import read_cohort
from napari_hagmil.cohort.splits import Split, holdout, k_fold, three_way

__all__ = [
    "PARTS",
    "Cohort",
    "Part",
    "SlideRecord",
    "Split",
    "holdout",
    "k_fold",
    "read_cohort",
    "three_way",
]

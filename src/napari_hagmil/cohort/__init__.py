"""Cohorts: the table that names slides and labels, where it comes from, how it is split."""

from napari_hagmil.cohort.camelyon16 import from_camelyon16
from napari_hagmil.cohort.check import (
    SlideCheck,
    TableCheck,
    check_slides,
    check_table,
    same_content,
)
from napari_hagmil.cohort.classes import (
    begins_with_a_negative,
    class_order,
    is_order_known,
    ordered,
)
from napari_hagmil.cohort.cohort import PARTS, Cohort, Part, SlideRecord
from napari_hagmil.cohort.folders import from_folders
from napari_hagmil.cohort.gdc import from_gdc
from napari_hagmil.cohort.listing import LeftOut, Listing, write_cohort
from napari_hagmil.cohort.read import read_cohort
from napari_hagmil.cohort.splits import Split, holdout, k_fold, three_way
from napari_hagmil.cohort.unlabelled import gather_slides

__all__ = [
    "PARTS",
    "Cohort",
    "LeftOut",
    "Listing",
    "Part",
    "SlideCheck",
    "SlideRecord",
    "Split",
    "TableCheck",
    "begins_with_a_negative",
    "check_slides",
    "check_table",
    "class_order",
    "from_camelyon16",
    "from_folders",
    "from_gdc",
    "gather_slides",
    "holdout",
    "is_order_known",
    "k_fold",
    "ordered",
    "read_cohort",
    "same_content",
    "three_way",
    "write_cohort",
]

"""The review: what the user of a slide decides, draws and concludes, and its journal."""

from napari_hagmil.review.classes import (
    QUPATH_CLASSES,
    UNCLASSIFIED,
    PathClass,
    class_named,
    with_class,
)
from napari_hagmil.review.sitting import Offer, Sitting, open_sitting
from napari_hagmil.review.state import (
    Annotation,
    AnnotationKind,
    Conclusion,
    Decision,
    ReviewPatch,
    ReviewRegion,
    ReviewState,
    SignOff,
    new_id,
)

__all__ = [
    "QUPATH_CLASSES",
    "UNCLASSIFIED",
    "Annotation",
    "AnnotationKind",
    "Conclusion",
    "Decision",
    "Offer",
    "PathClass",
    "ReviewPatch",
    "ReviewRegion",
    "ReviewState",
    "SignOff",
    "Sitting",
    "class_named",
    "new_id",
    "open_sitting",
    "with_class",
]

"""Classes of regions and annotations: QuPath's defaults, and the user's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_hagmil.errors import AnnotationError


@dataclass(frozen=True, slots=True)
class PathClass:
    """A classification as in QuPath, which fails on one without a name or a colour.

    Attributes
    ----------
    name : str
        As it is shown.
    color : tuple of int
        Red, green, blue, 0 to 255.
    """

    name: str
    color: tuple[int, int, int]


#: The classes that QuPath starts with, in its order and colours.
QUPATH_CLASSES = (
    PathClass("Tumor", (200, 0, 0)),
    PathClass("Stroma", (150, 200, 150)),
    PathClass("Immune cells", (160, 90, 160)),
    PathClass("Necrosis", (50, 50, 50)),
    PathClass("Other", (255, 200, 0)),
    PathClass("Region*", (0, 0, 180)),
    PathClass("Ignore*", (180, 180, 180)),
)

#: The look of annotations without a class.
UNCLASSIFIED = PathClass("", (0, 158, 115))


def class_named(classes: tuple[PathClass, ...], name: str) -> PathClass:
    """The class of that name; one that is not in the list gets the colour of no class."""
    for one in classes:
        if one.name == name:
            return one
    return PathClass(name, UNCLASSIFIED.color)


def class_list(classes: tuple[PathClass, ...]) -> str:
    """Classes as one line of text: ``"Mitosis #cc79a7; Gland #009e73"``."""
    named = ((one.name.replace(";", ","), *one.color) for one in classes)
    return "; ".join("{} #{:02x}{:02x}{:02x}".format(*one) for one in named)


def classes_in(text: str) -> tuple[PathClass, ...]:
    """Classes of a line as `class_list` writes it; anything else in it is ignored."""
    found: tuple[PathClass, ...] = ()
    for name, color in re.findall(r"\s*([^;]*?)\s*#([0-9a-fA-F]{6})\s*(?:;|$)", text):
        if name:
            red, green, blue = bytes.fromhex(color)
            found = with_class(found, PathClass(name, (red, green, blue)))
    return found


def with_class(classes: tuple[PathClass, ...], new: PathClass) -> tuple[PathClass, ...]:
    """Add a class at the end, or recolour the one of that name.

    Raises
    ------
    AnnotationError
        When it has no name, or its colour is not three numbers of 0 to 255.
    """
    if not new.name.strip():
        raise AnnotationError("a class", "needs a name", remedy="type one")
    if len(new.color) != 3 or not all(0 <= c <= 255 for c in new.color):
        raise AnnotationError(
            f"the colour of class {new.name}",
            "must be three numbers of 0 to 255",
            value=new.color,
            remedy="choose another",
        )
    if all(one.name != new.name for one in classes):
        return (*classes, new)
    return tuple(new if one.name == new.name else one for one in classes)

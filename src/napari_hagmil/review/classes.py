"""What a place can be called: QuPath's default classes, and own ones."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PathClass:
    """A classification as QuPath knows it: it needs a name and a colour, else QuPath throws.

    Attributes
    ----------
    name : str
        As people read it.
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

#: What is drawn in no class.
UNCLASSIFIED = PathClass("", (0, 158, 115))


def class_named(classes: tuple[PathClass, ...], name: str) -> PathClass:
    """The class of that name; one that is not in the list keeps its name, without a colour."""
    for one in classes:
        if one.name == name:
            return one
    return PathClass(name, UNCLASSIFIED.color)


def class_list(classes: tuple[PathClass, ...]) -> str:
    """Classes as people can write them: ``"Mitosis #cc79a7; Gland #009e73"``."""
    named = ((one.name.replace(";", ","), *one.color) for one in classes)
    return "; ".join("{} #{:02x}{:02x}{:02x}".format(*one) for one in named)


def classes_in(text: str) -> tuple[PathClass, ...]:
    """Classes of a list as `class_list` writes it; what is none is passed by."""
    found: tuple[PathClass, ...] = ()
    for name, color in re.findall(r"\s*([^;]*?)\s*#([0-9a-fA-F]{6})\s*(?:;|$)", text):
        if name:
            red, green, blue = bytes.fromhex(color)
            found = with_class(found, PathClass(name, (red, green, blue)))
    return found


def with_class(classes: tuple[PathClass, ...], new: PathClass) -> tuple[PathClass, ...]:
    """Add a class at the end, or give one of that name another colour in its place.

    Raises
    ------
    ValueError
        When it has no name, or its colour is none.
    """
    if not new.name.strip():
        raise ValueError("a class needs a name, got none; type one")
    if len(new.color) != 3 or not all(0 <= c <= 255 for c in new.color):
        raise ValueError(
            f"the colour of class {new.name} must be three numbers of 0 to 255, got {new.color}; "
            "choose another"
        )
    if all(one.name != new.name for one in classes):
        return (*classes, new)
    return tuple(new if one.name == new.name else one for one in classes)

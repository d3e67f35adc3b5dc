"""The model bundles that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path

from napari_hagmil.errors import BundleError, Remedy
from napari_hagmil.files import is_there

SUFFIX = ".hagmil"
_SHIPPED = Path(__file__).parent


def shipped_bundles() -> dict[str, Path]:
    """The bundles inside the package, by name."""
    return {
        folder.name.removesuffix(SUFFIX): folder for folder in sorted(_SHIPPED.glob(f"*{SUFFIX}"))
    }


def find_bundle(name: str | Path) -> Path:
    """The folder or .zip of a bundle, by name or by path.

    Raises
    ------
    BundleError
        When there is neither a file nor a shipped bundle of that name.
    """
    shipped = shipped_bundles()
    if str(name) in shipped:
        return shipped[str(name)]
    path = Path(name)
    if is_there(path):
        return path
    names = " or ".join(["the path of a .hagmil folder", *map(repr, shipped)])
    raise BundleError(
        f"model {str(name)!r}",
        "is neither a bundle on disk nor one that ships with the package",
        remedy=Remedy(f"give {names}", window="choose a folder that ends in .hagmil"),
    )

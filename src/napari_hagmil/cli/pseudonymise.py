"""``--pseudonymise``: a verb works on stand-ins, and never learns what the files are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from napari_hagmil.cohort import Cohort, SlideRecord, gather_slides
from napari_hagmil.errors import CohortError, OutputError
from napari_hagmil.export.pseudonyms import Pseudonyms, is_pseudonym, names_of
from napari_hagmil.untrusted import read_json

Options = TypeVar("Options")


def pseudonymised(options: Options) -> Options:
    """Options of a verb with stand-ins for all paths, as the places of its fields say.

    Raises
    ------
    CohortError, OutputError
        When the slides cannot be found, or a result already names its slide. Neither says a name.
    """
    pseudonyms = Pseudonyms.own()
    given = {
        each.name: (each.metadata["place"], getattr(options, each.name))
        for each in fields(options)  # type: ignore[arg-type]
        if each.metadata["place"] and getattr(options, each.name)
    }
    for name, (place, value) in given.items():
        if place == "run":
            given[name] = ("below" if (value / "run.json").exists() else "slides"), value
    cohorts = {name: _cohort(value) for name, (place, value) in given.items() if place == "slides"}
    records = [record for cohort in cohorts.values() for record in cohort.records]
    slides = [Path(value) for place, value in given.values() if place == "slide"]
    records += [SlideRecord(path, "", "") for path in slides]
    names = {one: pseudonyms.record(r).name for r in records for one in names_of(r)}
    how = _ways(pseudonyms, names)
    changed: dict[str, Any] = {}
    for name, (place, value) in given.items():
        if place == "slides":
            table = pseudonyms.table(cohorts[name], Path(value))
            changed[name] = table if isinstance(value, Path) else str(table)
        else:
            changed[name] = _each(value, how[place])
    return replace(options, **changed)  # type: ignore[type-var]


def _ways(pseudonyms: Pseudonyms, names: Mapping[str, str]) -> dict[str, Callable[[Any], Any]]:
    """What is done with a value, by its place."""
    return {
        "slide": pseudonyms.slide,
        "only": lambda name: names.get(name, name),
        "named": lambda path: pseudonyms.named(path, names),
        "result": lambda path: _nameless(pseudonyms, path),
        "file": pseudonyms.file,
        "below": lambda value: _below(pseudonyms, value),
    }


def _each(value: Any, way: Callable[[Any], Any]) -> Any:
    return [way(one) for one in value] if isinstance(value, list) else way(value)


def _below(pseudonyms: Pseudonyms, value: Path | str) -> Path | str:
    """Hide the folders of a path; a model may be named, and not be a path."""
    if isinstance(value, Path):
        return pseudonyms.below(value)
    return str(pseudonyms.below(Path(value))) if Path(value).exists() else value


def _cohort(source: Path | str) -> Cohort:
    try:
        return gather_slides(source, files=False)
    except CohortError as error:
        n = len(error.problems)
        problems = "1 thing is wrong with it" if n == 1 else f"{n} things are wrong with it"
        raise CohortError(
            "the table or folder of slides cannot be used",
            [f"{problems}; see napari-hagmil cohort check, which says names"],
        ) from None


def _nameless(pseudonyms: Pseudonyms, path: Path) -> Path:
    """What stands in for a result or a store, which must not name slides; or for annotations."""
    if not all(map(is_pseudonym, _named_in(path))):
        raise OutputError(
            "the result or store",
            "names its slides",
            remedy="make it again with --pseudonymise",
        )
    return pseudonyms.file(path)


def _named_in(path: Path) -> list[str]:
    """What the slides of a result or a store are called."""
    from napari_hagmil.features.store import SUFFIX

    if path.suffix == SUFFIX:
        return [path.name]
    stored = [one.name for one in path.glob(f"*{SUFFIX}") if not one.name.startswith("attention.")]
    try:
        return [*stored, str(read_json(path / "result.json")["slide"]["name"])]
    except (OSError, ValueError, KeyError, TypeError):
        return stored  # What reads it says what is wrong with it.


__all__ = ["pseudonymised"]

"""A verb: its options, declared as fields of a frozen dataclass, and what carries it out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from napari_hagmil.permission import allow_code

Options = TypeVar("Options")

DEVICES = "auto | cpu | cuda | mps"


@dataclass(frozen=True)
class Verb(Generic[Options]):
    """A verb of the command line.

    Attributes
    ----------
    name : str
        "analyze", or "cohort check" for a verb of a group.
    options : type
        A frozen dataclass whose fields are made by `option` and `argument`.
    run : callable
        Takes an instance of `options` and returns the exit status.
    summary : str
        What the verb does, for ``--help``.
    says_names : str
        Why it has no ``--pseudonymise``: "no slide is named". Every other verb has it.
    """

    name: str
    options: type[Options]
    run: Callable[[Options], int]
    summary: str
    says_names: str = ""

    def declare(self, parser: argparse.ArgumentParser) -> None:
        """Add the options to a parser, whose ``run`` then carries the verb out."""
        parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
        parser.add_argument("--offline", action="store_true", help="refuse any use of the network")
        for each in fields(self.options):  # type: ignore[arg-type]
            flags = each.metadata["flags"]
            if flags:
                parser.add_argument(*flags, dest=each.name, **each.metadata["settings"])
            else:
                parser.add_argument(each.name, **each.metadata["settings"])
        parser.set_defaults(run=self._run)

    def _run(self, namespace: argparse.Namespace) -> int:
        if getattr(namespace, "allow_code", False):
            allow_code()
        names = [each.name for each in fields(self.options)]  # type: ignore[arg-type]
        options = self.options(**{name: getattr(namespace, name) for name in names})
        if getattr(options, "pseudonymise", False):
            from napari_hagmil.cli.pseudonymise import pseudonymised

            options = pseudonymised(options)
        return self.run(options)


Place = Literal["", "slide", "slides", "run", "only", "named", "result", "file", "below"]
"""What a path among a verb's options is, and so what stands in for it under ``--pseudonymise``: a
slide, a table or folder of slides, one of these or the folder of a batch, names of slides, files
named after slides, what analyze wrote, any file, or a path whose last part the user chose."""


def option(*flags: str, place: Place = "", **settings: Any) -> Any:
    """A field of a verb's options given by flag; `settings` as for ``add_argument``."""
    return field(metadata={"flags": flags, "settings": settings, "place": place})


def argument(place: Place = "", **settings: Any) -> Any:
    """A field of a verb's options given by position."""
    return option(place=place, **settings)


def pseudonymise_option() -> Any:
    """``--pseudonymise``."""
    return switch(
        "--pseudonymise",
        "write and say pseudonyms for names of slides and patients and for folders, by a key of "
        "your own",
    )


def switch(flag: str, summary: str) -> Any:
    """A field that is true when its flag is given."""
    return option(flag, action="store_true", help=summary)


def json_option() -> Any:
    """``--json``."""
    return switch("--json", "answer in JSON on stdout")


def model_option(default: str | None = None) -> Any:
    """``--model``; required where there is no default."""
    usual = f" (default {default})" if default else ""
    return option(
        "--model",
        place="below",
        required=default is None,
        default=default,
        help=f"a bundle's name or path{usual}",
    )


def mpp_option() -> Any:
    """``--mpp``."""
    return option("--mpp", type=float, help="µm per level-0 pixel, where the file has none")


def code_option() -> Any:
    """``--allow-code``: see `permission`; the verb itself has nothing to do with it."""
    return switch("--allow-code", "load encoders that are programs, which can run any code")


def device_option(default: str = "auto") -> Any:
    """``--device``."""
    return option("--device", default=default, help=f"{DEVICES} (default {default})")


def tissue_dir_option() -> Any:
    """``--tissue-dir``."""
    return option(
        "--tissue-dir",
        place="named",
        type=Path,
        metavar="DIR",
        help="folder with NAME.geojson, the tissue's outlines; detected where there is none",
    )


def workers_option(default: int | None = None) -> Any:
    """``--workers``, processes; None: the work is done in this one."""
    usual = "this one alone, which a slide that crashes ends" if default is None else str(default)
    return option(
        "--workers",
        type=at_least_one,
        default=default,
        metavar="N",
        help=f"processes, a slide each at a time (default {usual})",
    )


def timeout_option() -> Any:
    """``--timeout``."""
    return option(
        "--timeout", type=float, metavar="S", help="most seconds for a slide (default no limit)"
    )


def memory_option() -> Any:
    """``--memory``."""
    return option(
        "--memory", type=float, metavar="GIB", help="most memory of a process (default no limit)"
    )


def cache_option() -> Any:
    """``--cache``."""
    return option(
        "--cache",
        place="below",
        type=Path,
        metavar="DIR",
        help="folder on a local disk where each slide is copied before it is read, and removed "
        "after, for slides on a slow drive",
    )


def cache_gb_option() -> Any:
    """``--cache-gb``."""
    return option(
        "--cache-gb",
        type=float,
        default=50.0,
        metavar="GB",
        help="most that all copies there take; what does not fit is read where it lies "
        "(default 50)",
    )


def error_rate_option() -> Any:
    """``--error-rate``."""
    return option(
        "--error-rate",
        type=_share,
        metavar="RATE",
        help="of the set of classes that a slide may be of: the share of slides whose class may "
        "lie outside (default 0.1)",
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1")
    return share


def out_option() -> Any:
    """``--out``, a folder."""
    return option(
        "--out",
        place="below",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the results",
    )


def cohort_argument() -> Any:
    """A cohort's table."""
    return argument(place="slides", type=Path, metavar="COHORT.csv")


def slides_argument() -> Any:
    """Slides that need no labels: a table, a folder, a glob."""
    return argument(
        place="slides",
        metavar="COHORT.csv|FOLDER|GLOB",
        help="a table, a folder of slides, or a glob in quotes",
    )


def at_least_one(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them; empty if the text is anything else."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()

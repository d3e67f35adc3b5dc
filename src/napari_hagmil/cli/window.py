"""``view`` and ``demo``: open the window; ``demo`` also works without one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from napari_hagmil.cli.analyze import describe, run_and_write
from napari_hagmil.cli.terminal import complain, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    code_option,
    mpp_option,
    option,
    pseudonymise_option,
    switch,
)
from napari_hagmil.errors import MissingExtraError, Problem
from napari_hagmil.permission import hide_names
from napari_hagmil.process import end_at_once, freeze_what_is_loaded

#: The docks, as the manifest names them.
_DOCK, _COHORT = ("napari-hagmil", "HAG-MIL"), ("napari-hagmil", "HAG-MIL cohort")

_QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


@dataclass(frozen=True)
class ViewOptions:
    """Options of ``view``."""

    slide: Path | None = argument("slide", type=Path, nargs="?")
    mpp: float | None = mpp_option()
    result: Path | None = option(
        "--result",
        place="result",
        type=Path,
        help="folder that analyze has written for this slide, to be shown",
    )
    allow_code: bool = code_option()
    cohort: Path | None = option(
        "--cohort",
        type=Path,
        metavar="DIR",
        help="folder of a batch, or with slides, to be gone through",
    )
    pseudonymise: bool = pseudonymise_option()


@dataclass(frozen=True)
class DemoOptions:
    """Options of ``demo``."""

    out: Path = option(
        "--out",
        type=Path,
        default=Path("demo-out"),
        help="folder for the results (default demo-out)",
    )
    no_window: bool = switch("--no-window", "write files, open no window")


def view(options: ViewOptions) -> int:
    """Open a slide, or a cohort, in napari with the docks."""
    from napari_hagmil.export.result_reader import read_result
    from napari_hagmil.session.cohort.folder import open_cohort
    from napari_hagmil.slide import open_slide

    if options.slide is None and options.cohort is None:
        complain("view needs a slide, or --cohort DIR")
        return 2
    if options.pseudonymise:
        hide_names()
    missing = _no_window()
    if missing:
        raise MissingExtraError(
            missing.subject, missing.rule, value=missing.value, remedy=missing.remedy
        )
    # What cannot be opened should fail here, in the terminal, not behind a window.
    if options.cohort is not None:
        open_cohort(options.cohort)
    if options.slide is not None:
        open_slide(options.slide, mpp=options.mpp).close()
    if options.result is not None:
        read_result(options.result)
    return _open_window(options)


def demo(options: DemoOptions) -> int:
    """Read the built-in phantom: in a window, or into files where there is none."""
    from napari_hagmil.plugin.sample_data import phantom_path
    from napari_hagmil.prepare import Options
    from napari_hagmil.slide import open_slide

    missing = _no_window()
    if missing is None and not options.no_window:
        say("Opening napari on the phantom slide; the first time it is made (about 20 s).")
        return _open_window(None)
    why = "" if options.no_window or missing is None else f" ({missing.sentence('command line')})"
    say(f"No window{why}: reading the phantom slide into files …")
    with open_slide(phantom_path()) as slide:
        # The folder is the demo's own: results of another version's demo are replaced.
        result = run_and_write(slide, "demo", Options(), options.out, overwrite=True)
    say(f"{slide.name}: {describe(result)}")
    for path in sorted(options.out.iterdir()):
        say(f"  {path}")
    say(f"Written to {options.out.resolve()}; begin with report.html.")
    return 0


def _no_window() -> Problem | None:
    """Say why no window can be opened; None when one can."""
    if not any(find_spec(name) for name in _QT_BINDINGS):
        return Problem(
            "napari's window",
            "needs a Qt binding",
            remedy="run pip install 'napari-hagmil[pyqt]'",
        )
    needs_display = sys.platform.startswith("linux")
    if needs_display and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return Problem(
            "napari's window",
            "needs a display",
            remedy="set DISPLAY, or use napari-hagmil analyze",
        )
    return None


def _open_window(options: ViewOptions | None) -> int:
    """Run napari with the docks; without options, on the phantom with the cascade started."""
    import napari

    end_at_once()
    # Before there is a window, which is to be collected once it is closed.
    import_module("napari_hagmil.widgets.cohort.dock")
    import_module("napari_hagmil.widgets.cascade.dock")
    freeze_what_is_loaded()
    viewer = napari.Viewer(title="HAG-MIL · research use only")
    _, dock = viewer.window.add_plugin_dock_widget(*_DOCK)
    if options is None:
        dock.open_phantom(run=True)
    elif options.slide is not None:
        dock.open(options.slide, mpp=options.mpp, result=options.result)
    if options is not None and options.cohort is not None:
        _, cohort = viewer.window.add_plugin_dock_widget(*_COHORT)
        cohort.open(options.cohort)
    dock.desk.read(dock.window())
    napari.run()
    return 0


DEMO = Verb(
    "demo",
    DemoOptions,
    demo,
    "run the cascade on the built-in phantom slide",
    says_names="a phantom is of nobody",
)
VIEW = Verb("view", ViewOptions, view, "open a slide or a cohort in napari")

"""``view`` and ``demo``: the window, or the same work without one."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from napari_hagmil.cli.analyze import describe, run_and_write
from napari_hagmil.errors import MissingExtraError
from napari_hagmil.plugin.sample_data import phantom_path
from napari_hagmil.prepare import Options
from napari_hagmil.slide import open_slide

#: The dock, as the manifest names it.
_DOCK = ("napari-hagmil", "HAG-MIL")

_QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")


def view(arguments: argparse.Namespace) -> int:
    """Open a slide in napari with the dock."""
    missing = _no_window()
    if missing:
        raise MissingExtraError(missing)
    # A file that cannot be opened should fail here, in the terminal, not behind a window.
    open_slide(arguments.slide, mpp=arguments.mpp).close()
    return _open_window(arguments.slide, mpp=arguments.mpp)


def demo(arguments: argparse.Namespace) -> int:
    """Read the built-in phantom: in a window, or into files where there is none."""
    missing = "no window was asked for" if arguments.no_window else _no_window()
    if not missing:
        print("Opening napari on the phantom slide; the first time it is made (about 20 s).")
        return _open_window(None)
    print(f"No window ({missing}): reading the phantom slide into files …", flush=True)
    with open_slide(phantom_path()) as slide:
        result = run_and_write(slide, "demo", Options(), arguments.out)
    print(f"{slide.name}: {describe(result)}")
    for path in sorted(Path(arguments.out).iterdir()):
        print(f"  {path}")
    print(f"Written to {Path(arguments.out).resolve()}; begin with report.html.")
    return 0


def _no_window() -> str:
    """Why no window can be opened; empty when one can."""
    if not any(find_spec(name) for name in _QT_BINDINGS):
        return "no Qt binding is installed; run pip install 'napari-hagmil[pyqt]'"
    needs_display = sys.platform.startswith("linux")
    if needs_display and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display; set DISPLAY, or use napari-hagmil analyze"
    return ""


def _open_window(slide: Path | None, *, mpp: float | None = None) -> int:
    """Run napari with the dock; without a slide, on the phantom with the cascade started."""
    import napari

    viewer = napari.Viewer(title="HAG-MIL · research use only")
    _, dock = viewer.window.add_plugin_dock_widget(*_DOCK)
    if slide is None:
        dock.open_phantom(run=True)
    else:
        dock.open(slide, mpp=mpp)
    napari.run()
    return 0

"""See whether a window grows: memory, threads and file handles over many slides.

    python docs/scripts/window_growth.py slides --n 200 --out growth.csv

`slides` opens small phantoms one after the other in one window, `cycles` runs the cascade on each
and closes it, `bare` shows the same pixels as layers of a napari window without this package's
docks, `reads` opens, reads and closes slides without a window. Needs a display; Xvfb will do. A
line of the CSV is written every tenth time; the end compares the last tenth with the second, since
the first ones load things.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.slide import open_slide

COLUMNS = ("n", "resident_mb", "threads", "handles", "seconds")

#: Different files, so that nothing is the slide before.
FILES = 8


def phantoms(folder: Path) -> list[Path]:
    """Small slides that differ."""
    paths = [folder / f"{seed}.tiff" for seed in range(FILES)]
    for seed, path in enumerate(paths):
        write_phantom(path, PhantomConfig(seed=seed, size=1024, lesions=1))
    return paths


def measured() -> tuple[float, int, int]:
    """Resident memory in MB, threads, file handles; freed memory is handed back before."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    handles = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    return pages * os.sysconf("SC_PAGESIZE") / 1e6, threading.active_count(), handles


def reads(paths: list[Path]) -> Iterator[None]:
    """Open, read the coarsest level, close."""
    while True:
        for path in paths:
            with open_slide(path) as slide:
                slide.view_levels()
            yield


def bare(paths: list[Path]) -> Iterator[None]:
    """A napari window that shows pixels of the same size, and no dock."""
    import napari

    viewer, wait = napari.Viewer(), waiter()
    while True:
        for path in paths:
            with open_slide(path) as slide:
                levels = [level.data[:].copy() for level in slide.levels]
            viewer.layers.clear()
            viewer.add_image(levels, multiscale=True, rgb=True)
            wait(lambda: True)
            yield


def slides(paths: list[Path], *, run: bool = False) -> Iterator[None]:
    """A window with the dock, in which slides are opened, and run and closed where asked."""
    import napari

    from napari_hagmil.widgets.cascade.dock import CascadeDock

    viewer, wait = napari.Viewer(), waiter()
    dock = CascadeDock(viewer)
    viewer.window.add_dock_widget(dock, name="HAG-MIL", area="right")
    while True:
        for path in paths:
            dock.open(path)
            wait(lambda path=path: is_idle(dock) and dock.session.slide.path == path)
            if run:
                dock.run()
                wait(lambda: is_idle(dock) and dock.session.state == "done")
                dock.switch.close()
                wait(lambda: dock.session.slide is None)
            yield


def is_idle(dock: object) -> bool:
    """Whether the dock has a slide, and no worker."""
    return not dock._work.busy and dock.session.slide is not None  # type: ignore[attr-defined]


def waiter() -> Callable[[Callable[[], bool]], None]:
    """What lets the window live until something is true, and a moment longer."""
    from qtpy.QtWidgets import QApplication

    def wait(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 600
        while not condition() and time.monotonic() < until:
            QApplication.processEvents()
            time.sleep(0.002)
        for _ in range(5):
            QApplication.processEvents()

    return wait


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("slides", "cycles", "bare", "reads"))
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    rows: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as folder, args.out.open("w", encoding="utf-8") as file:
        os.environ |= {"XDG_STATE_HOME": folder, "XDG_DATA_HOME": folder, "HAGMIL_CACHE": folder}
        paths = phantoms(Path(folder))
        ways = {"slides": slides, "bare": bare, "reads": reads}
        each = slides(paths, run=True) if args.what == "cycles" else ways[args.what](paths)
        table, started = csv.writer(file), time.monotonic()
        table.writerow(COLUMNS)
        for n in range(1, args.n + 1):
            next(each)
            if n % 10 == 0:
                rows.append((n, *measured(), round(time.monotonic() - started, 1)))
                table.writerow([f"{cell:.6g}" for cell in rows[-1]])
                file.flush()
    tenth = max(1, len(rows) // 10)
    for place, name in enumerate(COLUMNS[1:4], start=1):
        before = statistics.median(row[place] for row in rows[tenth : 2 * tenth])
        after = statistics.median(row[place] for row in rows[-tenth:])
        print(f"{name}: {before:.6g} → {after:.6g} ({after / before - 1:+.1%})")


if __name__ == "__main__":
    main()

"""Look at a slide in a napari window through one plugin's reader, and tell how long it took.

    python looking.py PLUGIN SLIDE [--async] [--views N]

PLUGIN is napari-hagmil, napari-tiff, napari-wsi, or `memory`: an image of a single level in memory,
which no reader can be quicker than. Prints JSON: seconds of the clock and of the processor until
the first view and each further one are sharp, the longest time that the window did not answer, and
the most memory that the process took.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import QApplication

#: Seconds between two pictures that must be equal.
APART = 0.06
#: Zoom beside the whole slide's, and centres as shares of the slide: four of each.
ZOOMS = (4.0, 16.0, 48.0)
CENTRES = ((0.42, 0.37), (0.61, 0.55), (0.35, 0.66), (0.52, 0.48))
#: Pixels of the window.
WINDOW = (1600, 1000)


class Watch:
    """Waits until a window shows a sharp picture."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.longest = 0.0

    def live(self, seconds: float = 0.0) -> None:
        until = time.perf_counter() + seconds
        while True:
            started = time.perf_counter()
            QApplication.processEvents()
            self.longest = max(self.longest, time.perf_counter() - started)
            if time.perf_counter() >= until:
                return
            time.sleep(0.002)

    def until_sharp(self, act: Callable[[], object]) -> dict[str, float]:
        """Seconds until no layer is loading and two pictures are equal: of clock and processor."""
        clock, processor = time.perf_counter(), time.process_time()
        self.longest = 0.0
        before = time.perf_counter()
        act()
        self.longest = time.perf_counter() - before
        while True:
            self.live()
            while not all(layer.loaded for layer in self.viewer.layers):
                self.live(0.005)
            spent = time.perf_counter() - clock, time.process_time() - processor
            first = self.picture()
            self.live(APART)
            loaded = all(layer.loaded for layer in self.viewer.layers)
            if loaded and np.array_equal(first, self.picture()):
                return {"clock": spent[0], "processor": spent[1], "block": self.longest}

    def picture(self) -> np.ndarray:
        return np.asarray(self.viewer.screenshot(canvas_only=True, flash=False))


def opened(viewer: Any, plugin: str, slide: Path) -> None:
    if plugin == "memory":
        pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
        viewer.add_image(pixels, rgb=True)
    else:
        viewer.open(slide, plugin=plugin)


def look(viewer: Any, plugin: str, slide: Path, views: int) -> dict[str, Any]:
    """Open a slide, then go to some views of it."""
    watch = Watch(viewer)
    watch.live(0.5)
    first = watch.until_sharp(lambda: opened(viewer, plugin, slide))
    viewer.reset_view()
    watch.live(0.5)
    fitted, extent = viewer.scene.camera.zoom, np.asarray(viewer.layers[0].extent.world)[:, -2:]
    places = [(zoom, centre) for zoom in ZOOMS for centre in CENTRES][:views]

    def go(zoom: float, centre: tuple[float, float]) -> None:
        viewer.scene.camera.center = tuple(extent[0] + np.array(centre) * (extent[1] - extent[0]))
        viewer.scene.camera.zoom = fitted * zoom

    further = [watch.until_sharp(lambda place=place: go(*place)) for place in places]
    return {"first": first, "views": further, "levels": len(viewer.layers[0].data)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plugin")
    parser.add_argument("slide", type=Path)
    parser.add_argument("--async", dest="in_background", action="store_true")
    parser.add_argument("--views", type=int, default=12)
    options = parser.parse_args()
    if options.plugin == "napari-hagmil":
        from napari_hagmil.process import prepare_process

        prepare_process()
    import napari
    from napari.settings import get_settings

    get_settings().experimental.async_ = options.in_background
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(*WINDOW)
    found = look(viewer, options.plugin, options.slide, options.views)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    sys.stdout.write("\n" + json.dumps({**found, "peak": peak}) + "\n")
    viewer.close()


if __name__ == "__main__":
    main()

"""Take the pictures of docs/images through the real window.

    xvfb-run -a -s "-screen 0 1920x1080x24" python docs/scripts/screenshots.py [--out docs/images]

Opens the phantom of the demo as a user would, runs the cascade with the shipped model, and saves
the overview, a followed lesion at 10× and 40×, and the dock on a small screen.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_hagmil.export import read_geojson
from napari_hagmil.plugin.sample_data import phantom_path
from napari_hagmil.polygons import outline
from napari_hagmil.review import Annotation, Conclusion, new_id

SIZES = {"large": (1600, 960), "small": (1280, 800), "wide": (1920, 1080)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "images")
    out = arguments.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    slide = phantom_path()
    shutil.rmtree(slide.with_name(f"{slide.name}.hagmil-review"), ignore_errors=True)
    viewer = napari.Viewer(title="HAG-MIL · research use only")
    _, dock = viewer.window.add_plugin_dock_widget("napari-hagmil", "HAG-MIL")
    resize(viewer, "large")
    dock.open_phantom(run=True)
    wait_until(lambda: len(dock.session.stages) == 2)
    save(viewer, out / "running.png")
    wait_until(lambda: dock.session.state in ("done", "failed"))
    save(viewer, out / "overview.png")
    lesion = followed_lesion(dock)
    look_at(viewer, lesion, zoom=1 / 0.25)
    point_at(viewer, dock, lesion)
    save(viewer, out / "lesion-40x.png")
    look_at(viewer, lesion, zoom=1.0)
    save(viewer, out / "lesion-10x.png")
    resize(viewer, "small")
    viewer.reset_view()
    save(viewer, out / "small-window.png")
    save(viewer, out / "dock.png", widget=dock)
    for name in ("slide", "cascade", "why", "steer"):
        dock.tabs.setCurrentWidget(getattr(dock, name))
        point_at(viewer, dock, lesion)
        settle(3)  # the pictures of a place are read beside the window
        save(viewer, out / f"tab-{name}.png", widget=dock)
    review(viewer, dock, out)
    dock.close()
    viewer.close()


def review(viewer: napari.Viewer, dock: object, out: Path) -> None:
    """The review: the first region, one accepted, annotations, the conclusion."""
    dock.open_review()  # type: ignore[attr-defined]
    resize(viewer, "large")
    press = {str(key): function for key, function in viewer.keymap.items()}
    press["N"](viewer)
    save(viewer, out / "review.png")
    press["K"](viewer)
    save(viewer, out / "review-next.png")
    draw(dock)
    press["F7"](viewer)
    save(viewer, out / "review-draw.png")
    press["F1"](viewer)
    save(viewer, out / "review-keys.png")
    press["F1"](viewer)
    resize(viewer, "small")
    for key, name in (("F8", "conclude"), ("F9", "export")):
        press[key](viewer)
        save(viewer, out / f"review-{name}.png")
    resize(viewer, "wide")
    press["F6"](viewer)
    save(viewer, out / "review-wide.png")


def draw(dock: object) -> None:
    """Add a polygon, a ruler and a conclusion, as the drawing tools would."""
    review = dock.review  # type: ignore[attr-defined]
    y, x = np.mean(review.region().polygon, axis=0)
    corners = [(y + 90 * np.sin(a), x + 140 * np.cos(a)) for a in np.linspace(0, 5.6, 9)]
    gland = Annotation(new_id(), "polygon", outline(corners), "Tumor", "solid growth")
    ruler = Annotation(new_id(), "ruler", outline([(y + 260, x - 200), (y + 260, x + 200)]))
    review.change("draw polygon", annotations=(gland, ruler))
    said = Conclusion("tumor", "One focus with solid growth, seen at 40×.")
    review.change("conclude", conclusion=said)


def followed_lesion(dock: object) -> np.ndarray:
    """Centre (y, x), µm, of the finest node with the highest attention inside a planted lesion."""
    import cv2

    session = dock.session  # type: ignore[attr-defined]
    stage, mpp = session.stages[-1], session.slide.mpp
    grid = session.grids[stage.depth]
    lesions = read_geojson(phantom_path().with_suffix(".geojson"))
    centres = (stage.nodes + 0.5) * grid.stride
    for i in np.argsort(-stage.attention):
        y, x = (float(v) for v in centres[i])
        for lesion in lesions:
            if cv2.pointPolygonTest(lesion.astype(np.float32), (y, x), False) > 0:
                return centres[i] * mpp
    raise SystemExit("no followed node lies in a planted lesion; retrain the demo model")


def look_at(viewer: napari.Viewer, centre: np.ndarray, *, zoom: float) -> None:
    """Move the camera: centre in µm, zoom in screen pixels per µm."""
    viewer.scene.camera.center = tuple(centre)
    viewer.scene.camera.zoom = zoom


def point_at(viewer: napari.Viewer, dock: object, place: np.ndarray) -> None:
    """Put the pointer there, as far as the dock can tell."""

    class Event:
        position = tuple(place)

    for callback in viewer.mouse_move_callbacks:
        callback(viewer, Event)


def resize(viewer: napari.Viewer, size: str) -> None:
    viewer.window._qt_window.resize(*SIZES[size])
    settle()


def save(viewer: napari.Viewer, path: Path, *, widget: object = None) -> None:
    settle()
    wait_until(lambda: all(layer.loaded for layer in viewer.layers))
    settle()
    target = viewer.window._qt_window if widget is None else widget
    target.grab().save(str(path), "PNG", 0)  # type: ignore[attr-defined]
    print(path)


def settle(seconds: float = 1.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.01)


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("the window did not get there in time")
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main()

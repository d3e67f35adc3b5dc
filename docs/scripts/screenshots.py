"""Take the pictures of docs/images through the real window.

    xvfb-run -a -s "-screen 0 1920x1080x24" python docs/scripts/screenshots.py [--out docs/images]

Opens the phantom of the demo as a user would, runs the cascade with the shipped model, and saves
what the tutorials show, in their order. Then a sitting over a cohort of small phantoms, and a model
that is trained on stored features; `--only cohort` and `--only features` take the pictures of those
alone. `--theme light` takes them in napari's other theme, and QT_SCALE_FACTOR=2 at twice the scale.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_hagmil.cli import main as command
from napari_hagmil.export import read_geojson
from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.plugin.sample_data import phantom_path
from napari_hagmil.polygons import outline
from napari_hagmil.review import Annotation, Conclusion, new_id
from napari_hagmil.widgets.preferences import set_preference

SIZES = {"large": (1600, 960), "small": (1280, 800), "wide": (1920, 1080)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "images")
    arguments.add_argument("--only", choices=("slide", "cohort", "features"))
    arguments.add_argument("--theme", choices=("dark", "light"), default="dark")
    asked = arguments.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.only in (None, "slide"):
        one_slide(asked.out, asked.theme)
    for name, take in (("cohort", cohort), ("features", stored_features)):
        if asked.only in (None, name):
            with TemporaryDirectory() as folder:
                take(Path(folder), asked.out, asked.theme)


def one_slide(out: Path, theme: str) -> None:
    """The demo's phantom, in the order of the first tutorial: opened, run, followed, reviewed."""
    slide = phantom_path()
    shutil.rmtree(slide.with_name(f"{slide.name}.hagmil-review"), ignore_errors=True)
    viewer, dock = window("HAG-MIL", "small", theme)
    dock.open_phantom()
    wait_until(lambda: dock.session.prepared is not None and not dock._work.busy)
    dock.tabs.setCurrentWidget(dock.slide)
    save(viewer, out / "opened.png")
    dock.tabs.setCurrentWidget(dock.cascade)
    dock.run()
    wait_until(lambda: len(dock.session.stages) == 2)
    save(viewer, out / "running.png")
    wait_until(lambda: dock.session.state in ("done", "failed"))
    resize(viewer, "large")
    viewer.reset_view()
    save(viewer, out / "overview.png")
    lesion = followed_lesion(dock)
    resize(viewer, "small")
    dock.tabs.setCurrentWidget(dock.why)
    for name, zoom in (("10x", 1.0), ("40x", 1 / 0.25)):
        look_at(viewer, lesion, zoom=zoom)
        point_at(viewer, dock, lesion)
        settle(3)  # the pictures of a place are read beside the window
        save(viewer, out / f"lesion-{name}.png")
    for name in ("slide", "cascade", "why", "steer"):
        dock.tabs.setCurrentWidget(getattr(dock, name))
        point_at(viewer, dock, lesion)
        settle(2)
        save(viewer, out / f"tab-{name}.png", widget=dock)
    where_you_looked(viewer, dock, out)
    review(viewer, dock, out)
    dock.close()
    viewer.close()


def where_you_looked(viewer: napari.Viewer, dock: Any, out: Path) -> None:
    """A reader's path over the slide, kept with consent, beside what the cascade saw."""
    set_preference("privacy", "viewing", True)
    section = dock.why.looked
    section.show_state()
    dock.tabs.setCurrentWidget(dock.why)
    finest = dock.session.grids[-1]
    nodes = dock.session.stages[-1].nodes
    for node in nodes[:: max(1, len(nodes) // 8)]:
        y, x = (finest.centres(node[None])[0] + 2 * finest.side) * dock.session.mpp
        look_at(viewer, np.array([y, x]), zoom=4.0)
        settle(0.8)
    section.on_map.setChecked(True)
    section.step(1)
    viewer.reset_view()
    section.show_state()
    dock.why.ensureWidgetVisible(section.save)
    save(viewer, out / "where-you-looked.png")
    section.on_map.setChecked(False)
    set_preference("privacy", "viewing", False)


def review(viewer: napari.Viewer, dock: object, out: Path) -> None:
    """The review: a region in context and in detail, one accepted, drawings, the conclusion."""
    dock.open_review()  # type: ignore[attr-defined]
    press = {str(key): function for key, function in viewer.keymap.items()}
    viewer.reset_view()
    press["N"](viewer)
    press["Alt+9"](viewer)
    press["Alt+9"](viewer)
    save(viewer, out / "review.png")
    press["Alt+9"](viewer)
    save(viewer, out / "review-detail.png")
    press["Alt+9"](viewer)
    press["K"](viewer)
    save(viewer, out / "review-next.png")
    press["Alt+4"](viewer)
    press["Shift+K"](viewer)
    draw(dock)
    press["F7"](viewer)
    save(viewer, out / "review-draw.png")
    press["F1"](viewer)
    save(viewer, out / "review-keys.png")
    press["F1"](viewer)
    for key, name in (("F8", "conclude"), ("F9", "export")):
        press[key](viewer)
        save(viewer, out / f"review-{name}.png")


def window(name: str, size: str, theme: str) -> tuple[napari.Viewer, Any]:
    """A window as `view` opens it, with one of the docks."""
    viewer = napari.Viewer(title="HAG-MIL · research use only")
    viewer.theme = theme
    _, dock = viewer.window.add_plugin_dock_widget("napari-hagmil", name)
    dock.desk.read(dock.window())
    resize(viewer, size)
    return viewer, dock


#: Slides of the cohort: name, patient, planted lesions.
COHORT = (
    ("24-0118_A1", "24-0118", 2), ("24-0118_A2", "24-0118", 0), ("24-0127_B1", "24-0127", 0),
    ("24-0131_A1", "24-0131", 1), ("24-0131_A2", "24-0131", 1), ("24-0131_A3", "24-0131", 0),
    ("24-0140_C1", "24-0140", 0), ("24-0152_A1", "24-0152", 2),
)  # fmt: skip


def cohort(folder: Path, out: Path, theme: str) -> None:
    """A sitting over a run: the table, a slide, another reader, a search, the export."""
    viewer, dock = window("HAG-MIL cohort", "small", theme)
    dock.open(run_of_phantoms(folder))
    wait_until(lambda: dock.table.entries and not dock.reader.busy)
    pictures_read(dock)
    save(viewer, out / "cohort.png")
    press = {str(key): function for key, function in viewer.keymap.items()}
    first = dock.table.entries[0].name
    dock.open_slide(first)
    arrived(dock, first)
    pictures_read(dock)
    save(viewer, out / "cohort-slide.png")
    decide(dock)
    press["PageDown"](viewer)
    second = dock.table.entries[1].name
    arrived(dock, second)
    dock.opening._dock.review.change("conclude", conclusion=Conclusion("normal"))
    dock.session.sitting.journal.flush()
    save(viewer, out / "cohort-next.png")
    dock.bar.reader.setCurrentText("Dr. Grace")
    dock.bar.reader.lineEdit().editingFinished.emit()
    arrived(dock, second)
    settle(2)
    dock.view.sortByColumn(5, Qt.SortOrder.DescendingOrder)
    dock.write(folder / "decisions.csv")
    wait_until(lambda: "Written" in dock.message.text())
    pictures_read(dock)
    save(viewer, out / "cohort-readers.png", widget=dock)
    print((folder / "decisions.csv").read_text("utf-8-sig")[:1500])
    dock.bar.reader.setCurrentText("")
    dock.bar.reader.lineEdit().editingFinished.emit()
    viewer.close()


def run_of_phantoms(folder: Path) -> Path:
    """A batch over small phantoms, one of which is damaged, by the command line."""
    slides = folder / "slides"
    slides.mkdir()
    lines = ["slide,patient"]
    for seed, (name, patient, lesions) in enumerate(COHORT, start=11):
        config = PhantomConfig(seed=seed, size=4096, lesions=lesions)
        write_phantom(slides / f"{name}.tiff", config)
        lines.append(f"slides/{name}.tiff,{patient}")
    (slides / "24-0160_A1.tiff").write_bytes(b"cut off when it was copied")
    lines.append("slides/24-0160_A1.tiff,24-0160")
    (folder / "table.csv").write_text("\n".join(lines))
    command(["batch", str(folder / "table.csv"), "--out", str(folder / "run")])
    return folder / "run"


#: Attention pooling over what was stored, at one depth.
AB_MIL = """[protocol]
repeats = 1
classes = ["normal", "tumor"]

[[method]]
name = "AB-MIL"
model = "gated_ab_mil"
epochs = 40
patience = 12
learning_rate = 3e-4
"""


def stored_features(folder: Path, out: Path, theme: str) -> None:
    """A model trained on h5 files of phantoms, and its attention on one that it has not seen."""
    bundle, features = trained_on_features(folder)
    viewer, dock = window("HAG-MIL", "small", theme)
    dock.open(folder / "slides" / "s19.tiff")
    wait_until(lambda: dock.session.prepared is not None and not dock._work.busy)
    dock.tabs.setCurrentWidget(dock.cascade)
    dock.run_panel.add_model(str(bundle))
    wait_until(lambda: not dock._work.busy)
    dock.run_panel.features.choose((features,))
    wait_until(lambda: not dock._work.busy)
    dock.run()
    wait_until(lambda: dock.session.state in ("done", "failed"))
    settle()
    viewer.reset_view()
    save(viewer, out / "features-attention.png")
    dock.open_review()
    {str(key): function for key, function in viewer.keymap.items()}["N"](viewer)
    viewer.reset_view()
    save(viewer, out / "features-review.png")
    viewer.close()


def trained_on_features(folder: Path) -> tuple[Path, Path]:
    """The bundle, and the folder of h5 files, of ten phantoms of which every other has a lesion."""
    slides = folder / "slides"
    slides.mkdir()
    lines = ["slide,label,split"]
    for seed in range(10, 20):
        config = PhantomConfig(
            seed=seed, size=4096, lesions=seed % 2, lesion_diameters_um=(400.0, 700.0)
        )
        write_phantom(slides / f"s{seed}.tiff", config)
        split = "train" if seed < 16 else "val" if seed < 18 else "test"
        lines.append(f"slides/s{seed}.tiff,{('normal', 'tumor')[seed % 2]},{split}")
    table, config_file = folder / "cohort.csv", folder / "abmil.toml"
    table.write_text("\n".join(lines))
    config_file.write_text(AB_MIL)
    made, stored, features = (
        folder / "made",
        folder / "store",
        folder / "features_efficientnet-lite0",
    )
    command(["encode", str(table), "--store", str(made), "--depths", "0.5"])
    command(["features", "export", str(made), "--as", "trident", "--out", str(features)])
    bring = ["features", "import", str(table), "--store", str(stored), "--from", "trident"]
    command([*bring, "--features", str(features), "--encoder", "efficientnet-lite0"])
    train = ["train", str(table), "--store", str(stored), "--out", str(folder / "trained")]
    command([*train, "--config", str(config_file)])
    return next((folder / "trained").glob("runs/*/*/model.hagmil")), features


def arrived(dock: object, name: str) -> None:
    """Wait until a slide of the cohort is open with its result and its regions."""
    session, opening = dock.session, dock.opening  # type: ignore[attr-defined]
    wait_until(lambda: opening.at == name and not opening._dock._work.busy)
    wait_until(lambda: session.state in ("done", "ready"))


def pictures_read(dock: object) -> None:
    """Wait until the rows that are shown have their pictures."""
    settle()
    wait_until(lambda: not dock.thumbnails._work.busy)  # type: ignore[attr-defined]


def decide(dock: object) -> None:
    """Accept the first region of the open slide, and reject the others."""
    review = dock.opening._dock.review  # type: ignore[attr-defined]
    for number, region in enumerate(review.state.regions):
        review.choose(region.id)
        review.decide("rejected" if number else "accepted")
    settle()


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
    viewer.window._qt_window.showNormal()
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

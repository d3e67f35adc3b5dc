"""napari's sample data, kept in the user's cache: a phantom slide, and a real one to fetch."""

from __future__ import annotations

from pathlib import Path

from napari.utils import progress
from platformdirs import user_cache_path

from napari_hagmil.phantom import PhantomConfig, write_phantom
from napari_hagmil.plugin.fetch import CMU_1, fetch
from napari_hagmil.plugin.layers import LayerTuple, slide_layer
from napari_hagmil.slide import open_slide

#: The slide of the demo; the demo model was not trained on its seed.
DEMO_PHANTOM = PhantomConfig(seed=900_001, size=12_288, lesions=3)

#: To be raised when the renderer draws something else, so that no cached slide is outdated.
_EDITION = 1


def phantom_path(config: PhantomConfig = DEMO_PHANTOM, *, folder: Path | None = None) -> Path:
    """The phantom's path; the slide is written when it does not exist.

    Parameters
    ----------
    config : PhantomConfig
        Which phantom.
    folder : Path, optional
        Where it is kept; by default in the user's cache.
    """
    place = folder or user_cache_path("napari-hagmil", appauthor=False)
    path = place / f"edition-{_EDITION}-seed-{config.seed}-{config.size}" / "phantom.tiff"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_phantom(path, config)
    return path


def open_cmu_1() -> list[LayerTuple]:
    """Layers of OpenSlide's CMU-1-Small-Region, fetched when asked for and kept in the cache."""
    bar = progress(total=100, desc=f"Fetching {CMU_1.name}")
    try:
        path = fetch(
            CMU_1,
            user_cache_path("napari-hagmil", appauthor=False) / "samples",
            lambda share: bar.update(int(100 * share) - bar.n),
        )
    finally:
        bar.close()
    return [slide_layer(open_slide(path))]


def open_phantom() -> list[LayerTuple]:
    """Layers of the phantom, for File ▸ Open Sample."""
    return [slide_layer(open_slide(phantom_path()))]

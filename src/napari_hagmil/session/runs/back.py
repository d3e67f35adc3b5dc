"""What a result that is read back fits, and where its run was told to stop."""

from __future__ import annotations

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import SlideResult
from napari_hagmil.depths import plan_depths
from napari_hagmil.models.bundle import bundle_config
from napari_hagmil.slide import Slide


def is_of(result: SlideResult, slide: Slide) -> bool:
    """Whether a result is of exactly these bytes and this pixel size."""
    same = result.slide.fingerprint == slide.fingerprint
    return same and result.slide.mpp == slide.mpp


def fits(result: SlideResult, slide: Slide) -> bool:
    """Whether a result lies on a slide of the same size, whatever is on it."""
    shape = result.slide.height, result.slide.width
    return shape == slide.shape and result.slide.mpp == slide.mpp


def stop_of(result: SlideResult, model: str) -> int | None:
    """The depth at which a run was told to stop; None where it went as deep as slide and model do.

    Parameters
    ----------
    result : SlideResult
        With at least one stage.
    model : str
        The bundle that found it.
    """
    config = bundle_config(find_bundle(model))
    reached = result.stages[-1].depth
    deepest = plan_depths(result.slide.mpp, config.mpp, name=result.slide.name).last_depth
    return None if reached == deepest else reached

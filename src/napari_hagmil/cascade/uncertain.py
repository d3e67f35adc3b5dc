"""A bundle's validation slides and training features, asked about one result."""

from __future__ import annotations

from napari_hagmil.cascade.result import CascadeResult
from napari_hagmil.models import BundleConfig
from napari_hagmil.uncertainty import DEFAULT_ERROR_RATE, Uncertainty


def uncertainty_of(
    config: BundleConfig,
    called: CascadeResult | None,
    *,
    distance: float | None = None,
    error_rate: float | None = None,
) -> Uncertainty:
    """Ask a bundle's validation slides and training features how far a result can be relied on.

    Parameters
    ----------
    config : BundleConfig
    called : CascadeResult or None
        None where no class is called.
    distance : float, optional
        See `Familiarity.distance`.
    error_rate : float, optional
        Of the set; by default 0.1. Of a slide that is unfamiliar every class is in the set.
    """
    known, seen = config.confidence, config.familiarity
    rate = DEFAULT_ERROR_RATE if error_rate is None else error_rate
    likely: tuple[str, ...] = ()
    if known and called:
        likely = known.class_set(called.probabilities, config.classes, called.predicted_class, rate)
        if why_unfamiliar(config, distance):
            likely = config.classes  # validation slides tell nothing of it
    return Uncertainty(
        temperature=known.temperatures[called.stages[-1].depth] if known and called else None,
        error_rate=rate if known else None,
        class_set=likely,
        validation_slides=len(known.scores) if known else 0,
        distance=None if distance is None or seen is None else round(distance, 4),
        limit=seen.limit if seen else None,
    )


def why_unfamiliar(config: BundleConfig, distance: float | None) -> str:
    """Say that a slide is unlike those of a model's training; empty where nothing says so."""
    seen = config.familiarity
    if seen is None or distance is None or not distance > seen.limit:
        return ""
    return (
        f"The model {config.name} does not know slides like this one: it is "
        f"{distance / seen.limit:.1f} times as far from those of its training as a familiar slide "
        "may be."
    )

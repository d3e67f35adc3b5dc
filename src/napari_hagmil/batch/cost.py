"""Estimate what a run will cost from the tissue of a few slides and the speed of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_hagmil.batch.folder import RunFolder
from napari_hagmil.errors import HagmilError
from napari_hagmil.features.encoding_cost import measure_rate
from napari_hagmil.features.layout import lay_out
from napari_hagmil.models import CascadeModel
from napari_hagmil.prepare import load_model
from napari_hagmil.slide import Slide, open_slide

#: Slides whose tissue is looked at.
_LOOKED_AT = 4

#: Bytes on disk of a slide's files, mostly overview and report; of phantoms of 4k to 40k px.
_BYTES_PER_SLIDE = 6_000_000


@dataclass(frozen=True, slots=True)
class BatchCost:
    """The estimated cost of the slides that are due.

    Attributes
    ----------
    slides : int
    patches : int
        To be read and encoded, at most.
    hours : float
        Of one process.
    gigabytes : float
        On disk.
    looked_at : int
        Slides that the estimate was made from; 0 when none could be read and nothing is known.
    """

    slides: int
    patches: int
    hours: float
    gigabytes: float
    looked_at: int
    is_encoded: bool = True

    def sentence(self, workers: int) -> str:
        """The cost as a clause."""
        if not self.is_encoded:
            return f"no patch is encoded, since features are stored; {_bytes(self.gigabytes)}"
        if not self.looked_at:
            return "nothing is known of the cost, since none of the first could be read"
        return (
            f"at most {self.patches:,} patches, about {_time(self.hours / workers)} with {workers} "
            f"process{'es' if workers > 1 else ''} and {_bytes(self.gigabytes)}, judged by the "
            f"tissue of {self.looked_at}"
        )


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(60 * hours, 1):.0f} min"


def _bytes(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes >= 1 else f"{1000 * gigabytes:.0f} MB"


def expected_cost(folder: RunFolder, names: Sequence[str]) -> BatchCost:
    """Estimate the cost of some slides from the first few of them that can be read."""
    settings = folder.settings
    if settings.features:
        gigabytes = len(names) * _BYTES_PER_SLIDE / 1e9
        return BatchCost(len(names), 0, 0.0, gigabytes, 0, is_encoded=False)
    model, encoder = load_model(settings.model, device=settings.device)
    counts: list[int] = []
    rate = 0.0
    for name in names:
        if len(counts) == _LOOKED_AT:
            break
        try:
            with open_slide(folder.records[name].path, mpp=settings.mpp) as slide:
                counts.append(_patches(slide, model, settings.budget, settings.exhaustive))
                if not rate:
                    config = model.config
                    rate = measure_rate(slide, encoder, config.mpp, config.patch_size).per_second
        except HagmilError:
            continue
    if not counts:
        return BatchCost(len(names), 0, 0.0, 0.0, 0)
    patches = round(sum(counts) / len(counts) * len(names))
    gigabytes = len(names) * _BYTES_PER_SLIDE / 1e9
    return BatchCost(len(names), patches, patches / rate / 3600, gigabytes, len(counts))


def _patches(
    slide: Slide, model: CascadeModel, budget: tuple[int, ...] | None, exhaustive: bool
) -> int:
    """The most patches that a cascade looks at: all at its first depth, four per followed one."""
    nodes = lay_out(slide, model.config.mpp, model.config.patch_size).quadtree.nodes
    sizes = [len(some) for some in nodes]
    if exhaustive:
        return sum(sizes)
    ks = budget or model.config.budget
    return sizes[0] + sum(min(4 * k, size) for k, size in zip(ks, sizes[1:], strict=False))

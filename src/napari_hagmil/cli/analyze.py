"""``analyze``: run the cascade on one slide without a window, and write its files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_hagmil.cli.terminal import answer, move_to, percent, progress, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    code_option,
    device_option,
    error_rate_option,
    json_option,
    model_option,
    mpp_option,
    option,
    out_option,
    pseudonymise_option,
    switch,
)
from napari_hagmil.purpose import RESEARCH_USE

if TYPE_CHECKING:
    from napari_hagmil.cascade import SlideResult, Steering
    from napari_hagmil.features import EncodingProgress
    from napari_hagmil.prepare import Options
    from napari_hagmil.slide import Slide
    from napari_hagmil.tissue import TissueMask


def budget_numbers(text: str) -> tuple[int, ...]:
    """K, or K,K,… for a depth each."""
    try:
        budget = tuple(int(part) for part in text.split(","))
    except ValueError:
        budget = ()
    if not budget or min(budget) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not K or K,K,… with K at least 1")
    return budget


#: What ``--tissue`` takes in place of a file.
EPITHELIUM = Path("epithelium")

#: Those of `quality.KINDS`, which brings OpenCV.
_ARTEFACTS = ("fold", "blur", "pen", "bubble", "pigment")


def artefacts(text: str) -> tuple[str, ...]:
    """Kinds of artefacts, with commas between them."""
    kinds = tuple(part.strip() for part in text.split(","))
    if not set(kinds) <= set(_ARTEFACTS):
        raise argparse.ArgumentTypeError(f"{text!r} is not of {', '.join(_ARTEFACTS)}")
    return kinds


@dataclass(frozen=True)
class AnalyzeOptions:
    """Options of ``analyze``."""

    slide: Path = argument("slide", type=Path)
    out: Path = out_option()
    model: str = model_option("demo")
    budget: tuple[int, ...] | None = option(
        "--budget",
        type=budget_numbers,
        metavar="K[,K…]",
        help="patches followed at each depth but the last; one number stands for all",
    )
    device: str = device_option()
    allow_code: bool = code_option()
    exhaustive: bool = switch("--exhaustive", "follow every branch")
    mpp: float | None = mpp_option()
    tissue: Path | None = option(
        "--tissue",
        place="file",
        type=Path,
        metavar="FILE.geojson|epithelium",
        help="tissue outlines (GeoJSON, or XML of ASAP or ImageScope) in place of detecting it; "
        "epithelium: look at epithelium only, as SHELL finds it",
    )
    steer: Path | None = option(
        "--steer",
        place="file",
        type=Path,
        metavar="FILE.json",
        help="branches to follow, places to leave out",
    )
    leave_out: tuple[str, ...] = option(
        "--leave-out",
        type=artefacts,
        default=(),
        metavar="KIND[,KIND…]",
        help="measure the quality and leave out the places of these artefacts: "
        f"{', '.join(_ARTEFACTS)}",
    )
    quality: bool = switch("--quality", "measure folds, blur, ink, bubbles and pigment")
    features: list[Path] | None = option(
        "--features",
        place="named",
        type=Path,
        action="append",
        metavar="STORE_OR_H5",
        help="stored features to run on, instead of pixels and encoder: a store, an h5 file or a "
        "folder of them; h5 once per depth, coarse to fine",
    )
    error_rate: float | None = error_rate_option()
    overwrite: bool = switch(
        "--overwrite", "replace the result of another slide, or under other settings"
    )
    pseudonymise: bool = pseudonymise_option()
    no_cache: bool = switch(
        "--no-cache", "encode everything anew, and keep no features for the next run"
    )
    json: bool = json_option()


def analyze(options: AnalyzeOptions) -> int:
    """Run the cascade on one slide and write what it found."""
    from napari_hagmil.export.result_json import result_document
    from napari_hagmil.slide import open_slide

    with open_slide(options.slide, mpp=options.mpp) as slide:
        slide.require_mpp()
        asked = _run_options(options, slide)
        result = run_and_write(
            slide, options.model, asked, options.out, overwrite=options.overwrite
        )
    if options.json:
        answer(result_document(result))
    else:
        say(f"{result.slide.name}: {describe(result)}; files in {options.out}")
        doubt = "" if result.unfit else result.uncertainty.sentence
        measured = described_quality(result.quality)
        for note in filter(None, (doubt, *result.notes, measured, RESEARCH_USE)):
            say(f"  {note}")
    return INCOMPLETE if result.state == "incomplete" else 0


#: Exit status of an analysis that calls no class because too much could not be read.
INCOMPLETE = 3


def run_and_write(
    slide: Slide, model: str, options: Options, out: Path, *, overwrite: bool = False
) -> SlideResult:
    """Analyze an open slide and write every file of an analysis into `out`.

    With `overwrite`, the result of another slide, or under other settings, is replaced.
    """
    from napari_hagmil.batch.analysis import write_files
    from napari_hagmil.export.analysis import require_replaceable
    from napari_hagmil.files import require_writable
    from napari_hagmil.pipeline import analyze_with, asked_result
    from napari_hagmil.prepare import load_for, network_of

    require_writable(out)
    loaded = load_for(options.features, model, device=options.device)
    # Now, and not after minutes of work.
    asked = asked_result(slide, network_of(loaded), options)
    require_replaceable(out, asked, overwrite=overwrite)
    with progress("patch") as bar:

        def show(now: EncodingProgress) -> None:
            bar.set_description(f"depth {now.depth}")
            bar.total, bar.n = now.total, now.done
            bar.refresh()

        result = analyze_with(loaded, slide, options, on_progress=show)
    write_files(slide, result, out, overwrite=overwrite)
    return result


def describe(result: SlideResult) -> str:
    """Summarize a result in one line: class, deciding depth, cost."""
    from napari_hagmil.geometry import magnification_label

    if result.state == "incomplete":
        return f"incomplete: {result.unread}"
    if result.cascade is None:
        return result.state.replace("_", " ")
    deciding = result.grids[result.stages[-1].depth].downsample * result.slide.mpp
    best = float(result.cascade.probabilities.max())
    cost = result.cost
    n_nodes = sum(len(stage.nodes) for stage in result.stages)
    looked = f"{n_nodes} patches {'encoded' if cost.patches_encoded else 'taken from features'}"
    warning = f"{result.unfit} It gives " if result.unfit else ""
    return (
        f"{warning}{result.cascade.predicted_class} {best:.3f} at {magnification_label(deciding)}, "
        f"{looked} (all tissue has {cost.patches_exhaustive}), "
        f"{cost.seconds['total']:.1f} s"
    )


def described_quality(shares: Mapping[str, float] | None) -> str:
    """Say in a sentence how much of the tissue artefacts cover; "" where it is not known."""
    if shares is None:
        return ""
    parts = ", ".join(f"{kind} {share:.1%}" for kind, share in shares.items())
    return f"Artefacts, as a share of the tissue: {parts}."


def _without_artefacts(
    options: AnalyzeOptions, slide: Slide, tissue: TissueMask | None
) -> tuple[dict[str, float] | None, Steering]:
    """Shares of artefacts, where they are asked for, and the steering that leaves them out."""
    from napari_hagmil.cascade import Steering, load_steering
    from napari_hagmil.quality import measure_quality

    steering = load_steering(options.steer) if options.steer else Steering()
    if not (options.quality or options.leave_out):
        return None, steering
    quality = measure_quality(slide, tissue)
    places = quality.places(options.leave_out, slide.shape)
    return quality.shares, Steering(steering.follow, (*steering.leave_out, *places))


def _given_tissue(options: AnalyzeOptions, slide: Slide) -> TissueMask | None:
    """The tissue of a file, or the epithelium; None where it is to be detected."""
    from napari_hagmil.encoders import resolve_device
    from napari_hagmil.epithelium import find_epithelium
    from napari_hagmil.export.geojson_reader import read_area
    from napari_hagmil.tissue import drawn_tissue

    if options.tissue is None:
        return None
    if options.tissue == EPITHELIUM:
        device = str(resolve_device(options.device))
        with percent() as bar:
            found = find_epithelium(
                slide, device=device, on_progress=lambda share: move_to(bar, share)
            )
        return found.epithelium
    return drawn_tissue(slide, read_area(options.tissue, slide.origin))


def _run_options(options: AnalyzeOptions, slide: Slide) -> Options:
    from napari_hagmil.bundles import find_bundle
    from napari_hagmil.ledger import file_facts
    from napari_hagmil.models import load_bundle
    from napari_hagmil.prepare import Options

    budget = options.budget
    if budget is not None and len(budget) == 1:
        n_depths = len(load_bundle(find_bundle(options.model)).config.mpp)
        budget = budget * max(n_depths - 1, 1)
    outlines = None if options.tissue == EPITHELIUM else options.tissue
    tissue = _given_tissue(options, slide)
    shares, steering = _without_artefacts(options, slide, tissue)
    return Options(
        budget=budget,
        device=options.device,
        exhaustive=options.exhaustive,
        tissue=tissue,
        tissue_source="epithelium" if options.tissue == EPITHELIUM else "drawn",
        steering=steering,
        quality=shares,
        features=tuple(options.features or ()),
        keep_features=not options.no_cache,
        error_rate=options.error_rate,
        file_hashes={
            name: file_facts(path).sha256
            for name, path in (("tissue", outlines), ("steering", options.steer))
            if path
        },
    )


ANALYZE = Verb("analyze", AnalyzeOptions, analyze, "run the cascade once, without a window")

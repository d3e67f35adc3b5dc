"""``train`` and ``protocol``: train cascades and baselines on a cohort's stored features."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_hagmil.cli.terminal import answer, ask, can_ask, complain, printable, progress, say
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    at_least_one,
    cohort_argument,
    device_option,
    json_option,
    option,
    out_option,
    pseudonymise_option,
    switch,
)
from napari_hagmil.errors import FeatureStoreError, ProtocolError

if TYPE_CHECKING:
    from tqdm import tqdm

    from napari_hagmil.cohort import Cohort, Split
    from napari_hagmil.features import FeatureStore
    from napari_hagmil.training import CohortSlide, DepthEpoch
    from napari_hagmil.training.protocol.methods import FeatureFacts
    from napari_hagmil.training.protocol.paper import PaperSettings
    from napari_hagmil.training.protocol.plan import EndpointPlan, Protocol
    from napari_hagmil.training.protocol.runs import ProtocolRun, RunRecord


@dataclass(frozen=True)
class ProtocolOptions:
    """Options of ``protocol``."""

    cohort: Path = cohort_argument()
    store: Path = option(
        "--store",
        place="below",
        type=Path,
        required=True,
        metavar="DIR",
        help="features that encode stored",
    )
    out: Path = out_option()
    config: Path | None = option(
        "--config",
        place="below",
        type=Path,
        metavar="FILE.toml",
        help="the protocol (default: the paper's)",
    )
    classes: str = option(
        "--classes",
        default="",
        metavar="A,B",
        help="the classes in order, negative first (default: the protocol's, or a known negative)",
    )
    threads: int = option(
        "--threads",
        type=at_least_one,
        default=1,
        help="torch's threads (default 1; more change sums in the last digit)",
    )
    device: str = device_option("cpu")
    tensorboard: bool = switch("--tensorboard", "write TensorBoard event files too")
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


@dataclass(frozen=True)
class TrainOptions(ProtocolOptions):
    """Options of ``train``."""

    method: str | None = option(
        "--method", help="the method of the protocol to train (default: its first)"
    )
    recipe: str | None = option(
        "--recipe",
        choices=("hagmil", "paper", "official"),
        help="HAG-MIL as this package (the default), the paper or the official code trains it",
    )


def train(options: TrainOptions) -> int:
    """Train HAG-MIL by a recipe, or one method of a protocol.

    Raises
    ------
    ProtocolError
        When both a recipe and methods are given, or there is no such method.
    """
    from napari_hagmil.training.protocol.recipes import RECIPES

    if options.recipe and options.method:
        raise ProtocolError(
            "train", "takes a recipe or a method, not both", remedy="leave out --recipe or --method"
        )

    def chosen(protocol: Protocol, settings: PaperSettings) -> Protocol:
        if protocol.methods and options.recipe:
            raise ProtocolError(
                options.config.name if options.config else "the protocol",
                "has methods of its own, so that no recipe can be trained",
                value=f"--recipe {options.recipe}",
                remedy="leave out --recipe, or the [[method]] tables",
            )
        if not protocol.methods and not options.method:
            return replace(protocol, methods=(RECIPES[options.recipe or "hagmil"](settings),))
        return _with_one_method(_with_the_papers_methods(protocol, settings), options.method)

    return _work(options, chosen)


def protocol(options: ProtocolOptions) -> int:
    """Train and test every method of a protocol."""
    return _work(options, _with_the_papers_methods)


def _with_one_method(protocol: Protocol, wanted: str | None) -> Protocol:
    names = [method.name for method in protocol.methods]
    if wanted is not None and wanted not in names:
        raise ProtocolError(
            "the protocol",
            "needs the method that --method names",
            value=repr(wanted),
            remedy=f"choose one of {', '.join(names)}",
        )
    return replace(protocol, methods=(protocol.methods[names.index(wanted or names[0])],))


def _with_the_papers_methods(protocol: Protocol, settings: PaperSettings) -> Protocol:
    """A protocol without methods of its own gets those of the paper's tables."""
    from napari_hagmil.training.protocol.paper import paper_methods

    if protocol.endpoint is not None and not protocol.methods:
        raise ProtocolError(
            "the protocol",
            "has an [endpoint] and no methods, and those of the paper tell classes",
            remedy="give [[method]] tables, or train the recipe of this package",
        )
    return protocol if protocol.methods else replace(protocol, methods=paper_methods(settings))


def _settings(options: ProtocolOptions, protocol: Protocol, facts: FeatureFacts) -> PaperSettings:
    """What recipes and the paper's methods depend on, of these features."""
    from napari_hagmil.cohort import begins_with_a_negative, is_order_known
    from napari_hagmil.training.protocol.paper import PaperSettings

    if protocol.endpoint is not None:
        return PaperSettings(len(facts.mpp), facts.n_shared, subtyping=False, has_negative=False)
    is_ordered = bool(options.classes or protocol.classes or is_order_known(facts.classes))
    subtyping = len(facts.classes) > 2 or not is_ordered
    negative = begins_with_a_negative(facts.classes)
    return PaperSettings(len(facts.mpp), facts.n_shared, subtyping, negative)


def _work(options: ProtocolOptions, chosen: Callable[[Protocol, PaperSettings], Protocol]) -> int:
    """Carry out the methods that `chosen` gives the protocol, for the features at hand."""
    import torch

    from napari_hagmil.encoders.device import resolve_device
    from napari_hagmil.files import require_writable
    from napari_hagmil.training.protocol.plan import Protocol
    from napari_hagmil.training.protocol.runs import plan_runs
    from napari_hagmil.training.protocol.toml_file import load_protocol

    protocol = load_protocol(options.config) if options.config else Protocol(())
    torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    require_writable(options.out / "tables.md")
    cohort, slides, facts = _stored(options, protocol)
    protocol.features.require(facts)
    _require_two_classes(protocol, facts)
    protocol = chosen(protocol, _settings(options, protocol, facts))
    if protocol.endpoint is not None:
        for method in protocol.methods:
            protocol.endpoint.require_method(method)
    name = f"{options.cohort.name} ({len(slides)} slides)"
    splits = _splits(cohort, protocol)
    runs = plan_runs(protocol, splits, options.out, cohort=name, device=str(device))
    return _tabled(options, protocol, cohort, _records(options, runs, slides, facts, protocol))


def _require_two_classes(protocol: Protocol, facts: FeatureFacts) -> None:
    if protocol.threshold == "youden" and len(facts.classes) != 2:
        raise ProtocolError(
            "the protocol",
            "calls slides by Youden's threshold, which is one of two classes",
            value=", ".join(facts.classes),
            remedy="give threshold = 'most probable'",
        )


def _tabled(
    options: ProtocolOptions, protocol: Protocol, cohort: Cohort, records: Iterator[RunRecord]
) -> int:
    """Write the tables after every run, print them at the end, and return the exit status."""
    from napari_hagmil.training.protocol.tables import write_tables

    done: list[RunRecord] = []
    written: list[Path] = []
    for record in records:
        done.append(record)
        # After every run, so that a protocol of days can be read while it goes on.
        classes = () if protocol.endpoint else cohort.classes
        written = write_tables(options.out, protocol, done, classes)
    if options.json:
        answer([asdict(record) for record in done])
    else:
        for line in written[0].read_text(encoding="utf-8").splitlines():
            say(line)
        say(f"{len(done)} runs; tables and bundles are in {options.out}")
    return 3 if any(record.failure for record in done) else 0


def _asked_order(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Ask which of two classes is the negative; keep their order where nobody can be asked."""
    first, second = classes
    if can_ask():
        if ask(f"Which class is the negative one, {first} or {second}?", first) == second:
            return (second, first)
        return classes
    complain(
        f"which of {first} and {second} is the positive class is not known, and F1 and thresholds "
        f"are taken to be of {second}; say otherwise with --classes {second},{first}"
    )
    return classes


def _stored(
    options: ProtocolOptions, protocol: Protocol
) -> tuple[Cohort, list[CohortSlide], FeatureFacts]:
    """The cohort's table, its slides' features, and what those are."""
    from napari_hagmil.cohort import is_order_known, ordered, read_cohort

    if protocol.endpoint is not None:
        return _measured(options, protocol.endpoint)
    cohort = read_cohort(options.cohort, files=False)
    given = [name.strip() for name in options.classes.split(",") if name.strip()]
    classes = ordered(cohort, given or protocol.classes)
    if not given and not protocol.classes and not is_order_known(classes):
        classes = _asked_order(classes)
    return _with_features(options, replace(cohort, classes=classes))


def _measured(
    options: ProtocolOptions, endpoint: EndpointPlan
) -> tuple[Cohort, list[CohortSlide], FeatureFacts]:
    """As `_stored`, of slides that have measurements and no classes."""
    from napari_hagmil.cohort import read_cohort

    if options.classes:
        raise ProtocolError(
            "--classes",
            "has no effect where the protocol predicts an endpoint",
            remedy="leave it out, or the protocol's [endpoint]",
        )
    cohort = read_cohort(options.cohort, files=False, every_class=False, measured=endpoint.columns)
    return _with_features(options, cohort)


def _with_features(
    options: ProtocolOptions, cohort: Cohort
) -> tuple[Cohort, list[CohortSlide], FeatureFacts]:
    from napari_hagmil.features import open_store
    from napari_hagmil.training import CohortSlide

    stores = [open_store(options.store, record) for record in cohort.records]
    slides = [
        CohortSlide(
            store.name, int(label), store.quadtree.nodes, store, record.patient, record.measured
        )
        for store, label, record in zip(stores, cohort.labels, cohort.records, strict=True)
    ]
    return cohort, slides, _facts(stores, cohort)


def _records(
    options: ProtocolOptions,
    runs: Sequence[ProtocolRun],
    slides: Sequence[CohortSlide],
    facts: FeatureFacts,
    protocol: Protocol,
) -> Iterator[RunRecord]:
    from napari_hagmil.training.protocol.runs import carry_out

    started = time.monotonic()
    with progress("run", len(runs)) as bar:
        for done, run in enumerate(runs, start=1):
            bar.set_description(printable(run.name))
            record = _record(options, run, carry_out(run, slides, facts, protocol.sweep), bar)
            bar.update()
            left = len(runs) - done
            if left and not options.json:
                hours = (time.monotonic() - started) / done * left / 3600
                say(f"{left} of {len(runs)} runs left, about {_duration(hours)}", above=bar)
            yield record


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(60 * hours))} min"


def _record(
    options: ProtocolOptions,
    run: ProtocolRun,
    steps: Iterator[DepthEpoch | RunRecord],
    bar: tqdm[Any],
) -> RunRecord:
    """Carry out one run, show every epoch, and print a line on how it ended."""
    from napari_hagmil.training.protocol.runs import RunRecord
    from napari_hagmil.training.protocol.tables import headline
    from napari_hagmil.training.tensorboard import EventWriter

    with ExitStack() as stack:
        events = None
        if options.tensorboard:
            events = stack.enter_context(EventWriter(run.folder / "events"))
        for step in steps:
            if isinstance(step, RunRecord):
                if not options.json:
                    result = step.failure or f"{headline(step.figures)}, {step.epochs} epochs"
                    say(f"{run.name}: {result}", above=bar)
                return step
            bar.set_postfix_str(f"depth {step.depth}, epoch {step.epoch.number}")
            if bar.disable and not options.json:
                say(_epoch_line(run, step))
            if events is not None:
                events.write(step)
    raise ProtocolError(run.name, "ended without a record", remedy="run it again")


def _epoch_line(run: ProtocolRun, step: DepthEpoch) -> str:
    """One epoch of one depth, where no bar is shown."""
    epoch, depth = step.epoch, "teacher" if step.depth < 0 else f"depth {step.depth}"
    merit = "AUC" if run.endpoint is None else "concordance"
    return (
        f"{run.name}: {depth}, epoch {epoch.number}, loss {epoch.train_loss:.3f}, validation "
        f"{epoch.val_loss:.3f}{' (best)' if epoch.is_best else ''}, {merit} {epoch.val_auc:.3f}, "
        f"{epoch.seconds:.1f} s"
    )


def _facts(stores: Sequence[FeatureStore], cohort: Cohort) -> FeatureFacts:
    """The facts that the features of all slides share; only the number of depths may differ.

    A slide that was scanned at 20× has none of the patches that others have at 40×.
    """
    from napari_hagmil.training.protocol.methods import FeatureFacts

    deepest = max(stores, key=lambda store: len(store.mpp))
    for store in stores:
        alike = (store.encoder, store.patch_size) == (deepest.encoder, deepest.patch_size)
        if not alike or store.mpp != deepest.mpp[: len(store.mpp)]:
            raise FeatureStoreError(
                f"the features of {store.name}",
                f"are of another encoder or of other depths than those of {deepest.name}",
                remedy="encode both alike, or leave one out of the table",
            )
    n_shared = min(len(store.mpp) for store in stores)
    return FeatureFacts(deepest.encoder, deepest.patch_size, deepest.mpp, cohort.classes, n_shared)


def _splits(cohort: Cohort, protocol: Protocol) -> list[tuple[str, int, Split]]:
    """Name, seed and split of every run of a method."""
    from napari_hagmil.cohort import holdout, k_fold, three_way

    seeds = range(protocol.seed, protocol.seed + protocol.repeats)
    if protocol.scheme == "k-fold":
        return [
            (f"seed-{seed}-fold-{i}", seed, split)
            for seed in seeds
            for i, split in enumerate(
                k_fold(cohort, protocol.folds, seed=protocol.divided_by(seed))
            )
        ]
    divide = holdout if protocol.scheme == "holdout" else three_way
    return [
        (f"seed-{seed}", seed, divide(cohort, seed=protocol.divided_by(seed))) for seed in seeds
    ]


@dataclass(frozen=True)
class JoinOptions:
    """Options of ``tables join``."""

    runs: list[Path] = argument(
        "below",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folders that protocol wrote, one per data set",
    )
    out: Path = out_option()
    pseudonymise: bool = pseudonymise_option()


def join(options: JoinOptions) -> int:
    """Lay the tables of several data sets side by side."""
    from napari_hagmil.training.protocol.join import join_tables, write_joined

    written = write_joined(options.out, join_tables(options.runs))
    for line in written[0].read_text(encoding="utf-8").splitlines():
        say(line)
    return 0


TABLES_JOIN = Verb(
    "tables join", JoinOptions, join, "several data sets side by side: Markdown, LaTeX, CSV"
)
TRAIN = Verb(
    "train", TrainOptions, train, "train one method on stored features, every split and seed"
)
PROTOCOL = Verb(
    "protocol",
    ProtocolOptions,
    protocol,
    "train and test every method of a protocol, and write the paper's tables",
)

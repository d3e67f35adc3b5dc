"""``batch``, ``run-one``, ``status``: analyze many slides in a folder that processes share."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_hagmil.cli.analyze import budget_numbers
from napari_hagmil.cli.encode import duration
from napari_hagmil.cli.terminal import answer, complain, progress, say, say_again
from napari_hagmil.cli.verb import (
    Verb,
    argument,
    cache_gb_option,
    cache_option,
    code_option,
    device_option,
    json_option,
    memory_option,
    model_option,
    mpp_option,
    option,
    out_option,
    pseudonymise_option,
    slides_argument,
    switch,
    timeout_option,
    tissue_dir_option,
    workers_option,
)
from napari_hagmil.files import require_writable
from napari_hagmil.ledger import STATE_RULES, STATES

if TYPE_CHECKING:
    from tqdm import tqdm

    from napari_hagmil.batch.folder import RunFolder, SlideOutcome
    from napari_hagmil.batch.one import Work
    from napari_hagmil.batch.run import Runner, RunStatus

#: Seconds between two looks of ``status --watch``.
_WATCH = 2.0
#: Slides that ``status`` names of each kind.
_NAMED = 10


def _resource(text: str) -> tuple[str, float]:
    """A name and an amount, as ``GPU=1``."""
    name, _, amount = text.partition("=")
    try:
        return name.strip(), float(amount)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=AMOUNT") from None


@dataclass(frozen=True)
class BatchOptions:
    """Options of ``batch``."""

    cohort: str = slides_argument()
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
    quality: bool = switch("--quality", "measure folds, blur, ink, bubbles and pigment")
    mpp: float | None = mpp_option()
    tissue_dir: Path | None = tissue_dir_option()
    features: list[Path] | None = option(
        "--features",
        place="named",
        type=Path,
        action="append",
        metavar="STORE_OR_DIR",
        help="folder with stored features to run on, NAME.zarr or NAME.h5, instead of pixels and "
        "encoder; of h5 once per depth, coarse to fine",
    )
    workers: int = workers_option(1)
    scheduler: str | None = option(
        "--scheduler", metavar="ADDRESS", help="of a dask cluster that sees the same folders"
    )
    resource: list[tuple[str, float]] | None = option(
        "--resource",
        type=_resource,
        action="append",
        metavar="NAME=AMOUNT",
        help="of the cluster's workers that each slide takes, GPU=1 for instance; may be repeated",
    )
    gpus: int = option(
        "--gpus",
        type=int,
        default=0,
        metavar="N",
        help="GPUs of this machine, one for each process in turn (default all for all)",
    )
    pool: bool = switch("--pool", "plain processes, even where dask.distributed is installed")
    timeout: float | None = timeout_option()
    memory: float | None = memory_option()
    cache: Path | None = cache_option()
    cache_gb: float = cache_gb_option()
    patients: Literal["mean", "max"] | None = option(
        "--patients",
        choices=("mean", "max"),
        help="how patients with several slides are called: by the mean of their slides, or by the "
        "slide least like the first class (default: the model's own rule, else mean)",
    )
    retry: list[str] | None = option(
        "--retry",
        action="append",
        choices=[state for state in STATES if state not in ("done", "skipped")],
        help="try the slides in this state again; may be repeated",
    )
    only: list[str] | None = option(
        "--only",
        place="only",
        action="append",
        metavar="NAME",
        help="this slide alone; may be repeated",
    )
    prepare: bool = switch("--prepare", "write run.json and table.parquet, and do nothing else")
    dry_run: bool = switch("--dry-run", "say what there is to do and what it costs, and stop")
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def batch(options: BatchOptions) -> int:
    """Analyze many slides; results that exist already stay."""
    from napari_hagmil.batch.one import tidy
    from napari_hagmil.batch.run import retry

    folder, notes = _prepared(options)
    names = _chosen(folder, options.only)
    if not options.dry_run:
        tidy(folder)
    if options.retry and not options.dry_run:
        retry(folder, names, options.retry)  # type: ignore[arg-type]
    due = [name for name in names if _is_to_do(options, folder, name)]
    for note in notes:
        _tell(options, note)
    if options.prepare or options.dry_run:
        return _announce(options, folder, due)
    _tell(options, f"{len(due)} of {len(names)} slides to do")
    if due:
        _work(options, folder, due)
    return _conclude(options, folder, names)


def _is_to_do(options: BatchOptions, folder: RunFolder, name: str) -> bool:
    """Whether a slide is due, or, as with --dry-run, would be after --retry."""
    if folder.is_due(name):
        return True
    outcome = folder.outcome(name)
    return outcome is not None and outcome.state in (options.retry or ())


def _prepared(options: BatchOptions) -> tuple[RunFolder, tuple[str, ...]]:
    from napari_hagmil.batch.folder import BatchSettings, plan_run, prepare_run
    from napari_hagmil.bundles import find_bundle
    from napari_hagmil.cohort import gather_slides
    from napari_hagmil.models import load_bundle

    cohort = gather_slides(options.cohort)
    bundle = load_bundle(find_bundle(options.model))
    budget = options.budget
    if budget is not None and len(budget) == 1:
        budget = budget * max(len(bundle.config.mpp) - 1, 1)
    path = Path(options.model)
    settings = BatchSettings(
        model=str(path.absolute()) if path.exists() else options.model,
        model_sha256=bundle.sha256,
        budget=budget,
        device=options.device,
        exhaustive=options.exhaustive,
        quality=options.quality,
        mpp=options.mpp,
        tissue_dir=str(options.tissue_dir.absolute()) if options.tissue_dir else "",
        features=tuple(str(place.absolute()) for place in options.features or ()),
    )
    # A cost that is only asked for binds nobody to these settings.
    begin = plan_run if options.dry_run else prepare_run
    return begin(options.out, cohort, settings), cohort.notes


def _chosen(folder: RunFolder, only: Sequence[str] | None) -> list[str]:
    for name in only or ():
        folder.require(name)
    return [name for name in folder.records if not only or name in only]


def _announce(options: BatchOptions, folder: RunFolder, due: Sequence[str]) -> int:
    """Print what there is to do and, with --dry-run, what it will cost."""
    from napari_hagmil.batch.cost import expected_cost

    if options.prepare:
        _tell(options, f"{options.out} is prepared: {len(due)} slides to do, each by")
        _tell(options, f"  napari-hagmil run-one {options.out} NAME")
        document: dict[str, object] = {"slides": list(due)}
    else:
        cost = expected_cost(folder, due)
        _tell(options, f"{len(due)} slides to do: {cost.sentence(options.workers)}")
        document = {"slides": list(due), "cost": asdict(cost)}
    if options.json:
        answer(document)
    return 0


def _work(options: BatchOptions, folder: RunFolder, due: Sequence[str]) -> None:
    from napari_hagmil.batch.run import work_through

    runner = _runner(options, folder)
    shown = _Shown(options, len(due))
    try:
        with shown.bar, _interruptible(runner):
            for outcome in work_through(folder, runner, due):
                shown.show(outcome)
    finally:
        runner.close()


def _runner(options: BatchOptions, folder: RunFolder) -> Runner:
    from napari_hagmil.batch.pool import limits_of
    from napari_hagmil.batch.runners import (
        Cluster,
        DaskRunner,
        LocalRunner,
        has_distributed,
    )

    sharing = 0 if options.scheduler else options.workers
    limits = limits_of(sharing, options.timeout, options.memory)
    limits = replace(limits, gpus=max(options.gpus, 0))
    work = _staging(options.cache, options.cache_gb)
    if options.scheduler or (has_distributed() and not options.pool and options.workers > 1):
        resources = dict(options.resource or ())
        cluster = Cluster(options.scheduler, resources) if options.scheduler else None
        # It tells of a scheduler that is gone in tracebacks; the runner does in a sentence.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        return DaskRunner(folder, options.workers, limits, cluster, work)
    if options.workers > 1 and not options.pool:
        _tell(options, "dask.distributed is not installed: plain processes do the work")
    return LocalRunner(folder, options.workers, limits, work)


def _staging(cache: Path | None, gigabytes: float) -> Work | None:
    """The analysis of copies on a local disk; None where none is asked for."""
    if cache is None:
        return None
    from napari_hagmil.batch.staging import StagedWork

    require_writable(cache.absolute() / "slide")
    return StagedWork(cache.absolute(), gigabytes * 1e9)


@contextmanager
def _interruptible(runner: Runner) -> Iterator[None]:
    """Let the first Ctrl-C finish the slides at work; a second one stops them."""

    def finish(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        runner.finish()
        complain("the slides at work end first; Ctrl-C again stops at once")

    before = signal.signal(signal.SIGINT, finish)
    try:
        yield
    except KeyboardInterrupt:
        runner.stop()
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _conclude(options: BatchOptions, folder: RunFolder, names: Sequence[str]) -> int:
    from napari_hagmil.batch.report import write_run_report
    from napari_hagmil.batch.summary import summary_rows, write_summary

    rows = summary_rows(folder)
    write_summary(folder, rows)
    write_run_report(folder, rows)
    _call_patients(options, folder, rows)
    mine = [row for row in rows if row["name"] in set(names)]
    done = sum(row["state"] == "done" for row in mine)
    if options.json:
        answer({"out": str(options.out), "slides": mine})
    else:
        say(f"{done} of {len(mine)} slides are done; {options.out}/report.html shows all")
    return 0 if done == len(mine) else 3


def _call_patients(
    options: BatchOptions, folder: RunFolder, rows: Sequence[dict[str, Any]]
) -> None:
    """Write patients.csv, where some patient has several slides."""
    from napari_hagmil.batch.patients import call_patients_of, rule_of, write_patient_calls
    from napari_hagmil.bundles import find_bundle
    from napari_hagmil.evaluation.patients import slides_by_patient
    from napari_hagmil.models import load_bundle

    records = list(folder.records.values())
    if len(slides_by_patient(records)) == len(records):
        return
    config = load_bundle(find_bundle(folder.settings.model)).config
    rule, note = rule_of(options.patients, config)
    if note:
        _tell(options, note)
    calls = call_patients_of(folder, rows, rule, config)
    write_patient_calls(calls, config, folder.root / "patients.csv")
    called = sum(call.state == "done" for call in calls)
    _tell(options, f"{called} of {len(calls)} patients are called, by the {rule} of their slides")


def _tell(options: BatchOptions, line: str) -> None:
    if not options.json:
        say(line)


class _Shown:
    """Shows the progress of a run: a bar on a terminal, a line per slide elsewhere."""

    def __init__(self, options: BatchOptions, total: int) -> None:
        self.bar: tqdm[object] = progress("slide", total)
        self._options, self._total = options, total
        self._started, self._ended = time.perf_counter(), 0

    def show(self, outcome: SlideOutcome) -> None:
        """Show the outcome of one slide."""
        self._ended += 1
        self.bar.update()
        rate = self._ended / (time.perf_counter() - self._started)
        if self._options.json or (sys.stderr.isatty() and outcome.state == "done"):
            return
        why = f": {outcome.reason}" if outcome.reason else ""
        left = (self._total - self._ended) / rate
        ahead = f"; {3600 * rate:.0f} slides/h, about {duration(left)} left" if left > 0 else ""
        place = f"[{self._ended}/{max(self._total, self._ended)}] {outcome.name}"
        say(f"{place}: {outcome.state}{why} ({outcome.seconds:.1f} s){ahead}", above=self.bar)


@dataclass(frozen=True)
class RunOneOptions:
    """Options of ``run-one``."""

    folder: Path = argument("below", type=Path, metavar="DIR")
    name: str = argument(metavar="NAME")
    allow_code: bool = code_option()
    cache: Path | None = cache_option()
    cache_gb: float = cache_gb_option()
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def run_one_slide(options: RunOneOptions) -> int:
    """Analyze one slide of a run's folder."""
    from napari_hagmil.batch.analysis import analyze_into
    from napari_hagmil.batch.folder import open_run
    from napari_hagmil.batch.one import run_one

    work = _staging(options.cache, options.cache_gb) or analyze_into
    outcome = run_one(open_run(options.folder), options.name, work)
    if options.json:
        answer(asdict(outcome))
    elif outcome.exit_status:
        complain(f"{outcome.name}: {outcome.state}: {outcome.reason}")
    else:
        say(f"{outcome.name}: {outcome.state} ({outcome.seconds:.1f} s)")
    return outcome.exit_status


@dataclass(frozen=True)
class StatusOptions:
    """Options of ``status``."""

    folder: Path = argument("below", type=Path, metavar="DIR")
    watch: bool = switch("--watch", "look again every two seconds, until nothing is left")
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def status(options: StatusOptions) -> int:
    """Print how far a run has come."""
    from napari_hagmil.batch.folder import open_run
    from napari_hagmil.batch.run import status_of

    shown = ""
    while True:
        now = status_of(open_run(options.folder))
        if options.json:
            print(json.dumps(asdict(now) | {"seconds_left": now.seconds_left()}), flush=True)
        elif options.watch:
            shown = say_again(_described(now), shown)
        if not options.watch or not now.left:
            break
        time.sleep(_WATCH)
    if not options.json:
        say_again(_described(now), shown)
        for line in _details(now):
            say(line)
    return 0


def _described(now: RunStatus) -> str:
    parts = [f"{count} {state.replace('_', ' ')}" for state, count in sorted(now.states.items())]
    left = now.seconds_left()
    rate = f"; {3600 * len(now.running) / now.seconds:.0f} slides/h" if left else ""
    ahead = f", about {duration(left)} left" if left else ""
    idle = "; nobody is at work" if now.left and not now.running else ""
    return f"{now.total} slides: {', '.join(parts)}{rate}{ahead}{idle}"


def _details(now: RunStatus) -> Iterator[str]:
    """Who is at work, and what is not done, why, and what to do about it."""
    yield from _some(f"  {name}: {holder} is at it" for name, holder in now.running.items())
    for state, reasons in now.reasons.items():
        yield f"{state.replace('_', ' ')}: {STATE_RULES[state].remedy}"  # type: ignore[index]
        yield from _some(f"  {name}: {reason}" for name, reason in reasons.items())


def _some(lines: Iterable[str]) -> Iterator[str]:
    """The first lines, and how many more there are."""
    every = list(lines)
    yield from every[:_NAMED]
    if len(every) > _NAMED:
        yield f"  and {len(every) - _NAMED:,} more"


BATCH = Verb("batch", BatchOptions, batch, "read many slides, resumable, by many processes")
RUN_ONE = Verb("run-one", RunOneOptions, run_one_slide, "do one slide of a batch's folder")
STATUS = Verb("status", StatusOptions, status, "say how far a batch has come")

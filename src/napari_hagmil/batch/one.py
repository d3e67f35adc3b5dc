"""One slide of a run's folder: claim, work in a draft, check, rename into place."""

from __future__ import annotations

import errno
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from napari_hagmil.batch.folder import BatchSettings, RunFolder, SlideOutcome
from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.errors import OutputError, statement_of, system_reason
from napari_hagmil.files import move, remove, short_name
from napari_hagmil.ledger import Claim, SlideState, check_manifest, state_after

Work = Callable[[SlideRecord, BatchSettings, Path], SlideState]
"""Writes everything about a slide into a folder, and tells its state; raises what went wrong."""


def run_one(folder: RunFolder, name: str, work: Work, *, trusting: bool = False) -> SlideOutcome:
    """Analyze one slide, unless no attempt is due or another process holds its claim.

    Parameters
    ----------
    folder : RunFolder
    name : str
    work : callable
    trusting : bool
        Whether a slide with a manifest is done, whatever its files say: for slides that had none
        when the run began, so that another process has just checked them.

    Returns
    -------
    SlideOutcome
        "skipped" where another process has it; the last outcome where no other attempt is due.

    Raises
    ------
    OutputError
        When the run's folder cannot be written, its disk is full, or it has no such slide.
    """
    folder.require(name)
    if trusting and folder.has_manifest(name) and (known := folder.outcome(name)):
        return known
    claim = _taken(folder, name)
    if claim is None:
        return SlideOutcome(name, "skipped", f"{folder.claims.holder(name)} has it", 0)
    with claim:
        known = folder.outcome(name)
        if known is not None and not folder.is_due(name):
            return known
        outcome = _tried(folder, name, claim, work, 1 + (known.tries if known else 0))
        if outcome.state != "skipped":
            folder.note(outcome)
        return outcome


def lost(folder: RunFolder, outcome: SlideOutcome) -> SlideOutcome:
    """Record the outcome of a slide whose process ended, and count the attempt."""
    name = outcome.name
    claim = _taken(folder, name)
    if claim is None:
        return SlideOutcome(name, "skipped", f"{folder.claims.holder(name)} has it", 0)
    with claim:
        known = folder.outcome(name)
        if known is not None and folder.is_settled(name):
            return known
        counted = replace(outcome, tries=1 + (known.tries if known else 0))
        folder.note(counted)
        return counted


def tidy(folder: RunFolder) -> None:
    """Remove the claims and drafts of processes that are gone, in the whole folder.

    Each takes the time of a listing of all slides: for the beginning or end of a run.
    """
    for path in folder.claims.folder.glob("[!.]*.json"):
        claim = _taken(folder, path.name.removesuffix(".json"))
        if claim is not None:
            claim.release()
    names = {_brief(name): name for name in folder.records}
    # Listed before the claims are looked at: who makes a draft has a claim already.
    for draft, brief in list(_drafts(folder)):
        if folder.claims.holder(names.get(brief, brief)) is None:
            remove(draft)


def _taken(folder: RunFolder, name: str) -> Claim | None:
    """Claim a slide. Drafts are looked for only where a process died: there may be a million."""

    def sweep() -> None:
        for draft, brief in list(_drafts(folder)):
            if brief == _brief(name):
                remove(draft)

    return folder.claims.take(name, tidy=sweep)


def _drafts(folder: RunFolder) -> Iterator[tuple[Path, str]]:
    """All drafts, with the brief names of their slides."""
    for path in (folder.root / "slides").glob(".*"):
        # "a" and "a.b" are different slides: what follows a name is known from the end.
        found = _DRAFT.fullmatch(path.name.lstrip("."))
        if found is not None:
            yield path, found[1]


#: A draft: slide, host, process, number; and what `files.sibling` adds to that.
_DRAFT = re.compile(r"(.+)\.[^.]+\.\d+\.[0-9a-f]{12}(?:\.[^.]+\.tmp)?")


def _tried(folder: RunFolder, name: str, claim: Claim, work: Work, tries: int) -> SlideOutcome:
    started = time.perf_counter()
    draft = _draft(folder, name)
    try:
        state = work(folder.records[name], folder.settings, draft)
        findings = check_manifest(draft)
        if findings:
            place, what = next(iter(findings.items()))
            raise OutputError(place, what, remedy="try again; look after the disk")
        if not claim.is_held():
            return SlideOutcome(name, "skipped", "another process took it over", tries)
        move(draft, folder.place(name))
    except Exception as error:
        _require_disk(folder, error)
        reason = " ".join(statement_of(error).split()) or type(error).__name__
        seconds = time.perf_counter() - started
        return SlideOutcome(name, _state_of(error), reason, tries, seconds)
    finally:
        remove(draft)
    known = folder.outcome(name)
    reason = known.reason if known else ""
    return SlideOutcome(name, state, reason, tries, time.perf_counter() - started)


def _require_disk(folder: RunFolder, error: Exception) -> None:
    """Raise when the disk is at fault: every other slide would fail like this one."""
    cause = error if isinstance(error, OSError) and error.errno else error.__cause__
    if isinstance(cause, OSError) and cause.errno in _OF_THE_DISK:
        raise OutputError(
            f"the run {folder.root.name}",
            f"cannot be written ({system_reason(cause)})",
            remedy="make room on the disk, or make it writable, and start the same command again",
        ) from error


#: Errors of the system that concern a disk as a whole.
_OF_THE_DISK = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS") if hasattr(errno, name)
)


def _state_of(error: Exception) -> SlideState:
    state = state_after(error)
    # Without tissue there is a result, which says so; this is an outline that holds none.
    return "failed" if state == "no_tissue" else state


def _draft(folder: RunFolder, name: str) -> Path:
    host = socket.gethostname().replace(".", "-") or "host"
    return folder.root / "slides" / f".{_brief(name)}.{host}.{os.getpid()}.{uuid4().hex[:12]}"


def _brief(name: str) -> str:
    """A slide's name that leaves room for what a draft's name adds."""
    return short_name(name, _DRAFT_ROOM)


#: Bytes that a draft's name adds to its slide's: a host has up to 64.
_DRAFT_ROOM = 130

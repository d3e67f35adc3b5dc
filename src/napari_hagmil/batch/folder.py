"""The folder of a batch run: its settings, its slides, and the state of each.

``run.json`` holds the settings, ``table.parquet`` the list of slides, ``slides/NAME`` the files of
a slide, ``claims/NAME.json`` the process that works on it, and ``states/NAME.json`` its last state.
A slide is done if and only if its folder has a manifest that its files agree with.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from napari_hagmil.cohort import Cohort
from napari_hagmil.cohort.cohort import SlideRecord
from napari_hagmil.errors import ManifestError, OutputError, Remedy
from napari_hagmil.files import replacing, short_name
from napari_hagmil.ledger import STATE_RULES, Claims, SlideState, check_manifest, read_manifest
from napari_hagmil.ledger.claims import STALE
from napari_hagmil.ledger.manifest import NAME as MANIFEST
from napari_hagmil.untrusted import read_json

SCHEMA = "napari-hagmil/batch/1"

#: A slide's small picture with attention, in its folder.
THUMBNAIL = "thumbnail.jpg"

#: The claim of the process that writes a run's table; hidden, and no slide's name.
_PREPARING = ".preparing"

#: Names that a wrong one is compared with: a run may have a million.
_COMPARED = 10_000

_COLUMNS = pa.schema(
    [("name", pa.string()), ("path", pa.binary()), ("patient", pa.string()), ("label", pa.string())]
)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How the slides of a run are analyzed; the same for every process that joins.

    Attributes
    ----------
    model : str
        Name of a bundle that ships, or the absolute path of another.
    model_sha256 : str
        Of its weights.
    budget : tuple of int or None
        Nodes followed at each depth but the last; None: the bundle's.
    device : str
    exhaustive : bool
    mpp : float or None
        µm per level-0 pixel, where a file has none.
    tissue_dir : str
        Folder with NAME.geojson, the tissue's outlines; empty: tissue is detected.
    features : tuple of str
        Folders or files with stored features for the model, see `features.open_given`; none:
        slides are read and encoded.
    quality : bool
        Whether artefacts are measured.
    """

    model: str
    model_sha256: str
    budget: tuple[int, ...] | None = None
    device: str = "auto"
    exhaustive: bool = False
    mpp: float | None = None
    tissue_dir: str = ""
    features: tuple[str, ...] = ()
    quality: bool = False


@dataclass(frozen=True, slots=True)
class SlideOutcome:
    """The outcome of the last attempt at a slide.

    Attributes
    ----------
    name : str
    state : str
    reason : str
        Why, as a sentence; empty when done.
    tries : int
        Number of attempts.
    seconds : float
        Of the last try.
    """

    name: str
    state: SlideState
    reason: str = ""
    tries: int = 1
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        """0 when done, 3 when not, 4 when another process holds the claim."""
        return STATE_RULES[self.state].exit_status


class RunFolder:
    """An existing folder of a batch run.

    Parameters
    ----------
    root : Path
    settings : BatchSettings
    records : mapping of str to SlideRecord
        By name, in the order of the table.
    """

    def __init__(
        self, root: Path, settings: BatchSettings, records: dict[str, SlideRecord]
    ) -> None:
        self.root, self.settings, self.records = root, settings, records
        self.claims = Claims(root / "claims")

    def require(self, name: str) -> None:
        """Raise unless the run has a slide of that name.

        Raises
        ------
        OutputError
        """
        if name in self.records:
            return
        near = get_close_matches(name, islice(self.records, _COMPARED), 1)
        rule = "a name is that of the table, else that of the file without its ending"
        raise OutputError(
            f"the run {self.root.name}",
            "has no slide of that name",
            value=name,
            remedy=f"did you mean {near[0]}?" if near else rule,
        )

    def place(self, name: str) -> Path:
        """Where the files of a slide lie once it is done."""
        return self.root / "slides" / name

    def has_manifest(self, name: str) -> bool:
        """Whether a slide was finished at some time, whatever became of its files since."""
        return (self.place(name) / MANIFEST).is_file()

    def is_settled(self, name: str) -> bool:
        """Whether a slide's folder is whole and as it was written."""
        try:
            return not check_manifest(self.place(name))
        except (OSError, ManifestError):
            return False

    def outcome(self, name: str) -> SlideOutcome | None:
        """The outcome of a slide; None before the first attempt has ended.

        The manifest takes precedence over the state's file: a slide with one has the state of its
        result, and a slide whose files were lost has no outcome.
        """
        noted = self._noted(name)
        try:
            read_manifest(self.place(name))
            said = read_json(self.place(name) / "result.json")
            state, notes = str(said["state"]), said.get("notes") or [""]
        except (OSError, ManifestError, ValueError, KeyError, TypeError, AttributeError):
            whole = noted is not None and STATE_RULES[noted.state].has_manifest
            return None if whole else noted
        if state not in ("done", "no_tissue", "incomplete"):
            return noted
        reason = "" if state == "done" else str(notes[0])
        known = noted or SlideOutcome(name, "done")
        return replace(known, state=state, reason=reason)  # type: ignore[arg-type]

    def note(self, outcome: SlideOutcome) -> None:
        """Record the outcome of a slide."""
        document = asdict(outcome) | {"remedy": STATE_RULES[outcome.state].remedy}
        with replacing(self.state_path(outcome.name)) as draft:
            draft.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")

    def forget(self, name: str) -> None:
        """Reset a slide's attempts; its files stay until new ones are complete."""
        self.state_path(name).unlink(missing_ok=True)
        self.withdraw(name)

    def withdraw(self, name: str) -> None:
        """Take a slide's manifest away, and it is not done any more."""
        (self.place(name) / MANIFEST).unlink(missing_ok=True)

    def is_due(self, name: str) -> bool:
        """Whether a slide is still to be tried."""
        outcome = self.outcome(name)
        if outcome is None:
            return True
        if STATE_RULES[outcome.state].has_manifest:
            return not self.is_settled(name)
        return outcome.tries < STATE_RULES[outcome.state].tries

    def state_path(self, name: str) -> Path:
        """Where the outcome of a slide is recorded."""
        return self.root / "states" / f"{short_name(name, len('.json'))}.json"

    def _noted(self, name: str) -> SlideOutcome | None:
        try:
            said = read_json(self.state_path(name))
            state, seconds = said["state"], float(said["seconds"])
            reason, tries = str(said["reason"]), int(said["tries"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        known = state if isinstance(state, str) and state in STATE_RULES else None
        return None if known is None else SlideOutcome(name, known, reason, tries, seconds)


def prepare_run(root: Path, cohort: Cohort, settings: BatchSettings) -> RunFolder:
    """Write run.json and table.parquet, or join a run that is there.

    Slides may be added to a run; its settings and the path of a slide cannot change.

    Raises
    ------
    OutputError
        When the folder cannot be written, or holds another run or something else.
    """
    from napari_hagmil.export.result_json import versions  # Heavy: only who prepares needs it.

    records = _with_absolute_paths(cohort)
    if (root / "run.json").exists():
        there = open_run(root)
        _require_same(root, there, settings, records)
        if records.keys() <= there.records.keys():
            return there
    with _alone(root):
        if (root / "run.json").exists():
            there = open_run(root)
            _require_same(root, there, settings, records)
            records = there.records | records
        else:
            _require_free(root)
        _write_table(root / "table.parquet", records)
        # Last: who is killed before leaves nothing that could be taken for a run.
        document = {"schema": SCHEMA, "settings": asdict(settings), "versions": versions()}
        with replacing(root / "run.json") as draft:
            draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return RunFolder(root, settings, records)


def plan_run(root: Path, cohort: Cohort, settings: BatchSettings) -> RunFolder:
    """The run that `prepare_run` would prepare or join; writes nothing.

    Raises
    ------
    OutputError
        As `prepare_run`.
    """
    records = _with_absolute_paths(cohort)
    if (root / "run.json").exists():
        there = open_run(root)
        _require_same(root, there, settings, records)
        records = there.records | records
    elif root.exists():
        _require_free(root)
    return RunFolder(root, settings, records)


def _with_absolute_paths(cohort: Cohort) -> dict[str, SlideRecord]:
    return {record.name: replace(record, path=record.path.absolute()) for record in cohort.records}


def _require_free(root: Path) -> None:
    """Raise unless a folder is empty, but for what a killed process left of a run's beginning."""
    if any(path.name[0] != "." and path.name != "table.parquet" for path in root.iterdir()):
        raise OutputError(
            root.name,
            "must be a run's folder, or empty",
            remedy=Remedy("choose another folder", command_line="choose another --out"),
        )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Wait until no other process writes the run's table, and keep others from it."""
    claims, until = Claims(root), time.monotonic() + 2 * STALE
    while (claim := claims.take(_PREPARING)) is None:
        if time.monotonic() > until:
            raise OutputError(
                root.name,
                f"is being prepared by {claims.holder(_PREPARING)}",
                remedy="try again when that is done",
            )
        time.sleep(0.05)
    with claim:
        yield


def open_run(root: Path) -> RunFolder:
    """Open a run's folder.

    Raises
    ------
    OutputError
        When it is not the folder of a run.
    """
    try:
        said = read_json(root / "run.json")
        if said["schema"] != SCHEMA:
            raise ValueError(f"the schema {str(said['schema'])!r:.80} is another")
        return RunFolder(root, _settings(said["settings"]), _read_table(root / "table.parquet"))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise OutputError(
            root.name or str(root),
            f"is no folder of a batch that can be read ({error})",
            remedy=Remedy("prepare it first", command_line="make it with batch --prepare"),
        ) from error


def _require_same(
    root: Path, there: RunFolder, settings: BatchSettings, records: dict[str, SlideRecord]
) -> None:
    changed = [
        key for key, value in asdict(settings).items() if getattr(there.settings, key) != value
    ]
    moved = [
        name
        for name, record in records.items()
        if name in there.records and there.records[name].path != record.path
    ]
    if changed or moved:
        what = f"another {changed[0]}" if changed else f"another file as the slide {moved[0]}"
        raise OutputError(
            root.name,
            f"holds a run with {what}",
            remedy=Remedy("choose another folder", command_line="choose another --out"),
        )


def _settings(said: Any) -> BatchSettings:
    """Settings from JSON; ValueError when they are none."""
    settings = BatchSettings(**said)
    if settings.budget is not None:
        settings = replace(settings, budget=tuple(int(k) for k in settings.budget))
    settings = replace(settings, features=tuple(settings.features))
    texts = (settings.model, settings.model_sha256, settings.device, settings.tissue_dir)
    if not all(isinstance(text, str) for text in (*texts, *settings.features)):
        raise ValueError("its settings are not text")
    return settings


def _write_table(path: Path, records: dict[str, SlideRecord]) -> None:
    """Paths as the bytes that they are: not all are text. Only the owner may read patients."""
    rows = [
        {
            "name": record.name,
            "path": os.fsencode(record.path),
            "patient": record.patient,
            "label": record.label,
        }
        for record in records.values()
    ]
    with replacing(path) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=_COLUMNS), file)


def _read_table(path: Path) -> dict[str, SlideRecord]:
    table = pq.read_table(path, schema=_COLUMNS)
    rows = table.to_pylist()
    for row in rows:
        if not row["name"] or "/" in row["name"] or row["name"].startswith("."):
            raise ValueError(f"{row['name']!r:.80} is no slide's name")
    return {
        row["name"]: SlideRecord(
            Path(os.fsdecode(row["path"])),
            row["label"] or "",
            row["patient"] or "",
            name=row["name"],
        )
        for row in rows
    }

"""Encode a cohort with several processes that share one store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_hagmil.batch.attendant import EndedError
from napari_hagmil.batch.pool import Pool
from napari_hagmil.cohort import SlideRecord
from napari_hagmil.features.encode import EncodeConfig, EncodeEvent, StoreWork
from napari_hagmil.ledger import STATE_RULES

Step = Literal["lay out", "encode"]


@dataclass(frozen=True)
class EncodeJob:
    """Lays out and encodes slides into a store.

    Attributes
    ----------
    store : Path
    encoder : str
        As ``--encoder`` names it.
    device : str
    config : EncodeConfig
        Its `outlines` must be importable by name.
    """

    store: Path
    encoder: str
    device: str
    config: EncodeConfig

    def __call__(self) -> Callable[[tuple[Step, SlideRecord]], Iterator[EncodeEvent]]:
        """Load the encoder."""
        from napari_hagmil.encoders import load_encoder, resolve_device

        encoder = load_encoder(self.encoder, device=resolve_device(self.device))
        work = StoreWork(self.store, encoder, self.config)

        def answer(request: tuple[Step, SlideRecord]) -> Iterator[EncodeEvent]:
            step, record = request
            if step == "lay out":
                event = work.laid_out(record)
                yield event or work.skipped(record)
                return
            with work.claimed(record.name) as claim:
                if claim is None:
                    yield work.skipped(record)
                else:
                    yield from work.encoded(record, claim)

        return answer


def encode_by_processes(records: Sequence[SlideRecord], pool: Pool) -> Iterator[EncodeEvent]:
    """As `encode_cohort`, with the processes of an `EncodeJob`.

    A slide whose process crashes or exceeds a limit is tried once more; the others go on.
    """
    waiting = list(records)
    for event in _carried_out(pool, "lay out", waiting):
        if event.kind == "failed":
            waiting = [record for record in waiting if record.name != event.name]
        if event.kind != "skipped":
            yield event
    left: list[SlideRecord] = []
    by_name = {record.name: record for record in waiting}
    for event in _carried_out(pool, "encode", waiting):
        if event.kind == "skipped":
            left.append(by_name[event.name])
        else:
            yield event
    yield from _carried_out(pool, "encode", left)


def _carried_out(pool: Pool, step: Step, records: Iterable[SlideRecord]) -> Iterator[EncodeEvent]:
    """Carry out one step for each slide, and once more where its process ended."""
    due, tries = list(records), 0
    while due:
        tries += 1
        again: list[SlideRecord] = []
        for (_, record), reply in pool.replies([(step, record) for record in due]):
            if not isinstance(reply, EndedError):
                yield reply
            elif tries < STATE_RULES[reply.state].tries:
                again.append(record)
            else:
                yield _lost(record, reply)
        due = again


def _lost(record: SlideRecord, end: EndedError) -> EncodeEvent:
    kind: Literal["failed", "skipped"] = "skipped" if end.state == "skipped" else "failed"
    return EncodeEvent(kind, record.name, message=str(end), state=end.state)

"""Encode a cohort: every node that a cascade can reach, of every slide, into a store on disk.

All slides are laid out first, so that unreadable ones are reported within minutes and the
remaining work is known exactly; then they are encoded one by one. Processes that share a store
share both kinds of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from napari_hagmil.cohort import SlideRecord
from napari_hagmil.encoders import Encoder, computation_of
from napari_hagmil.errors import CancelledError, OutputError, SlideChangedError
from napari_hagmil.features.layout import feature_tree, lay_out
from napari_hagmil.features.resume import require_held, resumed, store_claims
from napari_hagmil.features.sources import Patch, encode_pixels, read_nodes
from napari_hagmil.features.store import FeatureStore, store_path
from napari_hagmil.features.store_metadata import DTypeName, FeatureKey, SlideFrame
from napari_hagmil.features.store_writer import CHUNK_ROWS, Chunk, StoreWriter
from napari_hagmil.ledger import Claim, SlideState, state_after
from napari_hagmil.models.config import EncoderFacts
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.slide import Slide, open_slide
from napari_hagmil.slide.color_profile import Colors
from napari_hagmil.tissue import TissueOutline, drawn_tissue

#: µm per pixel of the depths: 10×, 20×, 40×.
DEFAULT_MPP = (1.0, 0.5, 0.25)

#: Patches encoded between two progress events. Less than a chunk, which is written as a whole:
#: a CPU takes minutes for one.
_BATCH = 128


@dataclass(frozen=True)
class EncodeConfig:
    """How a cohort is encoded.

    Attributes
    ----------
    mpp : tuple of float
        µm per pixel of each depth, coarse to fine, each half the one before.
    patch_size : int or None
        px; the encoder's own if None.
    dtype : str
        "float32", or "float16" for half the space.
    slide_mpp : float or None
        µm per level-0 pixel, where the slides' files are silent.
    overwrite : bool
        Whether features of another encoder, slide or depth are replaced; they are refused if not.
    readers : int
        Threads that decode.
    chunk_rows : int
        Patches encoded, and kept, at a time.
    outlines : callable, optional
        A slide's name → the tissue drawn for it; None for slides whose tissue is detected.
    colors : "file" or "srgb"
        Of the pixels that the encoder is given.
    """

    mpp: tuple[float, ...] = DEFAULT_MPP
    patch_size: int | None = None
    dtype: DTypeName = "float32"
    slide_mpp: float | None = None
    overwrite: bool = False
    readers: int = 2
    chunk_rows: int = CHUNK_ROWS
    outlines: Callable[[str], TissueOutline | None] | None = None
    colors: Colors = "file"


@dataclass(frozen=True, slots=True)
class EncodeEvent:
    """Something that happened to one slide.

    Attributes
    ----------
    kind : str
        "laid out": its work is known; "encoded": some patches were; "done"; "failed"; "skipped":
        another process is at it.
    name : str
        The slide's name in its cohort.
    done, total : int
        Patches encoded, and patches there are.
    unread : int
        Patches that could not be decoded; known when done.
    message : str
        Why it failed or was skipped, or a note for the user.
    state : str
        The slide's, when it is settled.
    """

    kind: Literal["laid out", "encoded", "done", "failed", "skipped"]
    name: str
    done: int = 0
    total: int = 0
    unread: int = 0
    message: str = ""
    state: SlideState | Literal[""] = ""


def encode_cohort(
    records: Sequence[SlideRecord], store: Path, encoder: Encoder, config: EncodeConfig
) -> Iterator[EncodeEvent]:
    """Encode slides into a store; intact features that are there already stay.

    Any number of processes may fill one store: each slide is claimed while it is worked on, and
    slides that another process has claimed are skipped. A slide that fails is reported as an event,
    and the others go on.

    Raises
    ------
    OutputError
        When the store cannot be written: it would fail for every slide.
    """
    work = StoreWork(store, encoder, config)
    waiting: list[SlideRecord] = []
    for record in records:
        event = work.laid_out(record)
        if event is None or event.kind == "laid out":
            waiting.append(record)
        if event is not None:
            yield event
    for is_last in (False, True):
        left = []
        for record in waiting:
            with work.claimed(record.name) as claim:
                if claim is not None:
                    yield from work.encoded(record, claim)
                elif is_last:
                    yield work.skipped(record)
                else:
                    left.append(record)
        waiting = left


class StoreWork:
    """Encoding into one store by one process; others may do the same.

    Parameters
    ----------
    store : Path
    encoder : Encoder
    config : EncodeConfig
    """

    def __init__(self, store: Path, encoder: Encoder, config: EncodeConfig) -> None:
        self.store, self.encoder, self.config = store, encoder, config
        self.claims = store_claims(store)
        self._announced: set[str] = set()
        self._sound: dict[str, StoreWriter] = {}

    @contextmanager
    def claimed(self, name: str) -> Iterator[Claim | None]:
        """Claim a slide for the duration of a block; None where another process has it."""
        claim = self.claims.take(name)
        try:
            yield claim
        finally:
            if claim is not None:
                claim.release()

    def laid_out(self, record: SlideRecord) -> EncodeEvent | None:
        """Lay a slide out, and find what is left to encode; None where another process has it."""
        with self.claimed(record.name) as claim:
            if claim is None:
                return None
            try:
                writer, note = self._writer(record)
                return self._announce(record, writer, note)
            except (OutputError, CancelledError):
                raise
            except Exception as error:
                return failed_event(record.name, error)

    def encoded(self, record: SlideRecord, claim: Claim) -> Iterator[EncodeEvent]:
        """Encode what a claimed slide lacks."""
        try:
            writer, note = self._sound.get(record.name), ""
            if writer is None:
                writer, note = self._writer(record)
            if record.name not in self._announced:
                yield self._announce(record, writer, note)
            if not writer.is_complete:
                yield from self._chunks(record, writer, claim)
                writer.finish()
            unread = FeatureStore(writer.path).n_unread
        except (OutputError, CancelledError):
            raise
        except Exception as error:
            yield failed_event(record.name, error)
            return
        n = writer.n_patches
        yield EncodeEvent("done", record.name, n, n, unread, state="done")

    def skipped(self, record: SlideRecord) -> EncodeEvent:
        """Report which process has a slide."""
        holder = self.claims.holder(record.name) or "another process"
        return EncodeEvent(
            "skipped", record.name, message=f"{holder} is encoding it", state="skipped"
        )

    def _announce(self, record: SlideRecord, writer: StoreWriter, note: str) -> EncodeEvent:
        self._announced.add(record.name)
        if writer.is_complete:
            self._sound[record.name] = writer
        done = writer.n_patches - sum(len(chunk.nodes) for chunk in writer.missing())
        return EncodeEvent("laid out", record.name, done, writer.n_patches, message=note)

    def _writer(self, record: SlideRecord) -> tuple[StoreWriter, str]:
        """Return the store that earlier runs began, or an empty one, and a note for the user."""
        path, config = store_path(self.store, record), self.config
        outline = config.outlines(record.name) if config.outlines else None
        notes = ["Its tissue was detected: it has no outlines."] if config.outlines else []
        with open_slide(record.path, mpp=config.slide_mpp) as slide:
            key = slide_key(slide, self.encoder, config, tissue=outline)
            writer = resumed(path, key, overwrite=config.overwrite)
            if writer is not None:
                return writer, ""
            tissue = drawn_tissue(slide, outline.rings) if outline else None
            layout = lay_out(slide, key.mpp, key.patch_size, tissue=tissue)
            tree = feature_tree(layout.quadtree)
            frame = SlideFrame(slide.shape, slide.origin)
            writer = StoreWriter.begin(path, key, tree, chunk_rows=config.chunk_rows, frame=frame)
            return writer, " ".join([*layout.plan.notes, *(notes if outline is None else [])])

    def _chunks(
        self, record: SlideRecord, writer: StoreWriter, claim: Claim
    ) -> Iterator[EncodeEvent]:
        """Encode the missing chunks."""
        chunks, total = writer.missing(), writer.n_patches
        done = total - sum(len(chunk.nodes) for chunk in chunks)
        if not chunks:
            return
        with open_slide(record.path, mpp=self.config.slide_mpp) as slide:
            _require_same(slide, writer)
            for chunk, pixels in _pixels(slide, writer.grids, chunks, self.config):
                features = []
                for part in (pixels[i : i + _BATCH] for i in range(0, len(pixels), _BATCH)):
                    features.append(encode_pixels(self.encoder, part))
                    done += len(part)
                    yield EncodeEvent("encoded", record.name, done, total)
                require_held(claim)
                slide.require_unchanged()
                writer.write(chunk, torch.cat(features))


def encoder_facts(encoder: Encoder) -> EncoderFacts:
    """What a store and a bundle say of an encoder; its input only where it is known."""
    mean, std, mpp = (tuple(getattr(encoder, name, ())) for name in ("mean", "std", "mpp"))
    return EncoderFacts(
        encoder.name, encoder.weights_sha256, encoder.n_features, mean=mean, std=std, mpp=mpp
    )


def _require_same(slide: Slide, writer: StoreWriter) -> None:
    """Raise unless the slide is still the file that was laid out."""
    if slide.fingerprint != writer.key.fingerprint:
        raise SlideChangedError(
            slide.name,
            "was replaced after its patches were laid out",
            remedy="run encode again, with --overwrite if the new file is the right one",
        )


def slide_key(
    slide: Slide, encoder: Encoder, config: EncodeConfig, *, tissue: TissueOutline | None = None
) -> FeatureKey:
    """The key of the features that a slide will have, with its tissue drawn or detected."""
    computation, facts = computation_of(encoder), encoder_facts(encoder)
    return FeatureKey(
        fingerprint=slide.fingerprint,
        reader=slide.reader.backend,
        slide_mpp=slide.require_mpp(),
        encoder=facts if config.colors == "file" else replace(facts, colors=config.colors),
        patch_size=config.patch_size or encoder.patch_size,
        mpp=config.mpp,
        dtype=config.dtype,
        precision=computation.precision,
        runtime=computation.runtime,
        tissue=tissue.sha256 if tissue else "",
    )


def failed_event(name: str, error: Exception) -> EncodeEvent:
    """Report a slide that failed, whatever the reason: the rest of an overnight run goes on."""
    text = " ".join(str(error).split()) or type(error).__name__
    return EncodeEvent("failed", name, message=text, state=state_after(error))


def _pixels(
    slide: Slide, grids: Sequence[PatchGrid], chunks: Sequence[Chunk], config: EncodeConfig
) -> Iterator[tuple[Chunk, list[Patch | None]]]:
    """Yield the pixels of each chunk; those of the next are read in the background."""

    def read(chunk: Chunk) -> list[Patch | None]:
        grid = grids[chunk.depth]
        return read_nodes(slide, grid, chunk.nodes, workers=config.readers, colors=config.colors)

    with ThreadPoolExecutor(1) as pool:
        ahead: Future[list[Patch | None]] = pool.submit(read, chunks[0])
        for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
            pixels = ahead.result()
            if following is not None:
                ahead = pool.submit(read, following)
            yield chunk, pixels

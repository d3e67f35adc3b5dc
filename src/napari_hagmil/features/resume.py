"""Resume the encoding of a slide: what an earlier run left, checked by its contents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from napari_hagmil.errors import FeatureStoreError, ManifestError
from napari_hagmil.features.store import difference
from napari_hagmil.features.store_metadata import (
    FeatureKey,
    chunk_place,
    draft_path,
    is_chunk,
    is_of_another_schema,
    key_of,
    read_facts,
)
from napari_hagmil.features.store_writer import StoreWriter, require_replaceable
from napari_hagmil.files import move, remove, remove_drafts
from napari_hagmil.ledger import Claim, Claims, check_manifest, read_manifest, write_manifest

Verdict = Literal["sound", "mend", "anew"]
"""Of what stands: good as it is; good but for some chunks; to be replaced."""


def resumed(path: Path, key: FeatureKey, *, overwrite: bool) -> StoreWriter | None:
    """Return the writer that continues earlier runs with this key; None where there is none.

    Chunks that are not as they were written are among those missing. A store whose other files are
    damaged is begun again, and stays until the new one is there. Call it with the slide claimed.

    Parameters
    ----------
    path : Path
        ``STORE/NAME.zarr``.
    key : FeatureKey
        Of the features that are wanted.
    overwrite : bool
        Whether features of another key or schema may be replaced.

    Raises
    ------
    FeatureStoreError
        When features of another key or schema stand there and may not be replaced.
    OutputError
        When something else than a feature store stands there.
    """
    require_replaceable(path)
    draft = draft_path(path)
    # With the claim held nobody else writes here; leftovers of killed runs can go.
    for place in (path, draft):
        remove_drafts(place.parent, place.name, older_than=0)
    verdict = _verdict(path, key, overwrite=overwrite) if path.exists() else "anew"
    if verdict == "sound":
        remove(draft)
        return StoreWriter(path)
    if verdict == "mend":
        remove(draft)
        draft.parent.mkdir(exist_ok=True)
        move(path, draft)
    return _begun(path, key, overwrite=overwrite) if draft.exists() else None


def store_claims(store: Path) -> Claims:
    """The claims on the slides of a store."""
    return Claims(store / ".claims")


def require_held(claim: Claim) -> None:
    """Raise `FeatureStoreError` when another process has taken over a claim."""
    if not claim.is_held():
        raise FeatureStoreError(
            f"the features of {claim.name}",
            "are made by another process since this one stood still",
            remedy="leave them to it, or run encode again",
        )


def _begun(path: Path, key: FeatureKey, *, overwrite: bool) -> StoreWriter | None:
    """The draft of an earlier run; None where it is damaged, or may be replaced."""
    try:
        writer = StoreWriter(path)
        files = read_manifest(writer.folder).files
    except (FeatureStoreError, ManifestError, FileNotFoundError):
        return None
    # `finish` writes the root anew before the manifest; its entries were checked one by one.
    lasting = {place for place in files if not is_chunk(place) and place != "zarr.json"}
    if lasting & set(check_manifest(writer.folder)):
        return None
    return writer if _is_same(path, writer.key, key, overwrite=overwrite) else None


def _verdict(path: Path, key: FeatureKey, *, overwrite: bool) -> Verdict:
    if is_of_another_schema(path) and not overwrite:
        read_facts(path)  # says so
    try:
        facts = read_facts(path)
        damaged = _damaged(path, facts)
    except (FeatureStoreError, ManifestError):
        return "anew"
    if not all(map(is_chunk, damaged)):
        return "anew"
    if not _is_same(path, key_of(facts), key, overwrite=overwrite):
        return "anew"
    return "mend" if damaged or not facts["complete"] else "sound"


def _damaged(path: Path, facts: Mapping[str, Any]) -> set[str]:
    """The files of a store that are not as they were written.

    Foreign files in a store are never read, and not reported.
    """
    try:
        return set(check_manifest(path)) & set(read_manifest(path).files)
    except FileNotFoundError:
        return _damaged_without_manifest(path, facts)


def _damaged_without_manifest(path: Path, facts: Mapping[str, Any]) -> set[str]:
    """As `_damaged`, for a store made before there were manifests; writes one.

    Sizes and the count of unread patches are all that can be checked.
    """
    write_manifest(path)
    writer = StoreWriter(path, folder=path)
    missing = writer.missing()
    if facts["complete"] and not missing and writer.count_unread() != facts["unread"]:
        return {"zarr.json"}
    return {chunk_place(chunk.depth, chunk.index) for chunk in missing}


def _is_same(path: Path, kept: FeatureKey, wanted: FeatureKey, *, overwrite: bool) -> bool:
    """Whether features have the key that is wanted.

    Raises
    ------
    FeatureStoreError
        When they do not, and may not be replaced.
    """
    differs = difference(kept, wanted)
    if differs and not overwrite:
        raise FeatureStoreError(
            f"the features of {path.stem}",
            f"that are kept already have {differs}",
            remedy="take another --store, or replace them with --overwrite",
        )
    return not differs

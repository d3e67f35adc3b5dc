"""Who works on what in a folder that many processes share, and what its files should hold."""

from napari_hagmil.ledger.claims import Claim, Claimant, Claims
from napari_hagmil.ledger.manifest import (
    FileFacts,
    Manifest,
    check_manifest,
    file_difference,
    file_facts,
    read_manifest,
    write_manifest,
)
from napari_hagmil.ledger.states import SlideState, state_after

__all__ = [
    "Claim",
    "Claimant",
    "Claims",
    "FileFacts",
    "Manifest",
    "SlideState",
    "check_manifest",
    "file_difference",
    "file_facts",
    "read_manifest",
    "state_after",
    "write_manifest",
]

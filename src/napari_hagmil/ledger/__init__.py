"""Coordination of processes that share a folder: claims, manifests and states."""

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
from napari_hagmil.ledger.states import STATE_RULES, STATES, SlideState, StateRule, state_after

__all__ = [
    "STATES",
    "STATE_RULES",
    "Claim",
    "Claimant",
    "Claims",
    "FileFacts",
    "Manifest",
    "SlideState",
    "StateRule",
    "check_manifest",
    "file_difference",
    "file_facts",
    "read_manifest",
    "state_after",
    "write_manifest",
]

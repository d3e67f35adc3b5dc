"""Who works on what in a folder that many processes share, and what its files should hold."""

from napari_hagmil.ledger.claims import Claim, Claimant, Claims
from napari_hagmil.ledger.manifest import (
    FileFacts,
    Manifest,
    check_manifest,
    file_difference,
    read_manifest,
    write_manifest,
)

__all__ = [
    "Claim",
    "Claimant",
    "Claims",
    "FileFacts",
    "Manifest",
    "check_manifest",
    "file_difference",
    "read_manifest",
    "write_manifest",
]

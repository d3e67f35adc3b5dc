"""``verify``: check that results, runs, stores and reviews are as they were written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from napari_hagmil.cli.terminal import answer, say
from napari_hagmil.cli.verb import Verb, argument, json_option, pseudonymise_option
from napari_hagmil.errors import ManifestError


@dataclass(frozen=True)
class VerifyOptions:
    """Options of ``verify``."""

    folder: Path = argument("below", type=Path, metavar="DIR")
    pseudonymise: bool = pseudonymise_option()
    json: bool = json_option()


def verify(options: VerifyOptions) -> int:
    """Compare a folder's files with their manifests, and its journals with their chains."""
    from napari_hagmil.verify import verify_folder

    found = verify_folder(options.folder)
    if not (found.files or found.journals or found.findings):
        raise ManifestError(
            str(options.folder),
            "holds nothing that can be verified",
            remedy="give the folder of a result, run, store or review",
        )
    if options.json:
        answer(asdict(found))
        return 1 if found.findings else 0
    for finding in found.findings:
        say(finding)
    for note in found.notes:
        say(f"note: {note}")
    compared = f"{found.files} files and {found.journals} journals compared"
    n = len(found.findings)
    say(f"{compared}: {f'{n} not' if n else 'all'} as written")
    return 1 if found.findings else 0


VERIFY = Verb(
    "verify",
    VerifyOptions,
    verify,
    "compare results, runs, stores and reviews with the hashes of what was written",
)

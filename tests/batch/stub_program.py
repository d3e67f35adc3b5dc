"""napari-hagmil with its own options and a run's real folder; the analysis is a stub."""

from __future__ import annotations

import sys

from batch_stubs import work

from napari_hagmil.batch.folder import BatchSettings, prepare_run
from napari_hagmil.batch.one import run_one
from napari_hagmil.cli import batch, main
from napari_hagmil.cohort import gather_slides


class Here:
    """Does all slides in this process."""

    workers = 1

    def __init__(self, folder):
        self.folder = folder

    def outcomes(self, names):
        for name in names:
            yield run_one(self.folder, name, work, trusting=True)

    def close(self):
        pass


def prepared(options):
    cohort = gather_slides(options.cohort)
    return prepare_run(options.out, cohort, BatchSettings("demo", "0" * 64)), ()


if __name__ == "__main__":
    batch._prepared = prepared
    batch._runner = lambda options, folder: Here(folder)
    batch._call_patients = lambda *_: None
    sys.exit(main(sys.argv[1:]))

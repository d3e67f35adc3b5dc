"""Fetch the public slides that the tests look at: ``make data``.

Shows of each whose it is, its licence, address and hash, and fetches what is not there yet into the
folder HAGMIL_DATA (by default ../shared/data). HAGMIL_MIRROR names another place to fetch from, and
``--list`` fetches nothing. The tests pass without them: those on real slides are skipped.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from napari_hagmil.errors import HagmilError
from napari_hagmil.plugin.fetch import CMU_1, PublicFile, fetch

_OPENSLIDE_PYTHON = "https://raw.githubusercontent.com/openslide/openslide-python"
_PATHML = "https://raw.githubusercontent.com/Dana-Farber-AIOS/pathml"

FILES = (
    replace(CMU_1, name=f"slides/{CMU_1.name}"),
    PublicFile(
        "slides/openslide-python-boxes.tiff",
        f"{_OPENSLIDE_PYTHON}/395cd102dda225626b251d088987cc1688b5c1b0/tests/fixtures/boxes.tiff",
        "785517d0bcd91745f84faf85c7afa9541aac051ee78fdcd668749c1f506183fc",
        7_696,
        "LGPL-2.1",
        "OpenSlide Python's tests",
    ),
    PublicFile(
        "slides/broken/openslide-python-unreadable.svs",
        f"{_OPENSLIDE_PYTHON}/8878e59351647e1cd06327e7868117c91870ba20/tests/fixtures/unreadable.svs",
        "393e1995e46ec5c2ea3f1ec35dc8ccb58fb9e2a4fcd0d9077b93db200226df75",
        2_651,
        "LGPL-2.1",
        "OpenSlide Python's tests",
    ),
    PublicFile(
        "slides/pathml-small_vectra.qptiff",
        f"{_PATHML}/504e9d2f470604d73687135d3b173f976cd88dfc/tests/testdata/small_vectra.qptiff",
        "e19363d64a2ab7d7c7869cbed443d56d5843b555d8436b4fe08970eeae0c5325",
        3_476_714,
        "GPL-2.0",
        "PathML's tests",
    ),
    PublicFile(
        "slides/broken/pathml-small_dicom.dcm",
        f"{_PATHML}/466a26b0e3629dc689ede4db206620ab9fe054dc/tests/testdata/small_dicom.dcm",
        "7f078ea8d495998a3893c34d8d6680d14bb9a4210c9c90384d89d9293c52836e",
        1_546_968,
        "GPL-2.0",
        "PathML's tests",
    ),
)


def main(argv: list[str] | None = None) -> int:
    """Show and fetch every file; 1 where one could not be fetched."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--list", action="store_true", help="show the files, fetch nothing")
    options = parser.parse_args(argv)
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("HAGMIL_DATA", root.parent / "shared" / "data"))
    failed = 0
    for file in FILES:
        print(f"{file.name}  {file.n_bytes:,} bytes, {file.licence}, {file.source}")
        print(f"  {file.url}\n  sha256 {file.sha256}")
        if options.list:
            continue
        try:
            print(f"  {fetch(file, folder)}")
        except HagmilError as error:
            failed += 1
            print(f"  {error.sentence('command line')}", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

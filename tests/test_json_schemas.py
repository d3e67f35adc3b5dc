"""The schemas of the JSON files: there for each kind, named by the page on files, and true.

The tests of the verbs hold what they write against them, with `json_schemas.require_schemas`.
"""

from __future__ import annotations

import re
from pathlib import Path

from json_schemas import FOLDER

ROOT = Path(__file__).parent.parent

#: Kinds that are no JSON files: metadata of tables, names of ids, a checkpoint's metadata.
NO_DOCUMENTS = {"nodes", "tile", "region", "baseline"}


def test_every_kind_of_file_has_a_schema_that_the_page_on_files_names():
    sources = (path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    kinds = {kind for text in sources for kind in re.findall(r'"napari-hagmil/([\w-]+)/1"', text)}
    there = {path.stem for path in FOLDER.glob("*.json")}
    assert kinds - NO_DOCUMENTS <= there
    page = (FOLDER.parent / "files.md").read_text("utf-8")
    assert there == set(re.findall(r"\(schemas/([\w-]+)\.json\)", page))

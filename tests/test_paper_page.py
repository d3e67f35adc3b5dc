"""The page of the paper's statements names code and tests that are there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/explanation/paper.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| \d", line)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1][:40])
def test_a_statement_names_its_code_and_its_test(row):
    _, _, where, holds, test = row
    module, name = where.strip("`").split(":")
    assert hasattr(import_module(f"napari_hagmil.{module}"), name)
    file, function = test.strip("`").split("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*def {function}\(", text, re.MULTILINE)
    assert re.search(r"holds|differs|open|=", holds)


def test_every_section_of_the_method_and_its_evaluation_has_a_row():
    sections = {row[0].split(",")[0] for row in ROWS}
    assert sections == {"3.1", "3.2", "3.3", "4.1", "4.2", "4.4"}

"""The code blocks of the documentation: run, read, or named below with the reason."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from napari_hagmil.cli import main
from napari_hagmil.cli.parser import build_parser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: Pages whose blocks are run one after the other.
RUN = ("docs/how-to/wishes.md",)

#: Beginnings of blocks that are neither run nor read, and why.
NOT_RUN = {
    "make ": "set-up: the tests themselves are started by it",
    "pip install": "installing changes the environment that the tests run in",
    "dask scheduler": "three terminals; test_verbs_of_a_run has a cluster",
    "TASKS=20 bash slurm-array.sh": "test_slurm_script runs it",
    "python docs/scripts/": "hours of training; each script has tests of its own",
    "from napari_hagmil.pipeline import": "as test_pipeline runs it, on a slide of the user",
    "def iter_cascade": "the method in short; test_run holds it against the code",
    "@inproceedings": "a citation",
    "slide,label": "a table; the tests of cohorts read such",
    "slide,patient": "a table; the tests of cohorts read such",
    '"""Read a slide without napari': "docs/examples/read_slide.py, which a test of its own runs",
    "napari-hagmil: ": "what a command prints",
    "cohort/COHORT.csv: ": "what a command prints",
    "[9/12]": "what a command prints",
    "path ─open_slide→": "a drawing",
    "widgets | cli": "a drawing",
    "src/napari_hagmil/": "a drawing",
}


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block."""
    found = re.finditer(r"^( *)```(\w*)\n(.*?)^\1```", page.read_text("utf-8"), re.S | re.M)
    return [(one[2], one[3].strip()) for one in found]


ALL = [
    (page.relative_to(ROOT).as_posix(), language, text)
    for page in PAGES
    for language, text in blocks(page)
]


def commands(text: str) -> list[list[str]]:
    """Arguments of each line that calls the program, comments and continued lines apart."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [line.split(" | ")[0] for line in lines if line.startswith("napari-hagmil ")]
    return [shlex.split(line, comments=True)[1:] for line in found]


def is_usage(arguments: list[str]) -> bool:
    """Whether it shows what may be given, in brackets and alternatives, and not an example."""
    return any(re.search(r"[\[\]|…]", part) or part == "VERB" for part in arguments)


@pytest.mark.parametrize(("page", "language", "text"), ALL, ids=lambda value: str(value)[:40])
def test_a_block_is_run_or_read_or_says_why_not(page: str, language: str, text: str) -> None:
    if page in RUN or any(text.startswith(beginning) for beginning in NOT_RUN):
        return
    if language == "toml":
        assert tomllib.loads(text)
    elif language == "json" or text.startswith("{"):
        assert json.loads(text)
    else:
        assert commands(text), f"{page}: {text[:60]!r} is neither run nor named in NOT_RUN"


@pytest.mark.parametrize(
    ("page", "arguments"),
    [(page, one) for page, _, text in ALL for one in commands(text) if not is_usage(one)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_documented_command_is_one_that_the_program_takes(
    page: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code: object = 0
    try:
        build_parser().parse_args(arguments)
    except SystemExit as ended:
        code = ended.code
    assert code == 0, f"{page}: {' '.join(arguments)}: {capsys.readouterr().err}"


@pytest.mark.parametrize(
    "usage", sorted({one[0] for _, _, text in ALL for one in commands(text) if is_usage(one)})
)
def test_a_documented_verb_is_there(usage: str) -> None:
    if usage == "VERB":
        return
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([usage, "--help"])
    assert ended.value.code == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_blocks_of_a_how_to_run_one_after_the_other(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks(ROOT / page):
        if language == "python":
            exec(compile(text, page, "exec"), {})
            continue
        for arguments in commands(text):
            assert main(arguments) == 0, arguments


def test_every_reason_belongs_to_a_block() -> None:
    unused = [one for one in NOT_RUN if not any(text.startswith(one) for _, _, text in ALL)]
    assert not unused

"""Names from outside in tables, Markdown and figures are text, whatever they hold."""

import ast
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import napari_hagmil
from napari_hagmil.escaping import in_figure, in_markdown
from napari_hagmil.evaluation.figures import roc_png
from napari_hagmil.training.protocol.printed import Column, Line, Table, latex, markdown
from napari_hagmil.training.protocol.run_files import write_curves

ROOT = Path(napari_hagmil.__file__).parent
NAMES = [r"$\frac$", "$x$ and $", "_hidden", "a\nb", "<script>alert(1)</script>", "x|y", "\x1b[31m"]


@given(st.text())
def test_markdown_has_no_tag_no_cell_and_no_second_line(text):
    made = in_markdown(text)
    assert "<" not in made
    assert len(made.splitlines()) <= 1
    assert "|" not in made.replace("\\\\", "").replace("\\|", "")


def test_plain_names_stay_as_they_are():
    assert in_markdown("tumor_001 of 12 µm (a-b)") == "tumor_001 of 12 µm (a-b)"
    assert in_figure("tumor_001") == "tumor_001"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_class_can_be_drawn(name):
    labels = np.array([0, 1, 1, 0])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    drawn = [
        np.asarray(Image.open(io.BytesIO(roc_png(["a", one], labels, probabilities))))
        for one in (name, "")
    ]
    # The legend holds it: the pictures differ.
    assert (drawn[0] != drawn[1]).any()


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_method_can_be_drawn_and_printed(tmp_path, name):
    write_curves(tmp_path / "curves.png", name, [])
    assert (tmp_path / "curves.png").stat().st_size > 1000
    table = Table(name, (Column("auc", name),), (Line(name, (), {"auc": (0.5, 0.1)}),))
    printed = markdown(table)
    assert "<script" not in printed
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {3}
    assert len(latex(table).splitlines()) == 8


def calls(name):
    """Modules in which something of that name is called."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name):
                yield path.relative_to(ROOT).as_posix()


def test_one_place_writes_csv():
    """There, every cell is kept from being a formula."""
    assert {*calls("csv.writer"), *calls("DictWriter")} == {"files.py"}

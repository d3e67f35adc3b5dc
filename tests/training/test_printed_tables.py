"""Tables as the paper prints them, of one data set and of several."""

from __future__ import annotations

import csv

import pytest

from napari_hagmil.cli import main
from napari_hagmil.training.protocol.methods import Method
from napari_hagmil.training.protocol.printed import Column, Line, Table, latex, markdown
from napari_hagmil.training.protocol.runs import n_epochs
from napari_hagmil.training.run_state import DepthEpoch, Epoch

#: Three rows of the paper's Table 1, Camelyon16, with the improvement that it prints below them.
TABLE = Table(
    "Table 1",
    (Column("auc", "AUC"), Column("accuracy", "accuracy"), Column("patches", "patches", None)),
    (
        Line("HAG-MIL", (), {"auc": (0.946, 0.011), "accuracy": (0.887, 0.022), "patches": (9, 0)}),
        Line("DTFD", (), {"auc": (0.933, 0.009), "accuracy": (0.899, 0.012), "patches": (99, 0)}),
        Line("AB_MIL", (), {"auc": (0.903, 0.013), "accuracy": (0.868, 0.015), "patches": (99, 0)}),
    ),
    subject="HAG-MIL",
)


def test_the_best_is_bold_the_second_italic_and_the_papers_improvement_comes_out():
    lines = markdown(TABLE).splitlines()
    assert "| HAG-MIL | **0.946 ± 0.011** | *0.887 ± 0.022* | 9 |" in lines
    assert "| DTFD | *0.933 ± 0.009* | **0.899 ± 0.012** | 99 |" in lines
    assert "| AB_MIL | 0.903 ± 0.013 | 0.868 ± 0.015 | 99 |" in lines
    assert lines[-1] == "| HAG-MIL: improvement over the best other | +0.013 | -0.012 |  |"


def test_latex_has_the_same_with_its_own_marks_and_nothing_breaks_it():
    text = latex(TABLE)
    assert r"HAG-MIL & \textbf{0.946 $\pm$ 0.011} & \textit{0.887 $\pm$ 0.022} & 9 \\" in text
    assert r"AB\_MIL" in text
    assert text.count("{") == text.count("}")


def folder(path, auc):
    path.mkdir()
    with (path / "tables.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "group", "auc", "f1", "accuracy", "auc_sd"])
        writer.writerow(["HAG-MIL", "method", auc, 0.8, 0.9, 0.01])
        writer.writerow(["AB-MIL", "method", 0.9, 0.85, 0.88, 0.02])
    return str(path)


def test_several_data_sets_stand_side_by_side(tmp_path, capsys):
    runs = [folder(tmp_path / "camelyon16", 0.946), folder(tmp_path / "tcga-rcc", 0.88)]
    assert main(["tables", "join", *runs, "--out", str(tmp_path / "joined")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("### Table 1: methods")
    assert "camelyon16 AUC | camelyon16 F1 | camelyon16 accuracy | tcga-rcc AUC" in said
    assert "| HAG-MIL | **0.946 ± 0.010** |" in said
    gains = "+0.046 | -0.050 | +0.020 | -0.020 | -0.050 | +0.020 |"
    assert f"| HAG-MIL: improvement over the best other | {gains}" in said
    assert (tmp_path / "joined" / "joined.tex").read_text().count("tabular") == 2
    rows = list(csv.DictReader((tmp_path / "joined" / "joined.csv").read_text().splitlines()))
    assert next(row for row in rows if row["figure"] == "tcga-rcc auc")["mean"] == "0.88"


@pytest.mark.parametrize("name", ["empty", "other"])
def test_a_folder_without_tables_is_named(tmp_path, capsys, name):
    (tmp_path / name).mkdir()
    if name == "other":
        (tmp_path / name / "tables.csv").write_text("a,b\n1,2\n")
    assert main(["tables", "join", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 1
    assert name in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_epoch_of_a_joint_schedule_is_counted_once_however_many_depths_it_has():
    def of(depth, number):
        return DepthEpoch(depth, Epoch(number, 1.0, 1.0, 0.5, False, 1.0))

    joint = [of(depth, number) for number in (1, 2, 3) for depth in (0, 1, 2)]
    assert n_epochs(Method("a"), joint) == 3
    assert n_epochs(Method("a", schedule="stagewise"), joint) == 9
    assert n_epochs(Method("a", schedule="guided jointly"), [of(-1, 1), of(-1, 2), *joint]) == 5

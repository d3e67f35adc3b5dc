"""The smallest of the real MIL bags, through the script that makes the table of docs/results.md."""

import json
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).resolve().parents[2] / "docs" / "scripts"


@pytest.fixture
def mil_bags(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import mil_bags

    threads = torch.get_num_threads()
    yield mil_bags
    torch.set_num_threads(threads)
    sys.modules.pop("mil_bags", None)


def test_ten_folds_of_musk1_are_learnt_and_a_second_start_only_tells_them(
    mil_bags, data_dir, tmp_path, capsys
):
    arguments = ["--data", str(data_dir), "--out", str(tmp_path), "--sets", "musk1"]
    arguments += ["--methods", "gated AB-MIL", "--repeats", "1", "--epochs", "6"]
    mil_bags.main(arguments)
    lines = [json.loads(line) for line in (tmp_path / "folds.jsonl").read_text().splitlines()]
    assert sum(line["bags"] for line in lines) == 92  # every bag is tested once
    accuracy = sum(line["correct"] for line in lines) / 92
    assert accuracy > 0.75  # 47 of the 92 are positive: always saying so gives 0.51
    assert f"| gated AB-MIL | {accuracy:.3f} (1) |" in capsys.readouterr().out
    mil_bags.main(arguments)
    assert len((tmp_path / "folds.jsonl").read_text().splitlines()) == 10

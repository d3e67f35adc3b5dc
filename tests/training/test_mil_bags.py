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


def test_records_put_together_count_a_fold_once(mil_bags, tmp_path):
    line = {"set": "fox", "method": "AB-MIL", "repeat": 0, "correct": 9, "bags": 20}
    lines = [json.dumps({**line, "fold": fold}) for fold in range(10)]
    record = tmp_path / "folds.jsonl"
    record.write_text("\n".join([*lines, *lines[:4]]) + "\n")
    found = mil_bags.read_record(record)
    assert len(found) == 10
    methods = mil_bags.load_protocol(mil_bags.PROTOCOL).methods
    assert "| AB-MIL |  |  | 0.450 (1) |  |  |  |" in mil_bags.as_markdown(found, methods)
    assert "(1)" not in mil_bags.as_markdown(found[:9], methods)  # a repeat that is not over


def test_a_sets_published_rate_is_that_of_the_published_training_alone(mil_bags):
    methods = {m.name: m for m in mil_bags.load_protocol(mil_bags.PROTOCOL).methods}
    on_fox = mil_bags.on_set(methods["AB-MIL"], "fox").training
    assert (on_fox.learning_rate, on_fox.weight_decay) == (1e-4, 0.02)
    assert mil_bags.on_set(methods["CLAM-SB"], "fox") == methods["CLAM-SB"]

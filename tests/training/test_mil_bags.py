"""The smallest of the real MIL bags, through the script that makes the table of docs/results.md."""

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
    record = tmp_path / "mil_bags.csv"
    (line,) = mil_bags.read_record(record)
    assert line["bags"] == 92  # every bag is tested once
    accuracy = line["correct"] / 92
    assert accuracy > 0.75  # 47 of the 92 are positive: always saying so gives 0.51
    assert f"| gated AB-MIL | {accuracy:.3f} (1) |" in capsys.readouterr().out
    before = record.stat().st_mtime_ns
    mil_bags.main(arguments)
    assert record.stat().st_mtime_ns == before  # nothing was left to do


def test_records_put_together_count_a_repeat_once_and_only_of_these_settings(mil_bags, tmp_path):
    methods = {m.name: m for m in mil_bags.load_protocol(mil_bags.PROTOCOL).methods}
    key = mil_bags.key_of(mil_bags.on_set(methods["AB-MIL"], "fox"))
    line = {"set": "fox", "method": "AB-MIL", "repeat": 0, "correct": 90, "bags": 200, "key": key}
    lines = [line, {**line, "repeat": 1, "correct": 110}, {**line, "key": "older", "correct": 0}]
    record = tmp_path / "mil_bags.csv"
    mil_bags.write_record(record, lines)
    record.write_text(2 * record.read_text())  # as cat puts two together
    found = mil_bags.read_record(record)
    assert len(found) == 3
    table = mil_bags.as_markdown(found, list(methods.values()))
    assert "| AB-MIL |  |  | 0.500 ± 0.071 (2) |  |  |  |" in table


def test_the_committed_record_is_of_the_committed_protocol(mil_bags):
    lines = mil_bags.read_record(mil_bags.PROTOCOL.parents[1] / "results" / "mil_bags.csv")
    methods = {m.name: m for m in mil_bags.load_protocol(mil_bags.PROTOCOL).methods}
    assert lines
    for line in lines:
        settings = mil_bags.on_set(methods[line["method"]], line["set"])
        assert line["key"] == mil_bags.key_of(settings)


def test_a_sets_published_rate_is_that_of_the_published_training_alone(mil_bags):
    methods = {m.name: m for m in mil_bags.load_protocol(mil_bags.PROTOCOL).methods}
    on_fox = mil_bags.on_set(methods["AB-MIL"], "fox").training
    assert (on_fox.learning_rate, on_fox.weight_decay) == (1e-4, 0.02)
    assert mil_bags.on_set(methods["CLAM-SB"], "fox") == methods["CLAM-SB"]

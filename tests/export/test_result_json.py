import json
from dataclasses import replace

import pytest

from napari_hagmil.export import write_report, write_result


def _document(result, tmp_path):
    write_result(result, tmp_path / "result.json")
    return json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))


def test_the_document_follows_the_schema(result, tmp_path):
    document = _document(result, tmp_path)
    assert document["schema"] == "napari-hagmil/result/1"
    assert document["state"] == "done"
    expected = {
        "slide": {"name", "fingerprint", "mpp", "mpp_source", "width", "height"},
        "model": {"name", "sha256", "encoder", "classes"},
        "settings": {"budget", "device", "seed"},
        "prediction": {"class", "probabilities"},
        "cost": {"patches_encoded", "patches_exhaustive", "bytes_read", "seconds"},
        "versions": {"napari-hagmil", "torch", "numpy", "tifffile"},
    }
    for key, fields in expected.items():
        assert fields <= document[key].keys(), key
    assert document["cost"]["seconds"].keys() == {"read", "encode", "model", "total"}
    assert document["notes"] == list(result.notes)


def test_each_stage_tells_what_it_saw(result, tmp_path):
    document = _document(result, tmp_path)
    assert [stage["depth"] for stage in document["stages"]] == [0, 1, 2]
    assert [stage["mpp"] for stage in document["stages"]] == [1.0, 0.5, 0.25]
    assert [stage["magnification"] for stage in document["stages"]] == [10.0, 20.0, 40.0]
    middle = document["stages"][1]
    assert middle["nodes"] == len(result.stages[1].nodes)
    assert middle["followed"] == result.stages[1].followed.sum()
    assert middle["unread"] == 1
    assert sum(middle["probabilities"]) == pytest.approx(1)


def test_the_deepest_stage_decides(result, tmp_path):
    document = _document(result, tmp_path)
    assert document["prediction"]["class"] == "tumor"
    assert document["prediction"]["probabilities"] == document["stages"][-1]["probabilities"]


def test_without_tissue_nothing_is_predicted(empty, tmp_path):
    document = _document(empty, tmp_path)
    assert document["state"] == "no_tissue"
    assert document["prediction"] is None
    assert document["stages"] == []


def test_a_cancelled_analysis_keeps_its_stages_but_predicts_nothing(result, tmp_path):
    document = _document(replace(result, state="cancelled"), tmp_path)
    assert document["prediction"] is None
    assert len(document["stages"]) == 3


def test_a_model_that_is_not_for_the_slide_says_so_before_its_class(result, tmp_path):
    unfit = replace(result, unfit="The model is not for <this> slide.")
    assert _document(unfit, tmp_path)["unfit"] == unfit.unfit
    assert _document(result, tmp_path)["unfit"] is None
    write_report(unfit, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    warning, called = page.index("not for &lt;this&gt; slide"), page.index("All the same it gives")
    assert warning < called
    assert "The model predicts" not in page

"""Results that a window keeps belong to the slide, whoever reads it."""

import os
from types import SimpleNamespace

from napari_hagmil.session.runs import keeping


def test_a_result_is_kept_beside_the_reviews_of_all_readers(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(keeping, "keep_result", lambda result, folder: places.append(folder))
    facts = SimpleNamespace(fingerprint="f" * 32, mpp=0.25, mpp_source="aperio")
    result = SimpleNamespace(slide=facts)
    reviews = tmp_path / "case.svs.hagmil-review"
    for journal in (reviews / "x.jsonl", reviews / "reader-Ada" / "x.jsonl"):
        sitting = SimpleNamespace(journal=SimpleNamespace(path=journal), held_by=None, lost=False)
        keeping.keep(sitting, result)
    assert places == [reviews / f"{'f' * 32}.result"] * 2


def test_the_latest_kept_result_of_a_slide_is_found_without_opening_it(tmp_path):
    slide = tmp_path / "case.svs"
    assert keeping.latest_kept(slide) is None
    for number, name in enumerate(("old", "new", "half")):
        folder = tmp_path / "case.svs.hagmil-review" / f"{name}.result"
        folder.mkdir(parents=True)
        if name != "half":
            (folder / "result.json").touch()
        os.utime(folder, (number, number))
    assert keeping.latest_kept(slide).name == "new.result"

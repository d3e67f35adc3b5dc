"""A window that prefers pseudonyms writes nothing that names the slide."""

from __future__ import annotations

import os

import pytest
from test_cascade_dock import dock, names, open_slide, run

from napari_hagmil.export.pseudonyms import Pseudonyms, is_pseudonym
from napari_hagmil.widgets.preferences import set_preference
from napari_hagmil.widgets.review.dock import ReviewDock
from planted import PLANTED, found_in

pytestmark = pytest.mark.window

__all__ = ["dock"]


@pytest.fixture
def slide(phantom, tmp_path):
    path = tmp_path / PLANTED[4] / f"{PLANTED[1]} {PLANTED[2]}.tiff"
    path.parent.mkdir()
    os.link(phantom, path)
    return path


@pytest.fixture
def prefers_pseudonyms():
    set_preference("privacy", "pseudonyms", True)
    # So that what a consenting reader leaves is looked at, too.
    set_preference("privacy", "viewing", True)
    yield
    set_preference("privacy", "pseudonyms", False)
    set_preference("privacy", "viewing", False)


@pytest.mark.usefixtures("prefers_pseudonyms")
def test_result_review_path_exports_and_report_say_the_pseudonym(
    dock, viewer, slide, wait_until, tmp_path
):
    open_slide(dock, slide, wait_until)
    name = Pseudonyms.own().slide(slide).name
    assert dock.session.slide.name == name
    assert is_pseudonym(name)
    run(dock, wait_until)
    wait_until(lambda: bool(dock.review.state.regions))
    review = ReviewDock(viewer)
    viewer.window.add_dock_widget(review, name="HAG-MIL review", area="right")
    review.review.choose(dock.review.state.regions[0].id)
    review.review.decide("accepted")
    out = tmp_path / "out"
    out.mkdir()
    for check_box in review.export.formats:
        check_box.value = True
    review.export.open_folder.value = False
    assert len(review.export.write(out / "review")) == len(review.export.formats)
    review.conclusion.sign_off.write(out / "finished")
    wait_until(lambda: (out / "finished.pdf").is_file())
    viewing = dock.desk.follower.viewing
    wait_until(lambda: bool(viewing.views()))
    assert all(one.name.startswith(name) for one in viewing.save(out))
    viewing.close()
    dock.review.sitting.journal.flush()
    assert found_in(out) == {}
    assert name in (out / "review.csv").read_text()
    # The review lies beside the slide, under its name, and says the pseudonym; so do the result
    # that is kept there and the path of the viewport.
    (folder,) = slide.parent.glob("*.hagmil-review")
    assert name in next(folder.glob("*.result/result.json")).read_text()
    assert list(folder.rglob("*.viewing.csv"))
    inside = {one: what for one, what in found_in(folder).items() if one != folder.name}
    assert inside == {}
    assert any(one.suffix == ".jsonl" and name in one.read_text() for one in folder.rglob("*.*"))
    assert not any(word in text for word in PLANTED for text in (viewer.title, *names(viewer)))
    # Opened from the list of recent slides, it is the same slide.
    assert dock.slide._recent.paths()[0] == slide
    review.close()

"""The user's preferences: kept by napari, and effective."""

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.settings import get_plugin_settings

from napari_hagmil.plugin.layers import KEY
from napari_hagmil.review import QUPATH_CLASSES, PathClass
from napari_hagmil.review.classes import class_list, classes_in
from napari_hagmil.session import Session
from napari_hagmil.widgets.cascade.run.stage_layers import StageLayers
from napari_hagmil.widgets.preferences import (
    keep_class,
    on_change,
    open_review,
    preference,
    preferred_budget,
    set_preference,
)
from napari_hagmil.widgets.reading.looks import Looks


@pytest.fixture(autouse=True)
def own_preferences(tmp_path, monkeypatch):
    """The preferences as declared, and as they were when the test ends."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    settings = get_plugin_settings("napari-hagmil")
    groups = [getattr(settings, name) for name in ("display", "cascade", "privacy", "review")]
    before = [group.model_dump() for group in groups]
    for group in groups:
        for name, field in type(group).model_fields.items():
            setattr(group, name, field.default)
    yield
    for group, values in zip(groups, before, strict=True):
        for name, value in values.items():
            setattr(group, name, value)


@pytest.fixture
def slide(tmp_path) -> Path:
    path = tmp_path / "slides" / "case.svs"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    return path


def test_the_manifest_declares_what_the_code_asks_for():
    settings = get_plugin_settings("napari-hagmil")
    declared = {
        (group, name)
        for group in ("display", "cascade", "privacy", "review")
        for name in type(getattr(settings, group)).model_fields
    }
    source = Path(__file__).parents[2] / "src" / "napari_hagmil" / "widgets"
    text = "".join(path.read_text() for path in source.rglob("*.py"))
    for group, name in declared:
        assert f'preference("{group}", "{name}"' in text


def test_the_journal_goes_where_the_user_wants_it_and_is_found_in_either_place(slide, tmp_path):
    set_preference("review", "beside_slide", False)
    sitting = open_review(slide, "a" * 32)
    sitting.change("follow a branch", pins=((1.0, 2.0),))
    sitting.close()
    assert [one.name for one in slide.parent.iterdir()] == ["case.svs"]
    assert len(list((tmp_path / "data").rglob("*.jsonl"))) == 1
    set_preference("review", "beside_slide", True)
    again = open_review(slide, "a" * 32)
    assert again.state.pins == ((1.0, 2.0),)
    again.close()


def test_own_classes_are_on_offer_on_the_next_slide_and_undo_does_not_take_them(slide):
    keep_class(PathClass("Mitosis", (9, 8, 7)))
    keep_class(PathClass("Gland; ductal", (1, 2, 3)))
    keep_class(PathClass("Mitosis", (9, 9, 9)))
    sitting = open_review(slide, "a" * 32)
    assert sitting.state.classes[: len(QUPATH_CLASSES)] == QUPATH_CLASSES
    assert sitting.state.classes[-1] == PathClass("Gland, ductal", (1, 2, 3))
    assert PathClass("Mitosis", (9, 9, 9)) in sitting.state.classes
    assert (sitting.undo(), sitting.state.classes[-1].color) == ("", (1, 2, 3))
    sitting.close()
    assert list(slide.parent.iterdir()) == [slide]


def test_a_list_of_classes_is_read_as_it_is_written_and_rubbish_is_passed_by():
    classes = (PathClass("Mitosis", (9, 8, 7)), PathClass("a b", (255, 0, 128)))
    assert classes_in(class_list(classes)) == classes
    assert classes_in("Mitosis #12; #ffffff; ;; Gland #00ff00") == (
        PathClass("Gland", (0, 255, 0)),
    )
    assert classes_in("") == ()


@pytest.mark.parametrize(
    ("text", "budget"),
    [("", None), ("12, 24", (12, 24)), ("12", None), ("1,2,3", None), ("0,4", None), ("x", None)],
)
def test_a_budget_counts_when_it_fits_the_model(text, budget):
    set_preference("cascade", "budget", text)
    assert preferred_budget(2) == budget


def test_colours_and_opacity_change_at_once_but_not_what_was_set_by_hand():
    viewer = ViewerModel()
    stages = StageLayers(viewer, Session(), Looks(viewer))
    layers = [
        viewer.add_image(np.zeros((4, 4)), opacity=0.4, metadata={KEY: {"depth": depth}})
        for depth in range(2)
    ]
    stages._attention = dict(enumerate(layers))
    stages.set_opacity(1, 0.7)
    set_preference("display", "colormap", "magma")
    set_preference("display", "opacity", 55)
    assert [layer.colormap.name for layer in layers] == ["magma", "magma"]
    assert [layer.opacity for layer in layers] == [0.55, 0.7]
    stages.close()
    set_preference("display", "colormap", "viridis")
    assert layers[0].colormap.name == "magma"


def test_branches_are_hidden_from_the_start_where_that_is_preferred():
    set_preference("display", "branches", False)
    viewer = ViewerModel()
    stages = StageLayers(viewer, Session(), Looks(viewer))
    assert not stages.shown["branches"]
    stages.close()


def test_a_value_outside_of_what_is_declared_is_refused():
    for group, name, value in (("display", "colormap", "jet"), ("display", "opacity", 400)):
        with pytest.raises(ValueError, match=name):
            set_preference(group, name, value)
    assert preference("display", "colormap", "") == "cividis"


def test_whoever_listens_is_told_until_it_ends():
    told = []
    end = on_change("cascade", lambda: told.append(preference("cascade", "device", "")))
    set_preference("cascade", "device", "cpu")
    end()
    set_preference("cascade", "device", "cuda")
    assert told == ["cpu"]

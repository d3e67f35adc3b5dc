"""The tables of keys, and the keys in a viewer without a window."""

from collections import Counter

import pytest
from napari.components import ViewerModel
from napari.utils.shortcuts import default_shortcuts

from napari_hagmil.widgets.cohort.keys import COHORT_KEYS
from napari_hagmil.widgets.keys import HAGMIL_KEYS, KeyAction, bind
from napari_hagmil.widgets.review.keys import REVIEW_KEYS

TABLES = {"HAGMIL_KEYS": HAGMIL_KEYS, "REVIEW_KEYS": REVIEW_KEYS, "COHORT_KEYS": COHORT_KEYS}
OWN = KeyAction("H", "Do it", "Test")


def test_no_two_actions_share_a_key():
    used = Counter(action.key for table in TABLES.values() for action in table.values())
    assert [key for key, n in used.items() if n > 1] == []


def test_no_key_is_one_of_naparis():
    taken = {str(key).replace("+", "-") for keys in default_shortcuts.values() for key in keys}
    assert taken & {action.key for table in TABLES.values() for action in table.values()} == set()


@pytest.mark.parametrize("action", [*HAGMIL_KEYS.values(), *COHORT_KEYS.values()])
def test_napari_knows_every_key(action):
    viewer = ViewerModel()
    unbind = bind(viewer, {action: lambda: None})
    assert len(viewer.keymap) == 1
    unbind()
    assert not viewer.keymap


def test_a_key_does_its_action_until_it_is_unbound():
    viewer, done = ViewerModel(), []
    unbind = bind(viewer, {OWN: lambda: done.append(1)})
    (press,) = viewer.keymap.values()
    press(viewer)
    assert done == [1]
    unbind()
    unbind()
    assert not viewer.keymap


def test_a_key_of_somebody_else_stays_theirs():
    viewer, done = ViewerModel(), []
    viewer.bind_key("H", lambda viewer: done.append("theirs"))
    bind(viewer, {OWN: lambda: done.append("ours")})()
    (press,) = viewer.keymap.values()
    press(viewer)
    assert done == ["theirs"]

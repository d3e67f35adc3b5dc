"""The price of a run, and changing the budget after one, through the real dock."""

import pytest
from test_cascade_dock import click, dock, names, open_slide, run

from napari_hagmil.quadtree import children, is_among

pytestmark = pytest.mark.window
__all__ = ["dock"]


@pytest.fixture
def ready(dock, phantom, wait_until):
    open_slide(dock, phantom, wait_until)
    return dock


def settled(dock):
    return not dock._work.busy and not dock.cascade._follow_soon._hasPendingEmission


def test_before_the_first_run_slider_and_number_agree_and_the_run_keeps_to_the_price_told(
    ready, wait_until
):
    row = ready.run_panel.rows[0]
    chosen = row.spin.value()
    row.spin.setValue(1)
    assert row.slider.value() == 0
    row.slider.setValue(row.slider.maximum())
    assert row.spin.value() == len(ready.session.prepared.quadtree.nodes[0])
    row.spin.setValue(chosen)
    cost = ready.session.cost()
    assert cost.depths[0].exact
    assert not cost.exact
    assert f"up to {cost.new:,} new patches" in ready.run_panel.cost.text()
    assert cost.seconds > 0
    before = ready.session.prepared.features.patches_encoded
    run(ready, wait_until)
    spent = ready.session.prepared.features.patches_encoded - before
    assert 0 < spent <= cost.new
    assert ready.run_panel.cost.text() == "The next run encodes no new patches."
    _the_encoder_that_does_not_fit_is_greyed_out_with_the_reason(ready, wait_until)


def _the_encoder_that_does_not_fit_is_greyed_out_with_the_reason(ready, wait_until):
    wait_until(lambda: not ready.cascade._choices.busy)
    box = ready.run_panel.encoder
    item = box.model().item(box.findText("resnet50-layer3"))
    assert not item.isEnabled()
    assert item.toolTip()
    assert box.currentText() == "efficientnet-lite0"


def opened(dock, depth):
    """How many children with tissue the followed nodes of a depth have."""
    stage, tissue = dock.session.stages[depth], dock.session.prepared.quadtree.nodes[depth + 1]
    return is_among(children(stage.nodes[stage.followed]), tissue).sum()


def test_known_patches_follow_the_slider_and_the_others_wait_for_the_button(
    ready, viewer, wait_until
):
    run(ready, wait_until)
    layer, encoded = viewer.layers["Attention 20×"], ready.session.prepared.features.patches_encoded
    budget, button = ready.run_panel.budgets[0], ready.run_panel.run_button
    assert button.text() == "Run again"
    budget.setValue(6)
    wait_until(lambda: settled(ready))
    assert ready.session.prepared.features.patches_encoded == encoded
    assert ready.session.stages[0].followed.sum() == 4
    assert button.text().startswith("Run (")
    assert button.text().endswith(" s)")
    click(button)
    wait_until(lambda: settled(ready))
    assert ready.session.stages[0].followed.sum() == 6
    encoded = ready.session.prepared.features.patches_encoded
    begun = []
    ready.session.started.connect(lambda: begun.append(1))
    budget.setValue(4)
    wait_until(lambda: bool(begun) and settled(ready))
    first, second = ready.session.stages[:2]
    assert len(first.nodes) == len(ready.session.prepared.quadtree.nodes[0])
    assert first.followed.sum() == 4
    assert len(second.nodes) == opened(ready, 0)
    assert viewer.layers["Attention 20×"] is layer
    assert ready.session.prepared.features.patches_encoded == encoded
    assert ready.session.before


def test_the_tab_is_repainted_after_a_known_run_even_if_a_listener_fails(ready, wait_until):
    run(ready, wait_until)
    painted = []
    ready.session.started.connect(lambda: painted.append(ready.cascade.updatesEnabled()))
    run(ready, wait_until)
    assert painted == [False]
    assert ready.cascade.updatesEnabled()

    def fail(result):
        raise ValueError("a listener")

    ready.session.finished.connect(fail)
    ready.cascade.setUpdatesEnabled(False)
    ready.session.begin()
    with pytest.raises(Exception, match="a listener"):
        ready.cascade._end_run(complete=True)
    assert ready.cascade.updatesEnabled()
    ready.session.finished.disconnect(fail)


def test_a_run_can_end_at_a_coarser_depth_and_go_on_later(ready, viewer, wait_until):
    ready.run_panel.live.setChecked(False)
    ready.run_panel.down_to.setCurrentIndex(1)
    ready.run_panel.down_to.activated.emit(1)
    run(ready, wait_until)
    assert [stage.depth for stage in ready.session.stages] == [0, 1]
    assert not ready.session.stages[1].followed.any()
    assert "at 20×" in ready.findings.prediction.text()
    encoded = ready.session.prepared.features.patches_encoded
    ready.run_panel.down_to.setCurrentIndex(2)
    ready.run_panel.down_to.activated.emit(2)
    new = ready.session.cost().new
    assert new > 0
    run(ready, wait_until)
    spent = ready.session.prepared.features.patches_encoded - encoded
    assert spent == opened(ready, 1) == new
    assert "Attention 40×" in names(viewer)


def test_each_depth_has_a_look_of_its_own_and_without_live_update_findings_wait_for_the_button(
    ready, viewer, wait_until
):
    run(ready, wait_until)
    row, layer = ready.findings.rows[0], viewer.layers["Attention 10×"]
    assert not layer.visible
    row.box.setChecked(True)
    assert layer.visible
    row.opacity.setValue(80)
    assert layer.opacity == pytest.approx(0.8)
    shown = (layer.data == layer.data).sum()
    row.threshold.setValue(90)
    assert 0 < (layer.data == layer.data).sum() < shown
    assert viewer.layers["Attention 40×"].opacity != pytest.approx(0.8)
    ready.run_panel.live.setChecked(False)
    ready.run_panel.budgets[0].setValue(2)
    wait_until(lambda: settled(ready))
    assert ready.session.stages[0].followed.sum() == 4
    assert len(ready.session.stages[1].nodes) == opened(ready, 0)


def test_keys_run_and_show_what_was_not_seen_and_go_with_the_dock(ready, viewer, wait_until):
    press = {str(key): function for key, function in viewer.keymap.items()}
    press["Q"](viewer)
    assert ready.session.state == "running"
    wait_until(lambda: settled(ready))
    press["Shift+U"](viewer)
    assert viewer.layers["Never seen at high power"].visible
    ready.close()
    assert not viewer.keymap

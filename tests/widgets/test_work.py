"""Long work off the GUI thread."""

import pytest

from napari_hagmil.widgets.work import Background


@pytest.mark.parametrize("closed", [False, True])
def test_after_closing_nothing_is_told_any_more(qapp, closed, wait_until):
    told, work = [], Background()
    work.start(
        lambda: iter([1, 2]),
        on_item=told.append,
        on_done=lambda: told.append("done"),
        on_cancelled=lambda: told.append("cancelled"),
        on_error=told.append,
    )
    if closed:
        work.wait()
    wait_until(lambda: not work.busy)
    assert told == ([] if closed else [1, 2, "done"])

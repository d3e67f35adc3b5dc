"""Where a reader looked: kept, sealed, and compared with the cascade; no window."""

import numpy as np
import pytest

from napari_hagmil.errors import ReviewHeldError
from napari_hagmil.quadtree import PatchGrid
from napari_hagmil.verify import verify_folder
from napari_hagmil.viewing import View, ViewRecorder, compare_seen, find_fixations, unseen_places
from napari_hagmil.viewing.fixations import write_fixations
from napari_hagmil.viewing.replay import PAUSE, replayed
from napari_hagmil.viewing.table import HEADER, check_table, decode_views, encode_views
from napari_hagmil.viewing.view import LONGEST, seconds_in_view

#: A grid of 8 × 8 patches of 100 px at 0.5 µm per pixel: 20×.
GRID, MPP, POWER = PatchGrid(100, 1.0, (8, 8)), 0.5, 20.0
ALL = np.argwhere(np.ones((8, 8), bool))


def view(at, y=400.0, x=400.0, side=200.0, power=POWER, event="move"):
    return View(at, y, x, side, side, power, event)


def recorder(folder, **options):
    made = ViewRecorder(folder / ("f" * 32 + ".viewing.csv"), **options)
    made.start()
    return made


def path_of(times, **changed):
    return [view(at, **changed) for at in times]


def test_a_path_is_read_back_as_it_was_and_goes_on_the_next_day(tmp_path):
    first = recorder(tmp_path)
    for one in (view(100.0, event="open"), view(101.0, y=450.04), view(102.0, event="close")):
        first.take(one)
    first.close()
    second = recorder(tmp_path)
    second.take(view(200.0, power=float("nan"), event="open"))
    assert [one.event for one in second.views()] == ["open", "move", "close", "open", "rest"]
    second.close()
    data = second.path.read_bytes()
    assert data.startswith(HEADER)
    views, rest = decode_views(data)
    assert not rest
    assert [round(one.time) for one in views[:4]] == [100, 101, 102, 200]
    assert views[4].event == "close"
    assert views[4].time > 200
    assert views[1].y == pytest.approx(450.0, abs=0.06)
    assert np.isnan(views[3].magnification)
    assert b"401.0" not in data
    assert b",400.5,400.5,200.0,200.0,20.000,open\n" in data  # corners of pixels, in a file
    assert not check_table(second.path)
    assert not second.path.with_suffix(".lock").exists()


def test_a_fast_movement_is_kept_twenty_times_a_second_and_a_stop_always(tmp_path):
    made = recorder(tmp_path)
    made.take(view(100.0, event="open"))
    for step in range(100):  # one second, a hundred events
        made.take(view(101 + step / 100, x=400.0 + step))
    made.take(view(110.0, x=0.0))
    made.close()
    kept, _ = decode_views(made.path.read_bytes())
    assert 15 <= sum(101 <= one.time < 102 for one in kept) <= 22
    assert any(one.x == 499.0 for one in kept)  # where it came to rest


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda data: data.replace(b"open", b"move"), "was changed"),
        (lambda data: data[:-30], "lacks rows"),
        (lambda data: data + b"half a row", ""),
        (lambda data: HEADER + b"no,row\n", "lacks rows"),
    ],
)
def test_what_was_changed_is_found_and_kept_aside_and_a_torn_end_is_cut(tmp_path, harm, said):
    made = recorder(tmp_path)
    made.take(view(100.0, event="open"))
    made.take(view(101.0, event="close"))
    made.close()
    made.path.write_bytes(harm(made.path.read_bytes()))
    (finding,) = verify_folder(tmp_path).findings
    assert (said or "say nothing") in finding.what
    again = recorder(tmp_path)
    again.take(view(200.0, event="open"))
    again.close()
    assert again.note
    assert list(tmp_path.glob("*.damaged-*"))
    assert not check_table(again.path)
    assert not verify_folder(tmp_path).findings


def test_two_windows_do_not_keep_one_path(tmp_path):
    made = recorder(tmp_path)
    with pytest.raises(ReviewHeldError):
        recorder(tmp_path)
    made.close()
    recorder(tmp_path).close()


def test_a_view_lasts_until_the_next_and_not_while_nobody_looks():
    views = [
        view(0.0, event="open"), view(2.0), view(3.0, event="away"), view(50.0, event="back"),
        view(51.0), view(500.0, event="open"), view(501.0, event="close"), view(400.0),
    ]  # fmt: skip
    lasted = seconds_in_view(views)
    assert lasted.tolist() == [2.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]
    assert seconds_in_view([view(0.0), view(900.0)])[0] == LONGEST


def test_fixations_are_where_the_view_stayed_and_no_pan_is_one():
    pan = [view(10 + step / 10, x=400.0 + 60 * step) for step in range(20)]
    stay = [view(12 + step / 10, x=1600.0 + step) for step in range(10)]
    closer = [view(13.0, x=1609.0, power=40.0), view(15.0, event="close")]
    found = find_fixations([view(0.0, event="open"), view(2.0, x=100.0), *pan, *stay, *closer])
    assert [round(one.start) for one in found if one.seconds > 0.9] == [0, 2, 12, 13]
    third = next(one for one in found if one.start == 12.0)
    assert third.seconds == pytest.approx(1.0)
    assert third.x == pytest.approx(1604.5, abs=1)
    assert third.views == 10
    assert not any(10.1 < one.start < 11.9 for one in found)
    assert find_fixations([]) == []


def test_fixations_are_a_table(tmp_path):
    write_fixations(tmp_path / "a.csv", find_fixations([view(0.0), view(2.0, event="close")]))
    head, row = (tmp_path / "a.csv").read_text().splitlines()
    assert head == "time,seconds,x,y,width,height,magnification,views"
    assert row == "1970-01-01T00:00:00.000+00:00,2.0,400.5,400.5,200.0,200.0,20.0,1"


def seen(views, looked_at):
    return compare_seen(views, GRID, MPP, ALL, np.array(looked_at, np.int64).reshape(-1, 2))


def test_a_patch_is_seen_when_its_centre_was_in_view_long_enough_at_its_magnification():
    # The view holds the centres of rows and columns 3 and 4.
    two_seconds = [view(0.0), view(2.0, event="close")]
    found = seen(two_seconds, [(3, 3), (0, 0)])
    assert {tuple(node) for node in ALL[found.by_reader]} == {(3, 3), (3, 4), (4, 3), (4, 4)}
    assert found.shares == (1 / 64, 3 / 64, 1 / 64, 59 / 64)
    assert found.agreement == 60 / 64
    # By hand: expected = (4·2 + 60·62) / 64².
    expected = (4 * 2 + 60 * 62) / 64**2
    assert found.kappa == pytest.approx((60 / 64 - expected) / (1 - expected))
    assert found.kinds.reshape(8, 8)[3, 3] == 3
    assert seen([view(0.0), view(0.4, event="close")], []).by_reader.sum() == 0
    assert seen([view(0.0, power=10.0), view(2.0, event="close")], []).by_reader.sum() == 0
    assert seen([view(0.0, power=19.0), view(2.0, event="close")], []).by_reader.sum() == 4
    unknown = [view(0.0, power=float("nan")), view(2.0, event="close")]
    assert seen(unknown, []).by_reader.sum() == 0
    # Off the slide there is nothing to see.
    assert seen([view(0.0, y=-5000.0), view(2.0, event="close")], []).by_reader.sum() == 0
    assert np.isnan(seen([], []).kappa)
    assert np.isnan(seen([view(0.0, side=2000.0), view(2.0, event="close")], ALL).kappa)


def test_glances_at_one_place_add_up():
    views = [view(0.0), view(0.3, x=9000.0), view(1.0), view(1.3, event="close")]
    assert seen(views, []).by_reader.sum() == 4


def test_what_neither_has_seen_comes_a_view_at_a_time_and_all_of_it():
    found = seen([view(0.0), view(2.0, event="close")], [(0, 0), (0, 1), (1, 0), (1, 1)])
    places = unseen_places(found, side=250.0)
    assert sum(one.patches for one in places) == 64 - 4 - 4
    assert len({one.code for one in places}) == len(places) == 15
    assert (places[0].y, places[0].x) != (49.5, 49.5)
    assert all(0 <= one.y <= 800 and 0 <= one.x <= 800 for one in places)
    assert [one.code for one in places] == sorted(one.code for one in places)
    assert len(unseen_places(found, side=10.0)) == 56  # never less than a patch


def test_a_replay_shows_each_view_once_and_no_pause_in_full():
    views = [view(0.0), view(1.0, event="rest"), view(2.0, x=0.0), view(60.0, event="away")]
    shown = list(replayed(views, speed=4.0))
    assert [(one.x, wait) for one, wait in shown] == [(400.0, 0.5), (0.0, PAUSE)]


def test_rows_that_were_written_by_hand_are_no_views():
    good = encode_views([view(100.0)])
    for bad in (b"x\n", b"nan,1,1,1,1,1,move\n", good.replace(b"move", b"blink"), good[:-1]):
        assert decode_views(HEADER + good + bad)[1] == bad
    inf = good.replace(b"400.5", b"inf")
    assert decode_views(HEADER + inf)[0] == []

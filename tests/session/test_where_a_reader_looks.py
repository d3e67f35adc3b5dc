"""Where a reader looks, by session: kept with consent, beside whose review, compared; no window."""

from types import SimpleNamespace

import numpy as np
import pytest
from psygnal import Signal

from napari_hagmil.quadtree import PatchGrid, Quadtree
from napari_hagmil.review import open_sitting
from napari_hagmil.session.background.viewing import Viewing
from napari_hagmil.verify import verify_folder
from napari_hagmil.viewing import View, unseen_places
from napari_hagmil.viewing.recorder import tables_of
from napari_hagmil.viewing.view import seconds_in_view

GRIDS = (PatchGrid(100, 2.0, (4, 4)), PatchGrid(100, 1.0, (8, 8)))
NODES = tuple(np.argwhere(np.ones(grid.shape, bool)).astype(np.int64) for grid in GRIDS)


class Opened:
    """A session with a slide of 800 × 800 px at 20×, of which the cascade saw one corner."""

    slide_changed = Signal(object)
    mpp, grids = 0.5, GRIDS

    def __init__(self, folder, reader=""):
        path = folder / "slides" / "a.tiff"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"pixels")
        self.slide = SimpleNamespace(name=path.name)
        self.sitting = open_sitting(path, "f" * 32, user_folder=folder / "user", reader=reader)
        self.shown = SimpleNamespace(tissue=NODES)
        self.prepared = None
        self.stages = [
            SimpleNamespace(depth=0, nodes=NODES[0]),
            SimpleNamespace(depth=1, nodes=NODES[1][:8]),
        ]

    @property
    def tables(self):
        return tables_of(self.sitting.shelf)


def look(viewing, at=100.0):
    for time, event in ((at, "open"), (at + 2, "close")):
        viewing.take(View(time, 400.0, 400.0, 200.0, 200.0, 20.0, event))


@pytest.fixture
def session(tmp_path):
    return Opened(tmp_path)


def test_nothing_is_kept_without_consent_and_all_of_it_goes_when_asked(session):
    consent = []
    viewing = Viewing(session, lambda: bool(consent))
    look(viewing)
    assert not viewing.views()
    assert not session.tables
    consent.append(True)
    viewing.refresh()
    look(viewing)
    assert seconds_in_view(viewing.views()).sum() == 2
    consent.clear()
    viewing.refresh()
    look(viewing, at=200.0)
    assert seconds_in_view(viewing.views()).sum() == 2  # what was kept is there, and no more comes
    viewing.forget()
    assert not viewing.views()
    assert not list(session.tables[:1])


def test_each_reader_has_a_path_of_their_own_and_one_window_writes_it(session, tmp_path):
    viewing = Viewing(session, lambda: True)
    again = Viewing(session, lambda: True)
    assert not again.recording
    assert "another window" in again.trouble.sentence()
    ada = Opened(tmp_path, "Ada")
    hers = Viewing(ada, lambda: True)
    look(hers)
    assert not viewing.views()
    assert hers.views()
    for one in (viewing, hers):
        one.close()
    assert not verify_folder(tmp_path).findings
    assert "a.tiff" not in ada.tables[0].read_text()


def test_where_the_folder_cannot_be_written_it_is_kept_with_the_user(session, tmp_path):
    beside = session.sitting.shelf.journal.parent
    beside.parent.mkdir(exist_ok=True)
    beside.write_bytes(b"a file where the folder should be")
    viewing = Viewing(session, lambda: True)
    look(viewing)
    viewing.close()
    assert list((tmp_path / "user").rglob("*.viewing.csv"))


def test_reader_and_cascade_are_compared_depth_by_depth(session, tmp_path):
    viewing = Viewing(session, lambda: True)
    look(viewing)
    coarse, fine = viewing.compare(viewing.views())
    assert (coarse.magnification, fine.magnification) == (10.0, 20.0)
    assert fine.shares == (0, 4 / 64, 8 / 64, 52 / 64)
    assert coarse.by_cascade.all()
    places = unseen_places(fine, side=250.0)
    assert sum(one.patches for one in places) == 52
    walk = [viewing.step(1, places) for _ in range(len(places) + 1)]
    assert walk == [*places, places[0]]
    assert viewing.step(-1, places) == places[-1]
    assert viewing.step(1, ()) is None
    table, fixations = viewing.save(tmp_path)
    assert len(table.read_text().splitlines()) == 3
    assert len(fixations.read_text().splitlines()) == 2
    # The tissue of a run that was read back is known once the same grids are prepared.
    session.shown = SimpleNamespace(tissue=())
    assert viewing.compare(viewing.views()) == ()
    session.prepared = SimpleNamespace(quadtree=Quadtree(GRIDS, NODES))
    assert viewing.compare(viewing.views())[1].shares == fine.shares
    viewing.close()

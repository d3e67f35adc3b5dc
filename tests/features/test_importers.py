"""Features of CLAM, TRIDENT and the official code."""

import pickle

import numpy as np
import pytest
import torch

from napari_hagmil.cohort import SlideRecord
from napari_hagmil.errors import FeatureStoreError
from napari_hagmil.features import ImportConfig, import_cohort, open_store
from napari_hagmil.features.feature_files import read_h5, read_pt
from napari_hagmil.quadtree import children, z_order

h5py = pytest.importorskip("h5py", reason="the extra h5 is not installed")


def write_h5(path, coords, features, **facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["coords"] = np.asarray(coords)
        file["coords"].attrs.update(facts)
    return path


def bring(tmp_path, config, names=("s",)):
    records = [SlideRecord(tmp_path / f"{name}.svs", "x", name) for name in names]
    return list(import_cohort(records, tmp_path / "store", config))


def said(places, depth=0):
    """Features that say where they belong: depth, row, column."""
    return np.array([(depth, row, column) for row, column in places], dtype=np.float32)


def config(kind, *folders, **more):
    return ImportConfig(kind, tuple(folders), more.pop("encoder", "uni"), **more)


def test_clam_features_find_their_places_by_their_coordinates(tmp_path):
    nodes = [(0, 0), (5, 3), (2, 7), (2, 2)]
    coords = [(column * 512, row * 512) for row, column in nodes]  # x, y
    coords.append((3 * 512, 2 * 512))
    write_h5(tmp_path / "h5" / "s.h5", coords, said([*nodes, (2, 3)]))
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
    assert (event.kind, event.total, event.message) == ("done", 5, "")
    store = open_store(tmp_path / "store", "s")
    assert store.is_placed
    assert (z_order(store.nodes[0]) == np.arange(5)).all()
    assert store(0, store.nodes[0])[:, 1:].numpy().astype(int).tolist() == store.nodes[0].tolist()
    assert store.grids[0].stride == 512
    assert (store.patch_size, store.mpp) == (256, (0.5,))
    assert (store.encoder.name, store.encoder.weights_sha256) == ("uni", None)


def test_contours_with_grids_of_their_own_keep_every_patch_near_its_place(tmp_path):
    """CLAM lays a grid from each contour's corner: two may claim the same place."""
    first = [(100 + 256 * i, 50 + 256 * j) for i in range(4) for j in range(4)]
    second = [(100 + 256 * 3 + 40, 50 + 256 * j + 30) for j in range(5)]
    coords = [*first, *second]
    features = np.arange(len(coords), dtype=np.float32)[:, None].repeat(4, 1)
    write_h5(tmp_path / "h5" / "s.h5", coords, features)
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
    store = open_store(tmp_path / "store", "s")
    assert (event.message, store.is_placed) == ("", True)
    found = store.grids[0].edges(store.nodes[0])[:, :2]
    rows = store(0, store.nodes[0])[:, 0].numpy().astype(int)
    assert (np.abs(found - np.array(coords)[rows, ::-1]) <= 256 / 16).all()


def trident(tmp_path, missing=()):
    """Two magnifications of one slide, (1, n, d) as TRIDENT writes at times."""
    coarse = np.array([(0, 0), (1, 2), (4, 4)])
    fine = np.array([n for n in children(coarse).tolist() if tuple(n) not in missing])
    for name, nodes, depth in (("10x", coarse, 0), ("20x", fine, 1)):
        stride = 1024 >> depth
        write_h5(
            tmp_path / name / "s.h5",
            nodes[::-1, ::-1] * stride,
            said(nodes[::-1], depth)[None],
            patch_size=256,
            patch_size_level0=stride,
            level0_magnification=40,
            target_magnification=10 << depth,
            overlap=0,
        )
    return tmp_path / "10x", tmp_path / "20x"


def test_two_magnifications_of_trident_become_two_depths(tmp_path):
    (event,) = bring(tmp_path, config("trident", *trident(tmp_path)))
    store = open_store(tmp_path / "store", "s")
    assert store.mpp == (1.0, 0.5)
    assert (event.unread, store.n_unread) == (0, 0)
    for depth in (0, 1):
        found = store(depth, store.nodes[depth])
        assert found[:, 1:].numpy().astype(int).tolist() == store.nodes[depth].tolist()
        assert (found[:, 0] == depth).all()


def test_children_without_features_are_unread(tmp_path):
    (event,) = bring(tmp_path, config("trident", *trident(tmp_path, missing={(2, 4), (9, 9)})))
    store = open_store(tmp_path / "store", "s")
    assert event.unread == store.n_unread == 2
    rows = torch.isnan(store(1, store.nodes[1])).any(1).numpy()
    assert {tuple(n) for n in store.nodes[1][rows]} == {(2, 4), (9, 9)}
    assert (store.tissue[1] == ~rows).all()


def official(tmp_path, n=5):
    """Three folders; every child says which it is: its row in the parent, its column there."""
    root = tmp_path / "camelyon"
    bags = [torch.arange(n, dtype=torch.float32)[:, None].repeat(1, 6)]
    for depth in (1, 2):
        rows = []
        for parent in bags[-1]:
            for right, down in ((0, 0), (0, 1), (1, 0), (1, 1)):  # (x,y), (x,y+s), (x+s,y) …
                child = parent.clone()
                child[2 * depth - 1 : 2 * depth + 1] = torch.tensor([down, right])
                rows.append(child)
        bags.append(torch.stack(rows))
    for name, bag in zip(
        ("_level_2", "_level_1_corresponding", "_level_0_corresponding"), bags, strict=True
    ):
        folder = root / f"features_256{name}" / "pt_files"
        folder.mkdir(parents=True)
        torch.save(bag, folder / "s.pt")
    return root


@pytest.mark.parametrize("inside", ["", "features_256_level_2"])
def test_the_official_columns_become_our_rows(tmp_path, inside):
    """A child's features say (down, right); its address must say the same."""
    (event,) = bring(tmp_path, config("official", official(tmp_path) / inside))
    assert (event.kind, event.total) == ("done", 5 + 20 + 80)
    store = open_store(tmp_path / "store", "s")
    assert not store.is_placed
    assert store.mpp == (1.0, 0.5, 0.25)
    assert store(0, store.nodes[0])[:, 0].tolist() == [0, 1, 2, 3, 4]
    middle, fine = (store(d, store.nodes[d]).numpy().astype(int) for d in (1, 2))
    assert (middle[:, 1:3] == store.nodes[1] % 2).all()
    assert (fine[:, 1:3] == store.nodes[2] // 2 % 2).all()
    assert (fine[:, 3:5] == store.nodes[2] % 2).all()
    assert (fine[:, 0] == np.repeat(np.arange(5), 16)).all()


def test_importing_again_changes_nothing_and_other_files_are_refused(tmp_path):
    root = official(tmp_path)
    bring(tmp_path, config("official", root))
    (event,) = bring(tmp_path, config("official", root))
    assert event.kind == "done"
    torch.save(torch.zeros(5, 6), root / "features_256_level_2" / "pt_files" / "s.pt")
    (event,) = bring(tmp_path, config("official", root))
    assert event.kind == "failed"
    assert "--overwrite" in event.message
    (event,) = bring(tmp_path, config("official", root, overwrite=True))
    assert open_store(tmp_path / "store", "s")(0, np.array([[0, 1]])).sum() == 0


class Harm:
    def __reduce__(self):
        return print, ("this ran",)


def test_a_pt_file_that_would_run_code_is_refused(tmp_path, capsys):
    root = official(tmp_path)
    file = root / "features_256_level_2" / "pt_files" / "s.pt"
    torch.save(Harm(), file)
    (event,) = bring(tmp_path, config("official", root))
    assert "without running code" in event.message
    file.write_bytes(pickle.dumps(Harm()))
    (event,) = bring(tmp_path, config("official", root))
    assert event.kind == "failed"
    assert "this ran" not in capsys.readouterr().out


def test_faults_are_told_per_slide_and_the_rest_goes_on(tmp_path):
    folder = tmp_path / "h5"
    grid = [(256 * i, 256 * j) for i in range(3) for j in range(3)]
    write_h5(folder / "good.h5", grid, np.zeros((9, 4)))
    write_h5(folder / "short.h5", grid, np.zeros((8, 4)))
    write_h5(folder / "over.h5", grid, np.zeros((9, 4)), overlap=256)
    (folder / "text.h5").write_text("no h5")
    names = ("gone", "short", "over", "text", "good")
    events = bring(tmp_path, config("clam", folder, mpp=(0.5,)), names)
    assert [e.kind for e in events] == ["failed"] * 4 + ["done"]
    for event, says in zip(
        events,
        ("does not exist", "features (8, 4)", "an overlap below", "no h5 file"),
        strict=False,
    ):
        assert says in event.message


def test_a_magnification_that_no_file_says_is_asked_for(tmp_path):
    write_h5(tmp_path / "h5" / "s.h5", [(0, 0), (256, 0)], np.zeros((2, 4)))
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5"))
    assert "give them with --depths" in event.message


def test_official_folders_must_be_where_they_were_said_to_be(tmp_path):
    with pytest.raises(FeatureStoreError, match="holds 0 folders that end in _level_2"):
        bring(tmp_path, config("official", tmp_path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_patch_with_a_feature_that_is_not_finite_is_unread(tmp_path, value):
    nodes = [(0, 0), (0, 1), (1, 0)]
    features = said(nodes)
    features[1, 2] = value
    write_h5(tmp_path / "h5" / "s.h5", [(512 * c, 512 * r) for r, c in nodes], features)
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
    assert event.unread == 1
    rows = open_store(tmp_path / "store", "s")(0, np.array(nodes))
    assert rows.isnan().all(1).tolist() == [False, True, False]
    assert rows[0].tolist() == [0, 0, 0]


def test_a_feature_too_large_for_half_precision_is_unread(tmp_path):
    nodes = [(0, 0), (0, 1)]
    features = said(nodes)
    features[0, 0] = 1e6
    write_h5(tmp_path / "h5" / "s.h5", [(512 * c, 512 * r) for r, c in nodes], features)
    half = config("clam", tmp_path / "h5", mpp=(0.5,), dtype="float16")
    (event,) = bring(tmp_path, half)
    assert event.unread == 1
    assert open_store(tmp_path / "store", "s")(0, np.array(nodes)).isnan().all(1).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize("coords", [[(512, 1024)], [(512, 1024), (4096, 5120)]])
class TestPatchesThatShareNoRow:
    def test_are_spaced_as_those_of_other_slides_in_the_folder(self, tmp_path, coords):
        many = [(512 * c, 512 * r) for r in range(3) for c in range(3)]
        write_h5(tmp_path / "h5" / "many.h5", many, np.ones((9, 3), np.float32))
        write_h5(tmp_path / "h5" / "s.h5", coords, np.ones((len(coords), 3), np.float32))
        (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
        assert (event.kind, event.total) == ("done", len(coords))
        assert "no places on the slide" in event.message
        store = open_store(tmp_path / "store", "s")
        assert store.grids[0].stride == 512
        assert store.nodes[0].tolist() == [[y // 512, x // 512] for x, y in coords]
        assert not store.is_placed

    def test_keep_addresses_of_their_own_where_nothing_says_their_distance(self, tmp_path, coords):
        write_h5(tmp_path / "h5" / "s.h5", coords, np.ones((len(coords), 3), np.float32))
        (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
        assert (event.kind, event.total) == ("done", len(coords))


def test_one_patch_is_spaced_as_its_own_finer_depth(tmp_path):
    write_h5(tmp_path / "a" / "s.h5", [(1024, 0)], said([(0, 1)]))
    fine = [(0, 2), (0, 3), (1, 2), (1, 3)]
    write_h5(tmp_path / "b" / "s.h5", [(512 * c, 512 * r) for r, c in fine], said(fine, 1))
    (event,) = bring(tmp_path, config("clam", tmp_path / "a", tmp_path / "b", mpp=(1.0, 0.5)))
    assert (event.kind, event.message) == ("done", "")
    store = open_store(tmp_path / "store", "s")
    assert store.is_placed
    assert store(1, np.array(fine))[:, 1:].tolist() == [list(map(float, n)) for n in fine]


def written(path, content):
    """An h5 file of these datasets, those of a group by a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file[name] = values
    return path


PLACES = [(0, 0), (0, 1), (1, 0)]
CORNERS = np.array([(512 * column, 512 * row) for row, column in PLACES])


@pytest.mark.parametrize(
    "content",
    [
        {"embeddings": said(PLACES), "coords": CORNERS, "barcodes": np.arange(3)},  # HEST
        {"features/uni": said(PLACES), "coords": np.c_[CORNERS, CORNERS]},  # AtlasPatch
        {"features": said(PLACES), "coords": CORNERS.astype(np.float32)},  # GigaPath
        {"tile_embeddings": said(PLACES), "coordinates": np.c_[CORNERS, np.zeros(3)]},
    ],
)
def test_features_and_places_that_others_call_otherwise_are_found(tmp_path, content):
    written(tmp_path / "h5" / "s.h5", content)
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
    assert (event.kind, event.total) == ("done", 3)
    store = open_store(tmp_path / "store", "s")
    assert store(0, np.array(PLACES)).tolist() == said(PLACES).tolist()


def test_a_group_of_one_encoder_says_its_name_and_of_two_is_refused(tmp_path):
    both = {"features/uni": said(PLACES), "coords": CORNERS}
    assert read_h5(written(tmp_path / "a.h5", both)).encoder == "uni"
    both["features/conch"] = said(PLACES)
    with pytest.raises(FeatureStoreError, match="its features are no dataset"):
        read_h5(written(tmp_path / "b.h5", both))


def test_a_padded_slide_begins_before_its_corner(tmp_path):
    """GigaPath's tiles do."""
    path = written(tmp_path / "h5" / "s.h5", {"features": said(PLACES), "coords": CORNERS - 100})
    assert read_h5(path).coords.min() == -100
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
    assert (event.kind, event.total, event.message) == ("done", 3, "")


def test_an_attribute_may_be_a_list_of_one(tmp_path):
    path = write_h5(
        tmp_path / "s.h5", CORNERS, said(PLACES), patch_size=np.array([224]), overlap=[0]
    )
    assert read_h5(path).patch_size == 224


def test_a_file_may_be_named_after_the_slides_whole_name(tmp_path):
    write_h5(tmp_path / "h5" / "s.svs.h5", CORNERS, said(PLACES))
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
    assert (event.kind, event.total) == ("done", 3)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("n", [1, 3])
def test_an_axis_of_one_is_no_axis(tmp_path, axis, n):
    nodes = [(0, column) for column in range(n)]
    coords = [(512 * column, 0) for _, column in nodes]
    features = np.expand_dims(said(nodes), axis)
    write_h5(tmp_path / "h5" / "s.h5", coords, features, patch_size_level0=512)
    (event,) = bring(tmp_path, config("clam", tmp_path / "h5", mpp=(0.5,)))
    assert (event.kind, event.total) == ("done", n)
    assert open_store(tmp_path / "store", "s")(0, np.array(nodes)).tolist() == said(nodes).tolist()


class TestATensor:
    @pytest.mark.parametrize(
        "saved",
        [
            torch.ones(4, 3, requires_grad=True),
            torch.nn.Parameter(torch.ones(4, 3)),
            torch.ones(1, 4, 3),
            torch.ones(4, 1, 3),
            torch.ones(4, 3, dtype=torch.bfloat16),
        ],
    )
    def test_that_is_clear_is_read(self, tmp_path, saved):
        torch.save(saved, tmp_path / "s.pt")
        assert read_pt(tmp_path / "s.pt").tolist() == [[1, 1, 1]] * 4

    @pytest.mark.parametrize(
        "saved", [torch.ones(4), torch.ones(2, 4, 3), torch.eye(3).to_sparse(), [torch.ones(4, 3)]]
    )
    def test_that_is_not_is_refused_in_one_sentence(self, tmp_path, saved):
        torch.save(saved, tmp_path / "s.pt")
        with pytest.raises(FeatureStoreError, match=r"s\.pt must hold one dense tensor"):
            read_pt(tmp_path / "s.pt")

"""What is fuzzed: for each kind of file an intact one, and all that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree

import fuzz_results as results
import numpy as np
import torch

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cascade import load_steering
from napari_hagmil.cascade.steering import SCHEMA as STEERING
from napari_hagmil.cohort import camelyon16, gdc, read_cohort
from napari_hagmil.export.annotations_reader import read_annotations
from napari_hagmil.export.geojson_reader import read_area, read_geojson, read_polygons
from napari_hagmil.export.review import ReviewWish, write_review
from napari_hagmil.export.xml_annotations import read_xml_areas
from napari_hagmil.features.feature_files import read_h5, read_pt
from napari_hagmil.features.layout import FeatureTree
from napari_hagmil.features.store import FeatureStore
from napari_hagmil.features.store_metadata import FeatureKey
from napari_hagmil.features.store_writer import StoreWriter
from napari_hagmil.geometry import Region
from napari_hagmil.ledger import Claims, check_manifest, write_manifest
from napari_hagmil.models import IATConfig, IntegratedAttentionTransformer, load_bundle
from napari_hagmil.models.baselines import CLAMSB
from napari_hagmil.models.checkpoints import baselines, official
from napari_hagmil.models.config import EncoderFacts
from napari_hagmil.polygons import Rings, contains, mask_of
from napari_hagmil.quadtree import PatchGrid, children
from napari_hagmil.review import Annotation, ReviewRegion, open_sitting
from napari_hagmil.review.edit import found, merge, region_at, with_nearest
from napari_hagmil.review.lock import Lock
from napari_hagmil.review.measure import measure_label
from napari_hagmil.review.queue import Filter, queue_of
from napari_hagmil.review.sitting import Sitting
from napari_hagmil.session.recent import RecentSlides
from napari_hagmil.slide import open_slide, read_region
from napari_hagmil.training.checkpoint import Checkpoint
from napari_hagmil.training.protocol.join import join_tables, write_joined
from napari_hagmil.training.protocol.toml_file import load_protocol

FINGERPRINT = "f" * 32


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes
    ----------
    make : callable
        Writes an intact file or folder below a new folder, and returns what `read` takes.
    read : callable
        Reads it, and does with it what users do.
    files : tuple of str
        Patterns, below the new folder, of the files that are damaged.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    files: tuple[str, ...] = ("*",)


def make_bundle(folder: Path) -> Path:
    return Path(copytree(find_bundle("demo"), folder / "demo.hagmil"))


def make_zip(folder: Path) -> Path:
    from napari_hagmil.models import save_bundle

    model = load_bundle(find_bundle("demo"))
    save_bundle(model, folder / "demo.zip")
    return folder / "demo.zip"


def text(name: str, content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


RING = "[[10, 10], [900, 20], [800, 700], [30, 600], [10, 10]]"
HOLE = "[[200, 200], [300, 200], [300, 300], [200, 300], [200, 200]]"
GEOJSON = f"""{{"type": "FeatureCollection", "features": [
 {{"type": "Feature", "id": "a", "geometry": {{"type": "Polygon", "coordinates": [{RING}, {HOLE}]}},
   "properties": {{"objectType": "annotation", "classification": {{"name": "Tumor",
   "color": [200, 0, 0]}}, "metadata": {{"comment": "x"}}}}}},
 {{"type": "Feature", "geometry": {{"type": "MultiPolygon", "coordinates": [[{RING}], [{HOLE}]]}},
   "properties": {{"classification": {{"names": ["A", "B"], "colorRGB": -3670016}}}}}},
 {{"type": "Feature", "geometry": {{"type": "Point", "coordinates": [5, 6]}}, "properties": null}},
 {{"type": "Feature", "geometry": {{"type": "LineString", "coordinates": [[1, 2], [3, 4]]}}}},
 {{"type": "GeometryCollection", "geometries": [{{"type": "MultiPoint", "coordinates": [[1, 2]]}}]}}
]}}"""
STEER = f'{{"schema": "{STEERING}", "follow": [[5, 6], [70, 80]], "leave_out": [{HOLE}, {RING}]}}'
ASAP = """<?xml version="1.0"?>
<ASAP_Annotations><Annotations>
<Annotation Name="a" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>
<Coordinate Order="0" X="10.5" Y="20"/><Coordinate Order="1" X="900" Y="20"/>
<Coordinate Order="2" X="800" Y="700"/></Coordinates></Annotation>
<Annotation Name="b" Type="Spline" PartOfGroup="Exclusion" Color="#F4FA58"><Coordinates>
<Coordinate Order="0" X="700" Y="100"/><Coordinate Order="1" X="750" Y="100"/>
<Coordinate Order="2" X="750" Y="150"/></Coordinates></Annotation>
</Annotations><AnnotationGroups><Group Name="Tumor" PartOfGroup="None" Color="#64FE2E"/>
</AnnotationGroups></ASAP_Annotations>
"""
COHORT = """slide,label,patient,split,name,truth,age
a.tif,normal,p1,train,a,,1
b.tif,tumor,p2,train,b,,2
"c, d.tif",tumor,p3,test,c,,3
https://example.org/d.tif,normal,p4,test,d,,4
"""
PROTOCOL = """[protocol]
scheme = "k-fold"
repeats = 2
folds = 3
seed = 1
sweep = [[4, 8], [16, 16]]
classes = ["normal", "tumor"]
[defaults]
epochs = 30
learning_rate = 1e-3
[[method]]
name = "HAG-MIL"
budget = [8, 8]
schedule = "joint"
children = "tissue"
label_smoothing = 0.1
first_budget = [64, 128]
narrowing = 20
options = { widths = [16, 8], heads = 2 }
[[method]]
name = "mean"
model = "ab_mil"
depths = [2]
"""
MANIFEST = """id\tfilename\tmd5\tsize\tstate
1\tTCGA-B0-5120-01Z-00-DX1.aaa.svs\t0\t10\treleased
2\tTCGA-B0-5121-01Z-00-DX1.bbb.svs\t1\t20\treleased
3\tTCGA-KL-8323-01Z-00-DX1.ccc.svs\t2\t30\treleased
"""
SHEET = """File ID\tFile Name\tProject ID\tCase ID
1\tTCGA-B0-5120-01Z-00-DX1.aaa.svs\tTCGA-KIRC\tTCGA-B0-5120
2\tTCGA-B0-5121-01Z-00-DX1.bbb.svs\tTCGA-KIRC\tTCGA-B0-5121
3\tTCGA-KL-8323-01Z-00-DX1.ccc.svs\tTCGA-KICH\tTCGA-KL-8323
"""


TABLES = """method,group,k,runs,called_by,auc,auc_sd,f1,accuracy
HAG-MIL,method,8,5,argmax,0.95,0.01,0.9,0.91
mean,method,,5,argmax,0.85,0.01,0.8,
"""


def make_tables(folder: Path) -> Path:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "tables.csv").write_text(TABLES)
    return folder


def joined(path: Path) -> None:
    write_joined(path, join_tables([path / "a", path / "b"]))


def make_cohort(folder: Path) -> Path:
    for name in ("a", "b", "c, d"):
        (folder / f"{name}.tif").write_bytes(b"x")
    return text("cohort.csv", COHORT)(folder)


def read_table(path: Path) -> None:
    for files in (True, False):
        read_cohort(path, files=files)


def make_gdc(folder: Path) -> Path:
    text("manifest.txt", MANIFEST)(folder)
    text("sheet.tsv", SHEET)(folder)
    return folder


def make_camelyon(folder: Path) -> Path:
    for name in ("images/normal_001", "images/tumor_001", "images/test_001"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.tif").write_bytes(b"x")
    (folder / "reference.csv").write_text("test_001,Tumor,IDC,Macro\ntest_002,Normal,None,None\n")
    return folder


def area(path: Path) -> None:
    read_geojson(path)
    rings = read_polygons(path)
    mask_of(read_area(path), (1000, 1000), 16.0)
    contains(rings, [[5.0, 5.0]])


def annotations(path: Path) -> None:
    drawn, _ = read_annotations(path)
    for one in drawn:
        measure_label(one, 0.25)


def asap(path: Path) -> None:
    contains(read_xml_areas(path), [[5.0, 5.0]])


def steering(path: Path) -> None:
    steer = load_steering(path)
    grid = PatchGrid(16, 4.0, (8, 8))
    nodes = children(np.zeros((1, 2), dtype=np.int64))
    steer.pinned(grid, nodes), steer.vetoed(grid, nodes)


def make_store(folder: Path) -> Path:
    coarse = children(np.zeros((1, 2), dtype=np.int64))
    nodes = coarse, children(coarse)
    grids = PatchGrid(16, 2.0, (2, 2)), PatchGrid(16, 1.0, (4, 4))
    tree = FeatureTree(grids, nodes, tuple(np.ones(len(n), dtype=bool) for n in nodes))
    key = FeatureKey("f", "tiff", 0.5, EncoderFacts("colours", None, 3), 16, (1.0, 0.5))
    path = folder / "a.zarr"
    writer = StoreWriter.begin(path, key, tree, chunk_rows=8)
    for chunk in writer.missing():
        writer.write(chunk, torch.ones(len(chunk.nodes), 3))
    writer.finish()
    # Who makes a store to harm also writes its manifest, or leaves it out.
    (path / "manifest.json").unlink()
    return path


def store(path: Path) -> None:
    opened = FeatureStore(path)
    for depth, nodes in enumerate(opened.nodes):
        opened(depth, nodes)


def make_h5(folder: Path) -> Path:
    import h5py

    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["features"] = np.ones((4, 3), np.float32)
        file["coords"] = np.array([[0, 0], [0, 256], [256, 0], [256, 256]])
        file["coords"].attrs["patch_size_level0"] = 256
        file["coords"].attrs["patch_size"] = 256
    return path


def make_pt(folder: Path) -> Path:
    torch.save(torch.ones(6, 4), folder / "a.pt")
    return folder / "a.pt"


def make_official(folder: Path) -> Path:
    """A checkpoint as the official code names its weights."""
    config = IATConfig(n_features=6, widths=(4, 2), n_classes=2, heads=2, legacy_padding=True)
    weights = {}
    for index in range(2):
        for name, tensor in IntegratedAttentionTransformer(config).state_dict().items():
            weights[f"model{index}.{_official_name(name)}"] = tensor
    torch.save({"state_dict": weights, "epoch": 3, "hyper_parameters": {"k": 4}}, folder / "a.ckpt")
    return folder / "a.ckpt"


def _official_name(name: str) -> str:
    if name.startswith("blocks."):
        _, index, rest = name.split(".", 2)
        for theirs, ours in official._BLOCK_PARTS.items():
            if rest.startswith(ours):
                return f"layers.{index}.{theirs}{rest.removeprefix(ours)}"
    for theirs, ours in official._MODEL_PARTS.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    raise AssertionError(name)


def convert(path: Path) -> None:
    official.convert_official(path, path.with_name("out.hagmil"))


_CLAM = {
    "embed.0.": "attention_net.0.",
    "scores.content.": "attention_net.3.attention_a.0.",
    "scores.gate.": "attention_net.3.attention_b.0.",
    "scores.score.": "attention_net.3.attention_c.",
    "head.": "classifiers.",
    "instance_classifiers.": "instance_classifiers.",
}


def make_clam(folder: Path) -> Path:
    weights = {}
    for name, tensor in CLAMSB(6, 2, hidden=4, gate_dim=3).state_dict().items():
        ours = next(start for start in _CLAM if name.startswith(start))
        weights[_CLAM[ours] + name.removeprefix(ours)] = tensor
    torch.save(weights, folder / "clam.pt")
    return folder / "clam.pt"


def clam(path: Path) -> None:
    baselines.load_published_clam(path)(torch.ones(3, 6))


def make_baseline(folder: Path) -> Path:
    model = CLAMSB(6, 2, hidden=4, gate_dim=3)
    baselines.save_baseline(model, folder / "b.safetensors", "clam_sb", hidden=4, gate_dim=3)
    return folder / "b.safetensors"


def make_checkpoint(folder: Path) -> Path:
    state = {"weights": {"a": torch.ones(3)}, "epoch": 3, "seen": [1, 2]}
    Checkpoint(folder / "depth-0.pt", "key").save(lambda: state, now=True)
    return folder / "depth-0.pt"


def make_manifest(folder: Path) -> Path:
    (folder / "result.json").write_text('{"cost": {"seconds": 3}, "state": "done"}')
    (folder / "nodes.bin").write_bytes(b"abc")
    write_manifest(folder)
    return folder


def make_claim(folder: Path) -> Path:
    claim = Claims(folder).take("a")
    assert claim is not None
    kept = claim.path.read_bytes()
    claim.release()
    (folder / "a.json").write_bytes(kept)
    return folder


def claims(path: Path) -> None:
    held = Claims(path)
    str(held.holder("a"))
    claim = held.take("a")
    if claim:
        claim.release()


def make_lock(folder: Path) -> Path:
    lock = Lock(folder / "review.lock")
    lock.acquire()
    return lock.path


def lock(path: Path) -> None:
    mine = Lock(path)
    mine.acquire(by_force=True)
    mine.beat()
    mine.release()


def locked(path: Path) -> None:
    Lock(path).holder()
    lock(path)


def make_journal(folder: Path) -> Path:
    slide = folder / "slide.tif"
    slide.write_bytes(b"pixels")
    sitting = open_sitting(slide, FINGERPRINT, user_folder=folder / "user")
    ring = ((10.0, 10.0), (10.0, 90.0), (80.0, 50.0))
    hole = ((20.0, 40.0), (20.0, 50.0), (30.0, 45.0))
    region = ReviewRegion("r1", ring, (hole,), 97.5, 2, "demo at 40×")
    far = ((200.0, 200.0), (200.0, 300.0), (300.0, 300.0))
    other = replace(region, id="r2", polygon=far, holes=())
    sitting.change("find", regions=(region, other))
    accepted = replace(region, decision="accepted", path_class="Tumor")
    sitting.change("accept", regions=(accepted, other))
    drawn = (
        Annotation("a0", "polygon", ring, "Stroma", "x"),
        Annotation("a1", "point", ring[:1]),
        Annotation("a2", "ruler", ring[:2]),
    )
    sitting.change("draw", annotations=drawn)
    sitting.change("steer", pins=((1.0, 2.0),), vetoes=(ring,))
    sitting.change("correct", tissue=(ring, hole), mpp_override=0.25)
    sitting.undo()
    sitting.keep_sketch(Annotation("s", "polygon", ring))
    assert sitting.close()
    (journal,) = folder.rglob("*.jsonl")
    assert journal.parent.parent == folder
    return slide


def review(path: Path) -> None:
    sitting = open_sitting(path, FINGERPRINT, user_folder=path.parent / "user")
    try:
        _use(sitting, path)
    finally:
        sitting.close()


def _use(sitting: Sitting, path: Path) -> None:
    state = sitting.state
    queue_of(state.regions, 0.25)
    for order in ("size", "place"):
        queue_of(state.regions, 0.25, Filter(order=order))  # type: ignore[arg-type]
    region_at(state, (20.0, 20.0))
    found(state, [], depth=1, provenance="demo")
    [measure_label(one, 0.25) for one in state.annotations]
    mask_of(state.tissue or (), (400, 400), 4.0)
    contains([Rings(ring) for ring in state.vetoes], [[5.0, 5.0]])
    sitting.undo()
    wish = ReviewWish(accepted_only=False, formats=("geojson", "csv", "asap"))
    write_review(path.with_name("out"), state, wish, mpp=state.mpp_override or 0.25)
    if len(state.regions) > 1:
        with_nearest(state, state.regions[0].id)
        merge(state, [one.id for one in state.regions[:2]])


def make_recent(folder: Path) -> Path:
    recent = RecentSlides(folder / "recent.json")
    recent.add(folder)
    return folder / "recent.json"


def make_ome_zarr(folder: Path) -> Path:
    import zarr

    root = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=3)
    datasets = []
    for i, side in enumerate((96, 48)):
        picture = np.full((3, side, side), 200, np.uint8)
        root.create_array(str(i), data=picture, chunks=(3, 48, 48))
        scale = {"type": "scale", "scale": [1.0, 0.5 * 2**i, 0.5 * 2**i]}
        datasets.append({"path": str(i), "coordinateTransformations": [scale]})
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    axes = [{"name": "c", "type": "channel"}, *space]
    image = {"axes": axes, "datasets": datasets}
    root.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return folder / "a.zarr"


def slide(path: Path) -> None:
    with open_slide(path, mpp=0.5) as opened:
        read_region(opened, Region(0, 0, 40, 40), mpp=0.5)


TARGETS: dict[str, Target] = {
    "bundle": Target(make_bundle, load_bundle, ("*/config.json",)),
    "bundle-zip": Target(make_zip, load_bundle, ("*.zip",)),
    "geojson": Target(text("a.geojson", GEOJSON), area),
    "annotations": Target(text("a.geojson", GEOJSON), annotations),
    "steering": Target(text("a.json", STEER), steering),
    "asap": Target(text("a.xml", ASAP), asap),
    "cohort": Target(make_cohort, read_table, ("*.csv",)),
    "gdc": Target(make_gdc, lambda p: gdc.from_gdc(p / "manifest.txt", p / "sheet.tsv")),
    "camelyon16": Target(make_camelyon, camelyon16.from_camelyon16, ("reference.csv",)),
    "protocol": Target(text("p.toml", PROTOCOL), load_protocol),
    "store": Target(make_store, store, ("a.zarr/**/*",)),
    "h5": Target(make_h5, read_h5),
    "pt": Target(make_pt, read_pt),
    "official": Target(make_official, convert, ("*.ckpt",)),
    "clam": Target(make_clam, clam),
    "baseline": Target(make_baseline, baselines.load_baseline),
    "checkpoint": Target(make_checkpoint, lambda p: Checkpoint(p, "key").load()),
    "manifest": Target(make_manifest, check_manifest, ("manifest.json", "result.json")),
    "claim": Target(make_claim, claims, ("a.json",)),
    "lock": Target(make_lock, locked),
    "journal": Target(make_journal, review, ("*.hagmil-review/*.jsonl",)),
    "tables": Target(make_tables, joined, ("a/tables.csv",)),
    "result": Target(results.make_result, results.result, ("kept/*",)),
    "verify": Target(results.make_run, results.verify, ("run/slides/a/*.json",)),
    "run": Target(results.make_run, results.run, ("run/**/*.json", "run/*.parquet")),
    "viewing": Target(results.make_viewing, results.viewing, ("*.csv", "*.seal")),
    "recent": Target(make_recent, lambda p: RecentSlides(p).paths()),
    "ome-zarr": Target(make_ome_zarr, slide, ("a.zarr/**/*",)),
}

"""The demo model's way on features that say where the lesion is: training, bundle, card."""

import csv
import json
from pathlib import Path

import demo_card
import demo_cohort
import numpy as np
import pytest
import torch

from napari_hagmil.bundles import find_bundle
from napari_hagmil.cli import main
from napari_hagmil.features import FeatureKey, feature_tree, store_path
from napari_hagmil.features.store_writer import StoreWriter
from napari_hagmil.models import EncoderFacts, load_bundle
from napari_hagmil.quadtree import PatchGrid, Quadtree, children, z_order

DOCS = Path(__file__).parents[2] / "docs"

#: The lesion: one node of the finest depth, at its top left.
OUTLINE = [[0, 0], [32, 0], [32, 32], [0, 32], [0, 0]]


def make_store(folder, name, is_tumour, rng):
    """Features of a slide: one that is high on the lesion at every depth, and noise."""
    grids = tuple(PatchGrid(32, 4.0 / 2**d, (3 * 2**d, 3 * 2**d)) for d in range(3))
    nodes = [np.argwhere(np.ones(grids[0].shape, bool)).astype(np.int64)]
    nodes[0] = nodes[0][z_order(nodes[0])]
    for _ in range(2):
        nodes.append(children(nodes[-1]))
    path = store_path(folder, name)
    key = FeatureKey("f", "tiff", 0.25, EncoderFacts("fake", "abc", 4), 32, (1.0, 0.5, 0.25))
    writer = StoreWriter.begin(path, key, feature_tree(Quadtree(grids, tuple(nodes))))
    for chunk in writer.missing():
        features = rng.normal(size=(len(chunk.nodes), 4))
        features[:, 0] += 6.0 * (is_tumour & (chunk.nodes == 0).all(axis=1))
        writer.write(chunk, torch.from_numpy(features.astype(np.float32)))
    writer.finish()


def write_cohort(folder, rows):
    """A table of slides that have features and outlines, and no file."""
    rng = np.random.default_rng(0)
    geometry = {"type": "Polygon", "coordinates": [OUTLINE]}
    outline = {"type": "Feature", "properties": {}, "geometry": geometry}
    lines = ["slide,label,patient,split,truth"]
    for row in rows:
        is_tumour = row.label == "tumor"
        make_store(folder / "features", row.name, is_tumour, rng)
        found = {"type": "FeatureCollection", "features": [outline] if is_tumour else []}
        (folder / f"{row.name}.geojson").write_text(json.dumps(found))
        lines.append(f"{row.name}.tiff,{row.label},{row.patient},{row.split},{row.name}.geojson")
    (folder / "COHORT.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Everything from features to the evaluation, with the committed protocol."""
    out = tmp_path_factory.mktemp("demo")
    write_cohort(out, demo_cohort.learn(16))
    table, store = str(out / "COHORT.csv"), ["--store", str(out / "features")]
    words = ["--config", str(DOCS / "protocols" / "demo.toml"), "--out", str(out / "trained")]
    assert main(["train", table, *store, *words]) == 0
    run = out / "trained" / "runs" / "demo" / "seed-0" / "model.hagmil"
    demo_card.main(["bundle", str(run), str(out / "demo.hagmil")])
    words = ["--model", str(out / "demo.hagmil"), "--chance", "0", "--out", str(out / "evaluation")]
    assert main(["evaluate", table, *store, *words, "--device", "cpu"]) == 0
    return out


def test_the_demo_slides_are_balanced_and_share_no_seed_with_those_held_out():
    learn, held_out = demo_cohort.learn(160), demo_cohort.held_out(60)
    seeds = [row.config.seed for row in [*learn, *held_out]]
    assert len(set(seeds)) == 220
    for part in ("train", "val", "test"):
        labels = [row.label for row in learn if row.split == part]
        assert labels.count("tumor") == labels.count("normal") > 0
    splits = {}
    for row in learn:
        splits.setdefault(row.patient, set()).add(row.split)
    assert all(len(parts) == 1 for parts in splits.values())
    assert {row.split for row in held_out} == {"test"}
    assert all(bool(row.config.lesions) == (row.label == "tumor") for row in [*learn, *held_out])


def test_the_bundle_says_what_it_is_for_and_has_the_weights_of_the_run(work):
    made = load_bundle(work / "demo.hagmil")
    assert (made.config.name, made.config.licence) == ("demo", "BSD-3-Clause")
    assert "not for real tissue" in made.config.intended_use
    run = load_bundle(work / "trained" / "runs" / "demo" / "seed-0" / "model.hagmil")
    assert made.sha256 == run.sha256
    assert 0 < made.config.thresholds["tumor"] < 1


def test_the_card_has_the_figures_of_the_evaluation(work):
    card = work / "card.md"
    words = [str(work / "demo.hagmil"), str(work / "evaluation"), "--out", str(card)]
    demo_card.main(["card", *words])
    metrics = json.loads((work / "evaluation" / "metrics.json").read_text())
    told = json.loads(card.with_suffix(".json").read_text())
    assert told["metrics"] == metrics
    assert told["lesions"]["all"]["n"] == metrics["lesions"] > 0
    assert told["lesions"]["all"]["by_depth"] == pytest.approx(metrics["lesion_recall"])
    assert told["lesions"]["micro"]["n"] == metrics["lesions"]
    with (work / "evaluation" / "predictions.csv").open(encoding="utf-8") as file:
        slides = list(csv.DictReader(file))
    own = next(point for point in metrics["budgets"] if point["factor"] == 1)
    tissue = sum(int(slide["finest_tissue"]) for slide in slides)
    share = own["encoded_finest"] * len(slides) / tissue
    assert told["finest_share"]["overall"] == pytest.approx(share)
    assert f"| AUC (95 % interval) | {metrics['auc']['value']:.3f}" in card.read_text()


def test_the_figures_of_another_model_are_refused(work):
    words = [str(find_bundle("demo")), str(work / "evaluation"), "--out", str(work / "wrong.md")]
    with pytest.raises(SystemExit, match="run evaluate on this one"):
        demo_card.main(["card", *words])
    assert not (work / "wrong.md").exists()

"""Measure the demo model on held-out phantom slides.

    python docs/scripts/evaluate_demo_model.py --work DIR [--slides 60]

Reads every slide as `napari-hagmil analyze` does and compares with what was planted. One JSON file
per slide is kept under DIR, so that a killed run goes on; figures go to docs/model-card.json, and
as tables between the markers in docs/model-card.md. The seeds of the test slides are used for
nothing else: look at them once, when everything is decided.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from demo_slides import DemoSlide, demo_slides, planted, write_slide

from napari_hagmil.cascade import Stage
from napari_hagmil.pipeline import Options, Reading, load_model, prepare, read_stages, summarize
from napari_hagmil.quadtree import Nodes, PatchGrid, children
from napari_hagmil.slide import open_slide
from napari_hagmil.training import accuracy, auc, bootstrap

DOCS = Path(__file__).parents[1]

#: A lesion is hit when a node covers, or is covered by, this share: of the node or of the lesion.
SHARE = 0.10

#: The finest nodes of highest attention: what a reader would look at first.
TOP = 16

#: Level-0 px per px of the raster on which areas are measured.
RASTER = 4

#: Diameter up to which a lesion counts as micro, µm.
MICRO_UM = 200.5

RANDOM_DRAWS = 50


def is_hit(polygon: np.ndarray, grid: PatchGrid, nodes: Nodes) -> bool:
    """Whether a node shares at least SHARE of its own area, or of the lesion's, with it."""
    low = np.floor(polygon.min(0) / grid.stride).astype(int)
    high = np.floor(polygon.max(0) / grid.stride).astype(int) + 1
    near = nodes[((nodes >= low) & (nodes < high)).all(1)] - low
    if not len(near):
        return False
    side = grid.stride / RASTER
    shape = np.ceil((high - low) * side).astype(int)
    corners = ((polygon + 0.5 - low * grid.stride) / RASTER)[:, ::-1] - 0.5
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(corners * 16).astype(np.int32)], 1, shift=4)
    sums = cv2.integral(mask)
    start, stop = np.rint(near * side).astype(int), np.rint((near + 1) * side).astype(int)
    shared = (
        sums[stop[:, 0], stop[:, 1]]
        - sums[start[:, 0], stop[:, 1]]
        - sums[stop[:, 0], start[:, 1]]
        + sums[start[:, 0], start[:, 1]]
    )
    return bool(shared.max() >= SHARE * min(side**2, mask.sum()))


def _start_worker() -> None:
    torch.set_num_threads(1)


def measure(demo: DemoSlide, work: Path, model: str, budget: tuple[int, ...] | None) -> Path:
    """Draw one slide, read it, compare; returns the file with what was found."""
    target = work / "results" / f"{demo.name}.json"
    if target.exists():
        return target
    drawing = time.perf_counter()
    path = write_slide(demo, work / "slides")
    started = time.perf_counter()
    network, encoder = load_model(model, device="cpu")
    with open_slide(path) as slide:
        loaded = time.perf_counter()
        reading = prepare(slide, network, encoder)
        options = Options(budget=budget)
        stages = list(read_stages(reading, options))
        result = summarize(reading, options, stages, time.perf_counter() - loaded)
        record = {
            "name": demo.name,
            "seed": demo.config.seed,
            "size": demo.config.size,
            "kind": demo.kind,
            "label": demo.label,
            "draw_seconds": round(started - drawing, 2),
            "seconds": {k: round(v, 3) for k, v in result.cost.seconds.items()},
            "bytes_read": result.cost.bytes_read,
            "encoded": [len(stage.nodes) for stage in stages],
            "tissue": [len(nodes) for nodes in reading.quadtree.nodes],
            "tumor": [float(stage.probabilities[1]) for stage in stages],
            "lesions": lesions(planted(path), reading, stages),
        }
    _write(target, record)
    return target


def measure_random(demo: DemoSlide, work: Path, model: str, budget: tuple[int, ...] | None) -> Path:
    """Add the control to a slide's file: the finest stage on as many nodes, chosen at random."""
    target = work / "results" / f"{demo.name}.json"
    record = json.loads(target.read_text())
    if "random_tumor" not in record:
        network, encoder = load_model(model, device="cpu")
        with open_slide(write_slide(demo, work / "slides")) as slide:
            reading = prepare(slide, network, encoder)
            k = reading.config(Options(budget=budget)).budget
            record["random_tumor"] = random_tumor(reading, k, demo.config.seed)
        _write(target, record)
    return target


def _write(target: Path, record: dict[str, Any]) -> None:
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps(record))
    temporary.replace(target)


def lesions(
    truth: Sequence[dict[str, Any]], reading: Reading, stages: Sequence[Stage]
) -> list[dict[str, Any]]:
    """Of each planted lesion: at which depths it was looked at, and how often by chance."""
    last, grids = stages[-1], reading.quadtree.grids
    top = last.nodes[np.argsort(-last.attention, kind="stable")[:TOP]]
    budget = [int(stage.followed.sum()) for stage in stages[:-1]]
    rng = np.random.default_rng(0)
    drawn = [random_nodes(reading, budget, rng) for _ in range(RANDOM_DRAWS)] if truth else []
    return [
        {
            "diameter_um": lesion["diameter_um"],
            "hit": [is_hit(lesion["polygon"], grids[s.depth], s.nodes) for s in stages],
            "hit_top": is_hit(lesion["polygon"], grids[-1], top),
            "hit_random": float(np.mean([is_hit(lesion["polygon"], grids[-1], n) for n in drawn])),
        }
        for lesion in truth
    ]


def random_nodes(reading: Reading, budget: Sequence[int], rng: np.random.Generator) -> Nodes:
    """The finest nodes that a cascade would look at if it chose at random."""
    nodes = reading.quadtree.nodes[0]
    for k in budget:
        nodes = children(nodes[np.sort(rng.permutation(len(nodes))[:k])])
    return nodes


def random_tumor(reading: Reading, budget: Sequence[int], seed: int) -> float:
    """What the finest stage says of nodes chosen at random."""
    last = len(reading.quadtree.grids) - 1
    nodes = random_nodes(reading, budget, np.random.default_rng(seed))
    with torch.inference_mode():
        logits = reading.model.stage(last)(reading.features(last, nodes)).logits
    return float(logits.softmax(-1)[1])


def figures(records: Sequence[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """All figures of the model card."""
    labels = [r["label"] for r in records]
    finest = [r["tumor"][-1] for r in records]
    found = [lesion for r in records for lesion in r["lesions"]]
    micro = [lesion for lesion in found if lesion["diameter_um"] <= MICRO_UM]
    macro = [lesion for lesion in found if lesion["diameter_um"] > MICRO_UM]
    shares = np.array([r["encoded"][-1] / r["tissue"][-1] for r in records])
    seconds = np.array([r["seconds"]["total"] for r in records])
    return {
        "slides": len(records),
        "slides_with_lesions": sum(labels),
        "slides_with_micro_only": sum(r["kind"] == "micro" for r in records),
        "lesions": len(found),
        "auc": bootstrap(auc, labels, finest)._asdict(),
        "auc_micro_only_against_healthy": _auc_of(records, ("micro", "healthy")),
        "auc_by_depth": [auc(labels, [r["tumor"][d] for r in records]) for d in range(3)],
        "auc_random": _auc_of_random(records),
        "accuracy": accuracy(labels, finest, 0.5),
        "accuracy_at_threshold": accuracy(labels, finest, threshold),
        "lesions_hit": _share(found, "hit"),
        "lesions_hit_micro": _share(micro, "hit"),
        "lesions_hit_macro": _share(macro, "hit"),
        "lesions_hit_top": _share(found, "hit_top"),
        "lesions_hit_random": _share(found, "hit_random"),
        "lesions_hit_random_micro": _share(micro, "hit_random"),
        "n_micro": len(micro),
        "n_macro": len(macro),
        "finest_share_mean": float(shares.mean()),
        "finest_share_max": float(shares.max()),
        "finest_share_overall": _ratio(records, -1),
        "patches_encoded": sum(sum(r["encoded"]) for r in records),
        "patches_exhaustive": sum(sum(r["tissue"]) for r in records),
        "finest_encoded": sum(r["encoded"][-1] for r in records),
        "finest_tissue": sum(r["tissue"][-1] for r in records),
        "seconds_per_slide": {"mean": float(seconds.mean()), "median": float(np.median(seconds))},
    }


def _auc_of(records: Sequence[dict[str, Any]], kinds: tuple[str, ...]) -> float:
    some = [r for r in records if r["kind"] in kinds]
    return auc([r["label"] for r in some], [r["tumor"][-1] for r in some])


def _auc_of_random(records: Sequence[dict[str, Any]]) -> float | None:
    some = [r for r in records if "random_tumor" in r]
    return auc([r["label"] for r in some], [r["random_tumor"] for r in some]) if some else None


def _share(found: Sequence[dict[str, Any]], key: str) -> float | None:
    """Mean over lesions; of the finest depth where there is one value per depth."""
    values = [lesion[key][-1] if key == "hit" else lesion[key] for lesion in found]
    return float(np.mean(values)) if values else None


def _ratio(records: Sequence[dict[str, Any]], depth: int) -> float:
    encoded = sum(r["encoded"][depth] for r in records)
    return float(encoded / sum(r["tissue"][depth] for r in records))


def table(f: dict[str, Any]) -> Iterator[str]:
    """The figures as a table of the model card."""
    a = f["auc"]
    yield "| figure | value | target |"
    yield "|---|---|---|"
    yield (
        f"| held-out slides | {f['slides']} ({f['slides_with_lesions']} with lesions, of these "
        f"{f['slides_with_micro_only']} with micro-metastases only) | ≥ 60 |"
    )
    yield (
        f"| slide AUC, finest depth (95 % bootstrap interval) | {a['value']:.3f} "
        f"({a['low']:.3f}–{a['high']:.3f}) | ≥ 0.95 |"
    )
    yield f"| AUC, micro only against healthy | {f['auc_micro_only_against_healthy']:.3f} | |"
    yield f"| accuracy, most probable class | {f['accuracy']:.3f} | |"
    yield f"| accuracy at the threshold of validation | {f['accuracy_at_threshold']:.3f} | |"
    yield f"| lesions hit at 40×, all {f['lesions']} | {f['lesions_hit']:.3f} | ≥ 0.90 |"
    yield f"| lesions hit, {f['n_micro']} micro (≤ 200 µm) | {_text(f['lesions_hit_micro'])} | |"
    yield f"| lesions hit, {f['n_macro']} larger | {_text(f['lesions_hit_macro'])} | |"
    yield f"| lesions hit by the {TOP} most attended nodes | {f['lesions_hit_top']:.3f} | |"
    yield (
        f"| share of the finest tissue patches encoded, mean of slides | "
        f"{f['finest_share_mean']:.3f} (highest {f['finest_share_max']:.3f}) | ≤ 0.25 |"
    )
    yield (
        f"| share of the finest tissue patches encoded, overall | {f['finest_share_overall']:.3f} "
        f"({f['finest_encoded']:,} of {f['finest_tissue']:,}) | ≤ 0.25 |"
    )
    yield (
        f"| patches encoded at all depths, against all tissue patches | {f['patches_encoded']:,} "
        f"of {f['patches_exhaustive']:,} | |"
    )
    s = f["seconds_per_slide"]
    yield f"| seconds per slide, mean (median) | {s['mean']:.1f} ({s['median']:.1f}) | |"
    yield f"| control: AUC of 10× alone | {f['auc_by_depth'][0]:.3f} | |"
    yield f"| control: AUC of 20× alone | {f['auc_by_depth'][1]:.3f} | |"
    yield f"| control: AUC with random-k instead of attention-k | {_text(f['auc_random'])} | |"
    yield (
        f"| control: lesions hit with random-k (micro) | {f['lesions_hit_random']:.3f} "
        f"({_text(f['lesions_hit_random_micro'])}) | |"
    )


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def write_card(lines: Sequence[str], card: Path) -> None:
    """Put the table between the markers of the model card."""
    start, stop = "<!-- figures -->", "<!-- /figures -->"
    text = card.read_text(encoding="utf-8")
    head, rest = text.split(start, 1)
    tail = rest.split(stop, 1)[1]
    body = "\n".join(lines)
    card.write_text(f"{head}{start}\n{body}\n{stop}{tail}", encoding="utf-8")


def one_line(record: dict[str, Any]) -> str:
    hits = "".join("+" if lesion["hit"][-1] else "-" for lesion in record["lesions"])
    scores = " ".join(f"{p:.3f}" for p in record["tumor"])
    share = record["encoded"][-1] / record["tissue"][-1]
    return f"{record['name']}  tumor {scores}  lesions {hits or 'none'}  finest {share:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(tempfile.gettempdir()) / "napari-hagmil-demo-evaluation"
    parser.add_argument("--work", type=Path, default=default)
    parser.add_argument("--slides", type=int, default=60)
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--model", default="demo", help="name or path of a bundle")
    parser.add_argument("--budget", type=lambda text: tuple(map(int, text.split(","))))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--no-controls", action="store_true", help="leave out random-k")
    parser.add_argument("--dry", action="store_true", help="print the table, write no docs")
    args = parser.parse_args()
    for folder in ("slides", "results"):
        (args.work / folder).mkdir(parents=True, exist_ok=True)
    slides = demo_slides(args.split, args.slides)
    rest = [[value] * len(slides) for value in (args.work, args.model, args.budget)]
    context = get_context("spawn")
    with ProcessPoolExecutor(args.processes, context, initializer=_start_worker) as pool:
        for step in (measure,) if args.no_controls else (measure, measure_random):
            records = []
            for path in pool.map(step, slides, *rest):
                records.append(json.loads(path.read_text()))
                print(one_line(records[-1]), flush=True)
    network, _ = load_model(args.model, device="cpu")
    found = figures(records, network.config.thresholds.get("tumor", 0.5))
    lines = list(table(found))
    print("\n".join(lines))
    if not args.dry:
        found |= {"model_sha256": network.sha256, "records": records}
        (DOCS / "model-card.json").write_text(json.dumps(found, indent=1) + "\n")
        write_card(lines, DOCS / "model-card.md")


if __name__ == "__main__":
    main()

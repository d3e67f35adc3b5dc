"""Train the demo model on phantom slides, from their slide labels alone.

    python docs/scripts/train_demo_model.py --work DIR [--train 160] [--val 40]

Draws the slides, encodes the tissue at 10×, trains the first stage; encodes below what it follows,
trains the next; and again. Everything encoded stays under DIR: a run that was killed goes on where
it stopped. Slide files are deleted at the end (--keep-slides keeps them). Writes the bundle to
src/napari_hagmil/bundles/demo.hagmil, or to --out.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from demo_slides import (
    ENCODER,
    FIRST_SEED,
    KINDS,
    LESIONS,
    MPP,
    SIZES,
    DemoSlide,
    FeatureStore,
    Request,
    Split,
    demo_slides,
    encode_all,
    store_path,
)

from napari_hagmil.encoders import load_encoder
from napari_hagmil.models import (
    BundleConfig,
    CascadeModel,
    EncoderFacts,
    IATConfig,
    LossConfig,
    save_bundle,
)
from napari_hagmil.quadtree import Nodes
from napari_hagmil.training import (
    Bag,
    CascadeTraining,
    Selection,
    TrainConfig,
    TrainingSlide,
    auc,
    predict,
    start_unmixed,
    train_cascade,
    youden_threshold,
)

BUNDLE = Path(__file__).parents[2] / "src" / "napari_hagmil" / "bundles" / "demo.hagmil"

#: Nodes handed on at 10× and 20×: in use, and while the next stage is trained.
BUDGET, TRAINING_BUDGET, RANDOM = (16, 32), (8, 12), (2, 3)

#: Most training and validation slides per depth: the finer ones cost more, and are easier.
LIMITS = ((160, 40), (40, 12), (40, 12))

SEED = 20231

STAGE = IATConfig(
    n_features=1280,
    widths=(128,),
    instance_dim=128,
    gate_dim=64,
    bag_dim=128,
    attention="exact",
)


def stage_training(depth: int) -> TrainConfig:
    """Cross-entropy, smoothed at all depths but the finest, plus the instance loss."""
    last = depth == len(MPP) - 1
    loss = LossConfig(
        bag_weight=0.7,
        instance_weight=0.3,
        label_smoothing=0.0 if last else 0.1,
        k=(2, 4, 8)[depth],
    )
    return TrainConfig(
        epochs=16,
        patience=6,
        learning_rate=4e-4,
        weight_decay=1e-4,
        accumulate=2,
        loss=loss,
        feature_dropout=0.3,
        background=0,
        join=0.5,
        seed=SEED + depth,
    )


class DiskFeatures:
    """A slide's features, read from its store at the moment they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, depth: int, nodes: Nodes) -> torch.Tensor:
        """(depth, (n, 2) nodes) → (n, n_features) float32."""
        return FeatureStore(self.path)(depth, nodes)


def training_slides(slides: Sequence[DemoSlide], work: Path) -> list[TrainingSlide]:
    paths = [store_path(slide, work) for slide in slides]
    return [
        TrainingSlide(slide.name, slide.label, FeatureStore(path).nodes[0], DiskFeatures(path))
        for slide, path in zip(slides, paths, strict=True)
    ]


def new_model() -> CascadeModel:
    """An untrained cascade; the same one each time."""
    encoder = load_encoder(ENCODER)
    torch.manual_seed(SEED)
    model = CascadeModel(
        BundleConfig(
            name="demo",
            encoder=EncoderFacts(encoder.name, encoder.weights_sha256, encoder.n_features),
            patch_size=encoder.patch_size,
            mpp=MPP,
            classes=("normal", "tumor"),
            stages=(STAGE,) * len(MPP),
            budget=BUDGET,
            licence="BSD-3-Clause",
            intended_use="Demonstration on synthetic phantom slides; not for real tissue, "
            "research use only.",
        )
    )
    for depth in range(len(MPP)):
        start_unmixed(model.stage(depth))
    return model


def summary(history: list[dict[str, float]], counts: dict[Split, int]) -> dict[str, object]:
    """What the bundle says of its training."""
    splits = {
        split: {
            "slides": n,
            "seeds": [FIRST_SEED[split], FIRST_SEED[split] + n - 1],
            "sizes_px": list(SIZES[split]),
            "lesions_um_and_counts": LESIONS[split],
            "kinds_of_the_odd_seeds": list(KINDS[split]),
        }
        for split, n in counts.items()
    }
    return {
        "data": "synthetic phantom slides of napari_hagmil.phantom, labelled per slide",
        "script": "docs/scripts/train_demo_model.py",
        "splits": splits,
        "training_budget": list(TRAINING_BUDGET),
        "random_coverage": list(RANDOM),
        "most_train_and_val_slides_by_depth": [list(limit) for limit in LIMITS],
        "stages": [asdict(stage_training(depth)) for depth in range(len(MPP))],
        "best_epochs": history,
    }


def train(work: Path, counts: dict[Split, int], processes: int) -> CascadeModel:
    slides = {split: demo_slides(split, n) for split, n in counts.items()}
    by_name = {slide.name: slide for side in slides.values() for slide in side}
    encode([Request(slide, 0, None) for slide in by_name.values()], work, processes)
    sides = {split: training_slides(side, work) for split, side in slides.items()}
    last_requests: list[tuple[TrainingSlide, Nodes]] = []

    def prefetch(depth: int, requests: Sequence[tuple[TrainingSlide, Nodes]]) -> None:
        encode([Request(by_name[s.name], depth, nodes) for s, nodes in requests], work, processes)
        last_requests[:] = requests

    model = new_model()
    config = CascadeTraining(
        tuple(stage_training(depth) for depth in range(len(MPP))),
        Selection(TRAINING_BUDGET, RANDOM, SEED),
        LIMITS,
        prefetch,
    )
    history: list[dict[str, float]] = [{} for _ in MPP]
    for progress in train_cascade(model, sides["train"], sides["val"], config):
        depth, epoch = progress.depth, progress.epoch
        mark = "*" if epoch.is_best else ""
        print(
            f"depth {depth} epoch {epoch.number:3d}  train {epoch.train_loss:.3f}  "
            f"val {epoch.val_loss:.3f}  AUC {epoch.val_auc:.3f} {mark}",
            flush=True,
        )
        if epoch.is_best:
            history[depth] = {
                "depth": depth,
                "epoch": epoch.number,
                "val_loss": round(epoch.val_loss, 4),
                "val_auc": round(epoch.val_auc, 4),
            }
    validation = [(s, nodes) for s, nodes in last_requests if s.name.startswith("val-")]
    describe(model, validation, summary(history, counts))
    return model


def describe(
    model: CascadeModel,
    validation: Sequence[tuple[TrainingSlide, Nodes]],
    training: dict[str, object],
) -> None:
    """Put the summary, and the threshold that validation chose, into the model's config."""
    bags = [Bag(s.features(len(MPP) - 1, nodes), s.label) for s, nodes in validation]
    labels = [bag.label for bag in bags]
    scores = predict(model.stage(len(MPP) - 1), bags)[:, 1]
    threshold = youden_threshold(labels, scores)
    print(
        f"validation AUC of the finest stage {auc(labels, scores):.3f}, threshold {threshold:.3f}"
    )
    model.config.thresholds["tumor"] = round(threshold, 4)
    model.config.training.update(training)


def encode(requests: Sequence[Request], work: Path, processes: int) -> None:
    started = time.perf_counter()
    for n, name in enumerate(encode_all(requests, work, processes=processes), start=1):
        print(f"encoded {n}: {name}, {time.perf_counter() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(tempfile.gettempdir()) / "napari-hagmil-demo-model"
    parser.add_argument("--work", type=Path, default=default, help="slides and features go here")
    parser.add_argument("--train", type=int, default=160, help="training slides")
    parser.add_argument("--val", type=int, default=40, help="validation slides")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep-slides", action="store_true")
    parser.add_argument("--out", type=Path, default=BUNDLE)
    args = parser.parse_args()
    torch.set_num_threads(1)  # the same weights on any machine
    model = train(args.work, {"train": args.train, "val": args.val}, args.processes)
    print("sha256", save_bundle(model, args.out))
    if not args.keep_slides:
        shutil.rmtree(args.work / "slides")


if __name__ == "__main__":
    main()

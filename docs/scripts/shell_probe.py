"""What SHELL adds to EfficientNet-Lite0: a linear probe on patches of carcinoma, by patients.

    python docs/scripts/shell_probe.py --data DIR [--patches 3000]

DIR holds idc_patches.npz (see mosaic_cohort.py); SHELL's weights come with
`pip install --no-deps lavlab-shell==0.9.1`. Prints the rows of the table in docs/results.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from napari_hagmil.encoders import load_encoder
from napari_hagmil.encoders.families.shell import load_shell

SIDE, BATCH, BOOTSTRAPS = 64, 64, 400
LITE0 = "efficientnet-lite0"

Features = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--patches", type=int, default=3000)
    options = parser.parse_args()
    data = np.load(options.data / "idc_patches.npz")
    taken = np.random.default_rng(0).permutation(len(data["label"]))[: options.patches]
    label, patient = data["label"][taken], data["patient"][taken]
    sets = feature_sets(enlarged(data["patches"][taken]))
    scores = {name: out_of_fold(features, label, patient) for name, features in sets.items()}
    for name, score in scores.items():
        low, middle, high = difference(score, scores[LITE0], label, patient)
        sys.stdout.write(
            f"| {name} | {sets[name].shape[1]} | {roc_auc_score(label, score):.3f} "
            f"| {middle:.3f} ({low:.3f} to {high:.3f}) |\n"
        )


def enlarged(patches: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The patches at the side that the mosaic has."""
    size = (SIDE, SIDE)
    return np.stack([cv2.resize(each, size, interpolation=cv2.INTER_CUBIC) for each in patches])


def feature_sets(patches: NDArray[np.uint8]) -> dict[str, Features]:
    """What is compared, by name; the encoder's first columns are Lite0's."""
    together = load_encoder("lite0+shell")
    half = np.concatenate(
        [together(patches[i : i + BATCH]).numpy() for i in range(0, len(patches), BATCH)]
    )
    whole = whole_side(patches)
    lite0 = half[:, : -whole.shape[1]]
    return {
        LITE0: lite0,
        "SHELL alone": whole,
        "both, SHELL on the whole side": np.hstack([lite0, whole]),
        "`lite0+shell`": half,
    }


def whole_side(patches: NDArray[np.uint8]) -> Features:
    """SHELL's smallest maps of patches as they are, averaged, (n, 128)."""
    planes, network = load_shell(torch.device("cpu"))
    found = []
    for start in range(0, len(patches), BATCH):
        pixels = torch.from_numpy(patches[start : start + BATCH]).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            maps: torch.Tensor = network.maps(planes(pixels))[-1]  # type: ignore[operator]
        found.append(maps.mean((2, 3)).numpy())
    return np.concatenate(found)


def out_of_fold(
    features: Features, label: NDArray[np.uint8], patient: NDArray[np.int64]
) -> Features:
    """Scores of patches by models that have not seen their patient."""
    scores = np.zeros(len(label), np.float32)
    for train, test in GroupKFold(5, shuffle=True, random_state=0).split(features, label, patient):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=500))
        scores[test] = model.fit(features[train], label[train]).predict_proba(features[test])[:, 1]
    return scores


def difference(
    score: Features, other: Features, label: NDArray[np.uint8], patient: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Of two AUCs: 2.5th percentile, mean and 97.5th over bootstraps of patients."""
    rng, everybody = np.random.default_rng(0), np.unique(patient)
    rows = {who: np.flatnonzero(patient == who) for who in everybody}
    found = []
    for _ in range(BOOTSTRAPS):
        drawn = np.concatenate([rows[w] for w in rng.choice(everybody, len(everybody))])
        each = [roc_auc_score(label[drawn], values[drawn]) for values in (score, other)]
        found.append(each[0] - each[1])
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(np.mean(found)), float(high)


if __name__ == "__main__":
    main()

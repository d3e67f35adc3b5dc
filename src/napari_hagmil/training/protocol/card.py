"""Write a model card from a bundle: data, figures, intended use, limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from napari_hagmil.escaping import in_markdown
from napari_hagmil.models import BundleConfig

#: Figures of a run's test slides that stand on the card, and how they are called there.
_FIGURES = {
    "c_index": "c-index",
    "r2": "R², mean over targets",
    "pearson": "correlation, mean over targets",
    "auc": "AUC",
    "auprc": "AUPRC",
    "accuracy": "accuracy, most probable class",
    "accuracy_youden": "accuracy, threshold chosen on validation",
    "f1": "F1, most probable class",
    "ece_uncalibrated": "expected calibration error, uncalibrated",
    "ece": "expected calibration error, at the validation slides' temperature",
    "brier_uncalibrated": "Brier score, uncalibrated",
    "brier": "Brier score, at the validation slides' temperature",
    "patches": "patches looked at per slide, all depths",
}

_LIMITS = (
    "- Research use only; not for diagnosis.",
    "- The figures are of one split and one seed, on slides of the same cohort. Other scanners, "
    "stains and tissues were not tried.",
    "- It takes the features of the encoder above, at the sizes above, and no others.",
    "- What the cascade does not look at it cannot find; attention says where it looked, and is no "
    "outline of a lesion.",
)


def model_card(config: BundleConfig, sha256: str) -> str:
    """Write the card of a bundle that `train` or `protocol` made, as Markdown."""
    return "\n".join(
        [
            *identity(config, sha256),
            *training_section(config),
            *_figures(config.training.get("test", {})),
            "\n## Limits\n",
            *_LIMITS,
            "",
        ]
    )


def identity(config: BundleConfig, sha256: str) -> Iterator[str]:
    """Title, intended use, and the table of what the model is, line by line."""
    yield f"# Model card: {in_markdown(config.name)}\n"
    yield f"**{in_markdown(config.intended_use)}**\n"
    yield "| | |\n|---|---|"
    yield f"| weights | sha256 {sha256[:12]}… |"
    yield f"| encoder | {in_markdown(config.encoder.name)}, {config.encoder.n_features} features |"
    yield f"| depths | {listed(config.mpp)} µm per pixel, patches of {config.patch_size} px |"
    if config.budget:
        yield f"| budget | {listed(config.budget)} |"
    yield f"| {'outputs' if config.endpoint else 'classes'} | {listed(config.classes)} |"
    if config.thresholds:
        limits = listed(f"{name} {limit}" for name, limit in config.thresholds.items())
        yield f"| threshold, from validation | {limits} |"
    if config.confidence:
        temperatures = listed(config.confidence.temperatures)
        yield f"| temperature by depth, from validation | {temperatures} |"
    if config.familiarity:
        yield (
            f"| familiar up to | distance {config.familiarity.limit:g}, of features of "
            f"{config.familiarity.slides} training slides |"
        )
    if config.licence:
        yield f"| licence | {in_markdown(config.licence)} |"


def training_section(config: BundleConfig) -> Iterator[str]:
    """Describe what the model was trained on and how, line by line."""
    training = config.training
    method, slides = training["method"], training["slides"]
    what = "slide labels" if config.endpoint is None else listed(config.endpoint.columns)
    yield "\n## Training\n"
    yield (
        f"Slides: {in_markdown(training['data'])}; {slides['train']} to learn from, "
        f"{slides['val']} to validate, {slides['test']} to test; {what} only."
    )
    how = f"Model {in_markdown(method['model'])}, {training['epochs']} epochs of all depths"
    if config.budget:
        how += (
            f", schedule {method['schedule']}, k of training "
            f"{listed(method['training_budget'] or method['budget'])}"
        )
        how += f" and {listed(method['random'])} at random" if method["random"] else ""
        chosen = " (chosen on validation)" if method.get("choose_budget") else ""
        how += f", k in use {listed(config.budget)}{chosen}"
    yield f"{how}; seed {training['seed']}. All settings stand in the bundle's config.json."


def _figures(test: Mapping[str, float]) -> Iterator[str]:
    yield "\n## Figures on the test slides\n"
    yield "| figure | value |\n|---|---|"
    for name, words in _FIGURES.items():
        if name in test:
            yield f"| {words} | {test[name]:{',.0f' if name == 'patches' else '.3f'}} |"
    for name in sorted(name for name in test if name.startswith("auc_depth")):
        yield f"| AUC if depth {name.removeprefix('auc_depth')} decided | {test[name]:.3f} |"


def listed(values: Any) -> str:
    """Values with commas between them."""
    return ", ".join(map(in_markdown, values))

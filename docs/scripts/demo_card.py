"""Make a demo model of a trained run, and its card of an evaluation: no figure is typed by hand.

    python docs/scripts/demo_card.py bundle RUN/model.hagmil OUT.hagmil
    python docs/scripts/demo_card.py card OUT.hagmil EVALUATION --out CARD.md

`bundle` gives the run's weights a name, a licence, a use, and the threshold that its validation
slides chose. `card` takes what `napari-hagmil evaluate OUT.hagmil … --chance 0 --out EVALUATION`
wrote, refuses the figures of any other model, and writes CARD.md and CARD.json.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_hagmil.models import CascadeModel, load_bundle, save_bundle
from napari_hagmil.training.card import identity, listed, training_section

#: Lesions of at most this diameter are micro-metastases here, µm.
MICRO_UM = 200.0

USE = (
    "Demonstration on synthetic phantom slides; not for real tissue, research use only.",
    "BSD-3-Clause",
)


def make_bundle(run: Path, out: Path) -> CascadeModel:
    """Write the bundle of a run as a demo model."""
    model = load_bundle(run)
    config = model.config
    model.config = replace(
        config,
        name=out.stem,
        thresholds={config.classes[1]: round(config.training["test"]["threshold"], 4)},
        intended_use=USE[0],
        licence=USE[1],
        training={**config.training, "data": "docs/scripts/demo_cohort.py, labelled per slide"},
    )
    save_bundle(model, out)
    return model


def read_evaluation(model: CascadeModel, folder: Path) -> dict[str, Any]:
    """Figures of an evaluation of this very model."""
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if metrics["model"]["sha256"] != model.sha256:
        raise SystemExit(
            f"{folder.name} evaluates the model {metrics['model']['sha256'][:12]}, not "
            f"{model.sha256[:12]}; run evaluate on this one"
        )
    lesions, slides = (_rows(folder / f"{name}.csv") for name in ("lesions", "predictions"))
    encoded, tissue = (
        np.array([int(slide[f"finest_{what}"]) for slide in slides])
        for what in ("encoded", "tissue")
    )
    return {
        "metrics": metrics,
        "lesions": {
            "all": _recall(lesions),
            "micro": _recall([r for r in lesions if float(r["diameter_um"]) <= MICRO_UM]),
            "larger": _recall([r for r in lesions if float(r["diameter_um"]) > MICRO_UM]),
        },
        "finest_share": {
            "mean": float((encoded / tissue).mean()),
            "highest": float((encoded / tissue).max()),
            "overall": float(encoded.sum() / tissue.sum()),
        },
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _recall(lesions: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Share of lesions met: by each depth in turn, and with the budget spent at random."""
    depths = sorted(name for name in (lesions[0] if lesions else ()) if name.startswith("met_d"))
    return {
        "n": len(lesions),
        "by_depth": [_share(lesions, depth) for depth in depths],
        "by_chance": _share(lesions, "met_by_chance"),
    }


def _share(lesions: Sequence[dict[str, str]], column: str) -> float | None:
    met = [int(row[column]) for row in lesions if row[column]]
    return float(np.mean(met)) if met else None


def card(model: CascadeModel, found: dict[str, Any]) -> Iterator[str]:
    """The card, line by line."""
    yield from identity(model.config, str(model.sha256))
    yield from training_section(model.config)
    yield from _figures(found)
    yield "\n## Limits\n"
    yield "- Phantoms are easier than tissue. On real slides its answer means nothing."
    yield "- A budget is a number of places, not a share: of larger slides less is looked at."


def _figures(found: dict[str, Any]) -> Iterator[str]:
    m = found["metrics"]
    yield f"\n## Figures on {m['slides']} slides of {m['patients']} patients ({m['split']})\n"
    yield "| figure | value |\n|---|---|"
    a = m["auc"]
    yield f"| AUC (95 % interval) | {_text(a['value'])} ({_text(a['low'])}–{_text(a['high'])}) |"
    for called in m["called"]:
        yield f"| accuracy, {called['rule']} | {_text(called['accuracy']['value'])} |"
    yield f"| AUC if each depth decided | {listed(map(_text, m['depth_auc']))} |"
    inside = listed(map(_text, m["attention_auc"]))
    yield f"| attention AUC, inside against outside lesions | {inside} |"
    for name, r in found["lesions"].items():
        what = f"lesions met by depth, {name} ({r['n']})"
        yield f"| {what} | {listed(map(_text, r['by_depth'])) or '–'} |"
        yield f"| the same at the finest, budget spent at random | {_text(r['by_chance'])} |"
    if m["chance"] is not None:
        yield f"| AUC, budget spent at random | {_text(m['chance']['auc'])} |"
    share = found["finest_share"]
    yield (
        f"| finest patches encoded, to those with tissue | {share['overall']:.1%} (mean of slides "
        f"{share['mean']:.1%}, highest {share['highest']:.1%}) |"
    )
    own = next(point for point in m["budgets"] if point["factor"] == 1)
    yield f"| patches encoded per slide, all depths | {own['encoded']:.0f} of {m['tissue']:.0f} |"


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("bundle", help="make the demo model of a run")
    verb.add_argument("run", type=Path)
    verb.add_argument("out", type=Path)
    verb = verbs.add_parser("card", help="make the card of a model and its evaluation")
    verb.add_argument("model", type=Path)
    verb.add_argument("evaluation", type=Path)
    verb.add_argument("--out", type=Path, required=True, metavar="CARD.md")
    args = parser.parse_args(arguments)
    if args.verb == "bundle":
        make_bundle(args.run, args.out)
        return
    model = load_bundle(args.model)
    found = read_evaluation(model, args.evaluation)
    args.out.write_text("\n".join(card(model, found)) + "\n", encoding="utf-8")
    args.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

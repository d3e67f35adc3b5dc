"""Verbs and their options. Nothing heavy is imported until a verb runs."""

from __future__ import annotations

import argparse
from importlib import import_module
from itertools import pairwise
from pathlib import Path

from napari_hagmil import __version__

_DEVICES = ("auto", "cpu", "cuda", "mps")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs; each sets ``run`` to what carries it out."""
    parser = argparse.ArgumentParser(
        prog="napari-hagmil",
        description="Read a whole-slide image coarse to fine with an attention cascade. "
        "Research use only.",
    )
    parser.add_argument("--version", action="version", version=f"napari-hagmil {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for add in (
        _demo,
        _view,
        _info,
        _pyramid,
        _cache,
        _phantom,
        _analyze,
        _cohort,
        _encode,
        _train,
        _protocol,
        _evaluate,
        _models,
        _convert,
    ):
        add(verbs)
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, target: str, text: str
) -> argparse.ArgumentParser:
    """A verb that is carried out by ``module:function`` of this package."""
    verb = verbs.add_parser(name, help=text, description=text)
    verb.add_argument("--debug", action="store_true", help="show the traceback of an error")
    module, function = target.split(":")

    def run(arguments: argparse.Namespace) -> int:
        return int(getattr(import_module(f"napari_hagmil.cli.{module}"), function)(arguments))

    verb.set_defaults(run=run)
    return verb


def _demo(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs, "demo", "window:demo", "the main job on the built-in phantom slide and demo model"
    )
    verb.add_argument("--out", type=Path, default=Path("demo-out"), help="where files are written")
    verb.add_argument("--no-window", action="store_true", help="write files, open no window")


def _view(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "view", "window:view", "open a slide in napari with the docks")
    verb.add_argument("slide", type=Path)
    _add_mpp(verb)


def _info(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "info", "slides:info", "what a slide file holds")
    verb.add_argument("slide", type=Path)
    verb.add_argument("--check", action="store_true", help="decode every tile; 1 if any cannot be")
    _add_mpp(verb)
    _add_json(verb)


def _pyramid(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs, "pyramid", "slides:pyramid", "write a slide anew with levels that can be zoomed into"
    )
    verb.add_argument("slide", type=Path)
    verb.add_argument("out", type=Path, metavar="OUT.tiff|OUT.zarr")
    _add_mpp(verb)
    verb.add_argument(
        "--compression",
        choices=("jpeg", "deflate", "zstd"),
        default="jpeg",
        help="of a TIFF (default jpeg, the others lose nothing)",
    )
    verb.add_argument("--quality", type=int, default=90, help="of jpeg (default 90)")
    _add_json(verb)


def _cache(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs, "cache", "slides:cache", "what is kept of large slides without coarse levels"
    )
    verb.add_argument("--clear", action="store_true", help="remove it all")
    _add_json(verb)


def _phantom(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs,
        "phantom",
        "slides:phantom",
        "write a synthetic pyramidal slide, and its planted lesions as GeoJSON beside it",
    )
    verb.add_argument("out", type=Path, metavar="OUT.tiff")
    verb.add_argument("--seed", type=int, default=0)
    verb.add_argument("--size", type=int, default=16384, help="px of a side (default 16384)")
    verb.add_argument("--lesions", type=int, help="how many (default: drawn from the seed)")
    verb.add_argument("--mpp", type=float, default=0.25, help="µm per pixel (default 0.25)")
    _add_json(verb)


def _analyze(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "analyze", "analyze:analyze", "run the cascade once, without a window")
    verb.add_argument("slide", type=Path)
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    verb.add_argument("--model", default="demo", help="a bundle's name or path (default demo)")
    verb.add_argument(
        "--budget",
        type=_budget,
        metavar="K[,K…]",
        help="patches followed at each depth but the last; one number stands for all",
    )
    verb.add_argument("--device", default="auto", help=" | ".join(_DEVICES))
    verb.add_argument("--exhaustive", action="store_true", help="follow every branch")
    _add_mpp(verb)
    verb.add_argument("--tissue", type=Path, metavar="FILE.geojson", help="where the tissue is")
    verb.add_argument("--steer", type=Path, metavar="FILE.json", help="branches to follow or leave")
    _add_json(verb)


def _encode(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs,
        "encode",
        "encode:encode",
        "features of every depth of a cohort's slides, for training",
    )
    verb.add_argument("cohort", type=Path, metavar="COHORT.csv")
    verb.add_argument("--store", type=Path, required=True, metavar="DIR", help="where they go")
    verb.add_argument("--encoder", metavar="NAME", help="default efficientnet-lite0")
    verb.add_argument(
        "--depths",
        type=_halving,
        metavar="X,X/2,…",
        help="µm per pixel of each depth, coarse to fine (default 1,0.5,0.25)",
    )
    verb.add_argument("--patch-size", type=_positive, metavar="PX", help="default the encoder's")
    verb.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    verb.add_argument("--device", default="auto", help=" | ".join(_DEVICES))
    verb.add_argument("--workers", type=_positive, default=2, help="threads that read (default 2)")
    verb.add_argument("--overwrite", action="store_true", help="replace features of another kind")
    _add_mpp(verb)
    _add_import(verb)
    _add_json(verb)


def _add_import(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--import", dest="imported", choices=("clam", "trident", "official"), help="take features"
    )
    verb.add_argument(
        "--features",
        type=Path,
        action="append",
        metavar="DIR",
        help="where they are; with clam and trident once per depth, coarse to fine",
    )


def _cohort(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "a table of slides from what a data set comes with; what is wrong with one"
    parser = verbs.add_parser("cohort", help=text, description=text)
    kinds = parser.add_subparsers(title="kinds", metavar="KIND", required=True)
    verb = _verb(
        kinds, "from-camelyon16", "cohort:camelyon16", "Camelyon16, in any layout of its releases"
    )
    verb.add_argument("folder", type=Path, help="that of the release")
    _add_table(verb)
    verb = _verb(kinds, "from-gdc", "cohort:gdc", "diagnostic slides of TCGA, labelled by disease")
    verb.add_argument("manifest", type=Path, help="gdc_manifest….txt")
    verb.add_argument("sample_sheet", type=Path, nargs="?", help="gdc_sample_sheet….tsv")
    verb.add_argument("--slides", type=Path, metavar="DIR", help="where gdc-client put them")
    _add_table(verb)
    verb = _verb(kinds, "from-folders", "cohort:folders", "a folder per class; parts above if any")
    verb.add_argument("folder", type=Path, help="with CLASS/SLIDE, or train|val|test/CLASS/SLIDE")
    _add_table(verb)
    _cohort_check(kinds)


def _add_table(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--out", type=Path, required=True, metavar="COHORT.csv")
    _add_json(verb)


def _cohort_check(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        kinds, "check", "cohort:check", "what is wrong with a table, and what encoding it takes"
    )
    verb.add_argument("cohort", type=Path, metavar="COHORT.csv")
    verb.add_argument("--encoder", default="efficientnet-lite0", metavar="NAME")
    verb.add_argument("--depths", type=_halving, metavar="X,X/2,…", help="as of encode")
    verb.add_argument("--patch-size", type=_positive, metavar="PX", help="default the encoder's")
    verb.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    verb.add_argument("--device", default="auto", help=" | ".join(_DEVICES))
    verb.add_argument(
        "--sample",
        type=_count,
        default=8,
        metavar="N",
        help="slides whose tissue is found for the estimate, 0 for all (default 8)",
    )
    verb.add_argument(
        "--rate", type=_positive, metavar="N", help="patches per second (default: measured here)"
    )
    verb.add_argument("--no-estimate", action="store_true", help="find no tissue, load no encoder")
    _add_mpp(verb)
    _add_json(verb)


def _train(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs, "train", "training:train", "train a cascade on stored features, every split and seed"
    )
    _add_training(verb)
    verb.add_argument("--method", help="of the configuration's methods, the one to train")


def _protocol(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs,
        "protocol",
        "training:protocol",
        "train and test every method of a protocol, and write the paper's tables",
    )
    _add_training(verb)


def _add_training(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("cohort", type=Path, metavar="COHORT.csv")
    verb.add_argument("--store", type=Path, required=True, metavar="DIR", help="what encode wrote")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    verb.add_argument("--config", type=Path, metavar="FILE.toml", help="default: the paper's")
    verb.add_argument(
        "--threads", type=_positive, default=1, help="of torch; more change sums in the last digit"
    )
    verb.add_argument("--device", default="cpu", help=" | ".join(_DEVICES) + " (default cpu)")
    verb.add_argument("--tensorboard", action="store_true", help="write event files too")
    _add_json(verb)


def _evaluate(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs,
        "evaluate",
        "evaluate:evaluate",
        "a model on a cohort with labels: tables and figures",
    )
    verb.add_argument("cohort", type=Path, metavar="COHORT.csv")
    verb.add_argument("--model", required=True, help="a bundle's name or path")
    verb.add_argument("--out", type=Path, required=True, metavar="DIR")
    verb.add_argument("--store", type=Path, metavar="DIR", help="features, instead of slides")
    verb.add_argument(
        "--split",
        choices=("train", "val", "test", "all"),
        help="which slides (default test where the table names test slides, else all)",
    )
    verb.add_argument(
        "--youden",
        action="store_true",
        help="also call by the threshold that the table's validation slides choose",
    )
    verb.add_argument(
        "--factors",
        type=_factors,
        metavar="F[,F…]",
        help="multiples of the model's budget to run with (default 0.25,0.5,1,2,4 with --store)",
    )
    verb.add_argument("--chance", type=int, metavar="SEED", help="also spend the budget at random")
    verb.add_argument("--device", default="auto", help=" | ".join(_DEVICES))
    _add_mpp(verb)
    _add_json(verb)


def _models(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "models", "models:models", "bundles and encoders that can be used here")
    _add_json(verb)


def _convert(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(
        verbs, "convert", "models:convert", "make a bundle of the official Lightning checkpoint"
    )
    verb.add_argument("checkpoint", type=Path)
    verb.add_argument("--out", type=Path, required=True, metavar="BUNDLE")


def _add_mpp(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--mpp", type=float, help="µm per level-0 pixel, where the file is silent")


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="answer in JSON on stdout")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def _halving(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    halves = all(abs(a / b - 2) < 0.02 for a, b in pairwise(numbers) if b > 0)
    if not numbers or min(numbers) <= 0 or not halves:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,X/2,… in µm per pixel, as 1,0.5,0.25")
    return numbers


def _factors(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is not F,F,… with F above 0, as 0.5,1,2")
    return numbers


def _budget(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not K or K,K,… with K at least 1")
    return numbers

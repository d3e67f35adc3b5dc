"""Rehearse one of the paper's protocols on synthetic slides: the whole path, at reduced sizes.

    python docs/scripts/rehearse.py camelyon16|tcga-rcc|tcga-nsclc|imgc --out DIR [--size 2048]

Phantoms are written as the data set lays out its slides (names, folders, reference.csv, manifest,
annotations); the cohort comes from them by the command for that data set. They are encoded, every
method of the protocol is trained and tested with narrow transformers, small k and few epochs, and
the tables are written. Then ``evaluate`` measures the first method's bundle on the test slides of
its first run, and ``analyze`` opens one of them from its pixels: both must give what the tables
have. Everything that DIR has already is kept. Prints what each step took.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from napari_hagmil.cli import main as napari_hagmil
from napari_hagmil.export.geojson_reader import read_polygons
from napari_hagmil.phantom import PhantomConfig, write_phantom

PROTOCOLS = Path(__file__).resolve().parents[1] / "protocols"

#: What stands in for the encoder of the paper, which is large or not to be had.
ENCODER = ("efficientnet-lite0", 1280, 224)

#: Lesions and their largest diameter, µm, of the classes in turn.
LESIONS = ((0, 0.0), (2, 250.0), (3, 500.0))

#: Figures of the protocols, and what the rehearsal has instead.
REDUCED = {
    r"widths = \[1024, 1536, 512, 1024\]": "widths = [32, 48, 16, 32]",
    r"bag_dim = 1024": "bag_dim = 32",
    r"heads = 8": "heads = 4",
    r"instance_dim = 512": "instance_dim = 16",
    r"gate_dim = 256": "gate_dim = 8",
    r"epochs = 200": "epochs = 2",
    r"patience = 20 ": "patience = 1 ",
    r"min_epochs = 52": "min_epochs = 2",
    r"rate_epochs = \[100\]": "rate_epochs = [1]",
    r"repeats = 5": "repeats = 2",
}

#: Figures of called classes, by the threshold of the protocol.
CALLED = ("f1", "accuracy")

#: k of Figure 3 → 1 … 8.
K = (7, 1006, 2005, 3004, 4003, 5002, 6001, 7000)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A slide to draw.

    Attributes
    ----------
    place : str
        Within the data set's folder.
    kind : int
        Its class, as a place in `LESIONS`.
    truth : str
        Where its annotation goes, if the data set has one.
    """

    place: str
    kind: int
    truth: str = ""


def camelyon16(training: int = 4, tested: int = 4) -> list[Drawn]:
    """Normal and tumour slides, as many of either to train, and those to test in turn."""
    kinds = ("normal", "tumor")
    known = [
        Drawn(
            f"training/{kind}/{kind}_{i:03d}.tif",
            c,
            f"training/lesion_annotations/{kind}_{i:03d}.xml" if c else "",
        )
        for c, kind in enumerate(kinds)
        for i in range(1, training + 1)
    ]
    tests = range(1, tested + 1)
    return known + [Drawn(f"testing/images/test_{i:03d}.tif", i % 2) for i in tests]


def tcga(sites: Sequence[str]) -> Callable[[], list[Drawn]]:
    """Five patients of each tissue source site, a slide each, as gdc-client puts them."""

    def slides() -> list[Drawn]:
        names = [
            (c, f"{site.lower()}{i:06d}", f"TCGA-{site}-{i:04d}-01Z-00-DX1.{c}{i}.svs")
            for c, site in enumerate(sites)
            for i in range(1, 6)
        ]
        return [Drawn(f"{identity}/{name}", c) for c, identity, name in names]

    return slides


def imgc() -> list[Drawn]:
    """Three normal and three cancer to train, two of each to validate, two to test."""
    return [
        Drawn(f"{part}/{kind}/{kind}-{part}-{i}.tif", c)
        for part, n in (("train", 3), ("val", 2), ("test", 2))
        for c, kind in enumerate(("normal", "cancer"))
        for i in range(n)
    ]


SLIDES = {
    "camelyon16": camelyon16,
    "tcga-rcc": tcga(("KL", "A3", "A4")),
    "tcga-nsclc": tcga(("05", "11")),
    "imgc": imgc,
}


def draw(folder: Path, slides: Sequence[Drawn], size: int) -> None:
    """Write the slides that are not there yet, and their annotations."""
    for seed, one in enumerate(slides):
        path = folder / one.place
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        lesions, largest = LESIONS[one.kind]
        diameters = (min(150.0, largest), largest) if lesions else (150.0, 500.0)
        draft = path.with_name(f"{path.stem}.draft.tiff")
        write_phantom(
            draft,
            PhantomConfig(seed=seed, size=size, lesions=lesions, lesion_diameters_um=diameters),
        )
        outlines = draft.with_suffix(".geojson")
        if one.truth:
            write_asap(outlines, folder / one.truth)
        outlines.unlink()
        draft.rename(path)


def write_asap(outlines: Path, path: Path) -> None:
    """The outlines as ASAP's XML, as Camelyon16 has its annotations."""
    root = Xml.Element("ASAP_Annotations")
    group = Xml.SubElement(root, "Annotations")
    for i, rings in enumerate(read_polygons(outlines)):
        area = Xml.SubElement(
            group, "Annotation", Name=f"Annotation {i}", PartOfGroup="_0", Type="Polygon"
        )
        corners = Xml.SubElement(area, "Coordinates")
        for order, (y, x) in enumerate(rings.outer):
            Xml.SubElement(
                corners, "Coordinate", Order=str(order), X=f"{x + 0.5:.2f}", Y=f"{y + 0.5:.2f}"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    Xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def table_of(name: str, folder: Path, slides: Sequence[Drawn], out: Path) -> Path:
    """The cohort's table, by the command for the data set."""
    table = out / "cohort.csv"
    if name == "camelyon16":
        lines = [
            f"{Path(s.place).stem},{('Normal,None,None', 'Tumor,IDC,Macro')[s.kind]}"
            for s in slides
            if s.place.startswith("testing")
        ]
        (folder / "testing" / "reference.csv").write_text("\n".join(lines) + "\n")
        words = ["from-camelyon16", str(folder)]
    elif name == "imgc":
        words = ["from-folders", str(folder)]
    else:
        lines = ["id\tfilename\tmd5\tsize\tstate"]
        for i, one in enumerate(slides):
            path = folder / one.place
            row = (path.parent.name, path.name, f"md5-{i}", path.stat().st_size, "released")
            lines.append("\t".join(map(str, row)))
        (folder / "gdc_manifest.txt").write_text("\n".join(lines) + "\n")
        words = ["from-gdc", str(folder / "gdc_manifest.txt")]
    call("cohort", *words, "--out", str(table))
    return table


def reduced(text: str, methods: Sequence[str] = ()) -> str:
    """A protocol of the paper at the rehearsal's sizes, of these methods or all; else as it is."""
    head, *entries = text.split("[[method]]\n")
    if methods:
        entries = [one for one in entries if one.split('"')[1] in methods]
    text = "[[method]]\n".join([head, *entries])
    for pattern, instead in REDUCED.items():
        text = re.sub(pattern, instead, text)
    for i, k in enumerate(K, start=1):
        text = text.replace(f"[{k}, {k}]", f"[{i}, {i}]")
    encoder, n_features, patch_size = ENCODER
    text = re.sub(r'encoder = "[^"]*"', f'encoder = "{encoder}"', text)
    text = re.sub(r"n_features = \d+", f"n_features = {n_features}", text)
    return re.sub(r"patch_size = \d+", f"patch_size = {patch_size}", text)


def call(*words: str) -> None:
    """One command of the package; its failure ends the rehearsal."""
    status = napari_hagmil(list(words))
    if status:
        raise SystemExit(f"napari-hagmil {' '.join(words)} ended with {status}")


@dataclass(frozen=True, slots=True)
class Run:
    """The first run of a method, and what is beside it.

    Attributes
    ----------
    folder : Path
    tested : list of dict
        The rows of its predictions.
    figures : dict of str to float
    """

    folder: Path
    tested: list[dict[str, str]]
    figures: dict[str, float]


def first_run(out: Path, method: str = "hag-mil") -> Run:
    """The run of a method that ``evaluate`` and ``analyze`` are held against."""
    folder = out / "tables" / "runs" / method / "seed-0"
    with (folder / "predictions.csv").open(encoding="utf-8") as file:
        tested = list(csv.DictReader(file))
    figures = json.loads((folder / "run.json").read_text(encoding="utf-8"))["figures"]
    return Run(folder, tested, figures)


def evaluate(out: Path, run: Run) -> dict[str, Any]:
    """What ``evaluate`` measures of the run's bundle on its test slides: its metrics.json."""
    names = {row["slide"] for row in run.tested}
    with (out / "cohort.csv").open(encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    kept = [row for row in rows if Path(row[header.index("slide")]).stem in names]
    table = out / "tested.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *kept])
    bundle = str(run.folder / "model.hagmil")
    words = ["--model", bundle, "--store", str(out / "features"), "--split", "all"]
    call("evaluate", str(table), *words, "--factors", "1", "--out", str(out / "evaluation"))
    return json.loads((out / "evaluation" / "metrics.json").read_text(encoding="utf-8"))


def analyze(out: Path, run: Run) -> dict[str, Any]:
    """What ``analyze`` finds on the run's first test slide, from its pixels: its result.json."""
    with (out / "cohort.csv").open(encoding="utf-8") as file:
        places = {Path(row["slide"]).stem: row["slide"] for row in csv.DictReader(file)}
    slide = out / places[run.tested[0]["slide"]]
    bundle = str(run.folder / "model.hagmil")
    words = ["--model", bundle, "--device", "cpu", "--out", str(out / "slide"), "--overwrite"]
    call("analyze", str(slide), *words)
    return json.loads((out / "slide" / "result.json").read_text(encoding="utf-8"))


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Print what a step took."""
    started = time.perf_counter()
    yield
    print(f"{step}: {time.perf_counter() - started:.0f} s", flush=True)


def rehearse(
    name: str, out: Path, size: int, slides: Sequence[Drawn], methods: Sequence[str] = ()
) -> None:
    """Slides, cohort, features, protocol and tables."""
    folder = out / "slides"
    folder.mkdir(parents=True, exist_ok=True)
    with timed(f"{len(slides)} slides of {size} px"):
        draw(folder, slides, size)
    table = table_of(name, folder, slides, out)
    store = str(out / "features")
    encoder, _, patch_size = ENCODER
    with timed("encode"):
        words = ["--encoder", encoder, "--depths", "1,0.5,0.25", "--patch-size", str(patch_size)]
        call("encode", str(table), "--store", store, "--device", "cpu", *words)
    config = out / f"{name}.toml"
    text = reduced((PROTOCOLS / f"{name}.toml").read_text(encoding="utf-8"), methods)
    config.write_text(text, encoding="utf-8")
    with timed("protocol"):
        words = ["--store", store, "--config", str(config), "--out", str(out / "tables")]
        call("protocol", str(table), *words)


def check(out: Path, run: Run) -> None:
    """Raise where ``evaluate`` or ``analyze`` give anything but what the tables have."""
    with timed("evaluate"):
        measured = evaluate(out, run)
    called = measured["called"][-1]
    found = {"auc": measured["auc"]["value"], **{n: called[n]["value"] for n in CALLED}}
    suffix = "" if len(measured["called"]) == 1 else "_youden"
    told = {"auc": run.figures["auc"], **{n: run.figures[n + suffix] for n in CALLED}}
    if found != told:
        raise SystemExit(f"evaluate gives {found} where the tables have {told}")
    with timed("analyze"):
        prediction = analyze(out, run)["prediction"]["probabilities"]
    row = [float(p) for name, p in run.tested[0].items() if name.startswith("p_")]
    if any(abs(a - b) > 1e-5 for a, b in zip(prediction, row, strict=True)):
        raise SystemExit(f"analyze gives {prediction} where the tables have {row}")
    print("evaluate and analyze give what the tables have", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(SLIDES))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--size", type=int, default=2048, help="px of a side of every slide")
    args = parser.parse_args()
    out = args.out.resolve()
    with timed("all"):
        rehearse(args.name, out, args.size, SLIDES[args.name]())
        check(out, first_run(out))


if __name__ == "__main__":
    main()

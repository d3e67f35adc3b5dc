"""All verbs, gathered into one parser."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from napari_hagmil import __version__
from napari_hagmil.cli.analyze import ANALYZE
from napari_hagmil.cli.batch import BATCH, RUN_ONE, STATUS
from napari_hagmil.cli.cohort import AGREE, CHECK, FROM_CAMELYON16, FROM_FOLDERS, FROM_GDC
from napari_hagmil.cli.convert import CALIBRATE, CONVERT
from napari_hagmil.cli.encode import ENCODE
from napari_hagmil.cli.evaluate import EVALUATE
from napari_hagmil.cli.export.annotations import ANNOTATIONS, CROPS, TILES
from napari_hagmil.cli.export.stores import ATTENTION, SPATIALDATA
from napari_hagmil.cli.features import EXPORT, IMPORT
from napari_hagmil.cli.installation.doctor import DOCTOR
from napari_hagmil.cli.installation.models import MODELS
from napari_hagmil.cli.predict import PREDICT
from napari_hagmil.cli.slides import CACHE, EPITHELIUM, INFO, PHANTOM, PYRAMID, QUALITY
from napari_hagmil.cli.terminal import printable
from napari_hagmil.cli.training import PROTOCOL, TABLES_JOIN, TRAIN
from napari_hagmil.cli.verb import Verb
from napari_hagmil.cli.verify import VERIFY
from napari_hagmil.cli.window import DEMO, VIEW

#: In the order of ``--help``.
VERBS: tuple[Verb[Any], ...] = (
    DEMO,
    VIEW,
    INFO,
    QUALITY,
    EPITHELIUM,
    PYRAMID,
    CACHE,
    PHANTOM,
    ANALYZE,
    BATCH,
    RUN_ONE,
    STATUS,
    ANNOTATIONS,
    TILES,
    CROPS,
    ATTENTION,
    SPATIALDATA,
    FROM_CAMELYON16,
    FROM_GDC,
    FROM_FOLDERS,
    CHECK,
    AGREE,
    ENCODE,
    IMPORT,
    EXPORT,
    TRAIN,
    PROTOCOL,
    TABLES_JOIN,
    EVALUATE,
    PREDICT,
    VERIFY,
    MODELS,
    DOCTOR,
    CONVERT,
    CALIBRATE,
)
#: What the verbs of a group, "GROUP VERB", do together.
GROUPS = {
    "cohort": "write a cohort's table from a data set, or check one",
    "export": "write what was found as files of other programs",
    "features": "take over features of other programs, or write stored ones for them",
    "tables": "put the tables of protocols together",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def build_parser(verbs: tuple[Verb[Any], ...] = VERBS) -> argparse.ArgumentParser:
    """The parser of all verbs; each sets ``run`` to what carries it out."""
    parser = _Parser(
        prog="napari-hagmil",
        description="Read a whole-slide image coarse to fine with an attention cascade. "
        "Research use only.",
    )
    parser.add_argument("--version", action="version", version=f"napari-hagmil {__version__}")
    top = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    groups: dict[str, Any] = {}
    for verb in verbs:
        group, _, name = verb.name.rpartition(" ")
        if group and group not in groups:
            text = GROUPS.get(group, group)
            own = top.add_parser(group, help=text, description=text)
            groups[group] = own.add_subparsers(title="verbs", metavar="VERB", required=True)
        place = groups[group] if group else top
        verb.declare(place.add_parser(name, help=verb.summary, description=verb.summary))
    return parser

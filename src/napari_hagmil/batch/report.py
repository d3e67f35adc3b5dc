"""report.html of a run: one page that opens without a server, slides that need a person first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from napari_hagmil.batch.folder import THUMBNAIL, RunFolder
from napari_hagmil.files import replacing
from napari_hagmil.ledger import STATE_RULES
from napari_hagmil.untrusted import well_formed

_PAGE = Path(__file__).with_name("report.html.j2")

_COLUMNS = (
    "name", "state", "class", "probability", "class_set", "unfamiliarity", "finest_share",
    "unread_share", "patches_encoded", "seconds", "reason",
)  # fmt: skip


def write_run_report(folder: RunFolder, rows: Sequence[dict[str, Any]]) -> None:
    """Write report.html: every slide in a table that can be sorted, searched and paged.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    told = [_told(folder, row) for row in rows]
    # "</" would end the script that the rows stand in.
    data = json.dumps(told, ensure_ascii=True, allow_nan=False).replace("</", "<\\/")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(_PAGE.read_text(encoding="utf-8")).render(
        name=well_formed(folder.root.absolute().name),
        model=well_formed(Path(folder.settings.model).name),
        counts=Counter(row["state"] for row in rows).most_common(),
        total=len(rows),
        columns=_COLUMNS,
        data=data,
    )
    with replacing(folder.root / "report.html") as draft:
        draft.write_text(page, encoding="utf-8")


def _told(folder: RunFolder, row: dict[str, Any]) -> dict[str, Any]:
    name = row["name"]
    told = {column: row.get(column) for column in _COLUMNS}
    rule = STATE_RULES.get(row["state"])
    told["reason"] = row.get("reason") or row.get("unfit") or ""
    told["remedy"] = rule.remedy if rule else ""
    place = folder.place(name)
    here = f"slides/{quote(name)}"
    told["picture"] = f"{here}/{THUMBNAIL}" if (place / THUMBNAIL).is_file() else ""
    told["page"] = f"{here}/report.html" if (place / "report.html").is_file() else ""
    return told

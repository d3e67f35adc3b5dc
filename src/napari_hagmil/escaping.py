"""Escape outside text for formats in which some characters have a meaning.

Names of classes, slides and methods come from tables and bundles of others. Here they become text
of Markdown, LaTeX and figures; cells of tables are made in `files.spreadsheet_cell`.
"""

from __future__ import annotations

import re
import unicodedata

#: What Markdown, and the HTML that it may hold, gives a meaning.
_MARKDOWN = re.compile(r"[\\`*|\[\]]")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def in_markdown(text: object) -> str:
    """The text on one line of Markdown: no markup, no HTML, no new cell of a table."""
    line = _one_line(str(text))
    return _MARKDOWN.sub(r"\\\g<0>", "".join(_HTML.get(one, one) for one in line))


def in_latex(text: object) -> str:
    """The text on one line of LaTeX."""
    special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    line = _one_line(str(text))
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in line)


def in_figure(text: object) -> str:
    """The text as a label of a figure: matplotlib takes what stands between two $ for a formula.

    A label that begins with an underscore would be missing in the legend.
    """
    line = _one_line(str(text)).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def _one_line(text: str) -> str:
    """Replace line breaks and control characters by spaces: no label or cell can hold them."""
    return "".join(" " if unicodedata.category(one) in _NOT_SHOWN else one for one in text)


#: Controls, halves of surrogate pairs, and line breaks of Unicode's own.
_NOT_SHOWN = {"Cc", "Cs", "Zl", "Zp"}

"""Tables as the paper prints them: mean ± deviation, best bold, second best italic, improvement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from napari_hagmil.escaping import in_latex, in_markdown


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of one data set.

    Attributes
    ----------
    key : str
        Its name in a row's cells.
    title : str
    higher_is_better : bool or None
        None: a cost or a setting, in which no row is the best.
    """

    key: str
    title: str
    higher_is_better: bool | None = True


@dataclass(frozen=True, slots=True)
class Line:
    """A row: what is compared, settings in words, and (mean, deviation) by column."""

    name: str
    words: tuple[str, ...] = ()
    cells: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A table; with a `subject` it ends in that row's improvement over the best other."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    word_titles: tuple[str, ...] = ()
    subject: str = ""

    def places(self, column: Column) -> dict[str, int]:
        """Line → 1 for the best, 2 for the second best, to three decimals; ties share a place."""
        if column.higher_is_better is None:
            return {}
        means = {name: round(mean, 3) for name, mean in self._means(column).items()}
        ranked = sorted(set(means.values()), reverse=column.higher_is_better)[:2]
        return {name: ranked.index(mean) + 1 for name, mean in means.items() if mean in ranked}

    def improvement(self, column: Column) -> float | None:
        """Of the subject over the best other; None where that means nothing."""
        means = self._means(column)
        mine = means.pop(self.subject, None)
        if column.higher_is_better is None or mine is None or not means:
            return None
        return mine - max(means.values())

    def _means(self, column: Column) -> dict[str, float]:
        return {n.name: n.cells[column.key][0] for n in self.lines if column.key in n.cells}


def markdown(table: Table) -> str:
    """The table in Markdown."""
    head = ["method", *table.word_titles, *(column.title for column in table.columns)]
    body = _body(table, {1: "**{}**", 2: "*{}*"}, "±", in_markdown)
    rows = [list(map(in_markdown, head)), ["---"] * len(head), *body]
    return (
        f"### {in_markdown(table.title)}\n\n"
        + "\n".join(f"| {' | '.join(row)} |" for row in rows)
        + "\n"
    )


def latex(table: Table) -> str:
    """The table in LaTeX, for the package booktabs."""
    head = ["method", *table.word_titles, *(column.title for column in table.columns)]
    styles = {1: "\\textbf{{{}}}", 2: "\\textit{{{}}}"}
    body = _body(table, styles, "$\\pm$", in_latex)
    rows = [" & ".join(row) + " \\\\" for row in body]
    return "\n".join(
        [
            f"% {in_latex(table.title)}",
            f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
            "\\toprule",
            " & ".join(map(in_latex, head)) + " \\\\",
            "\\midrule",
            *rows,
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


def _body(
    table: Table, styles: dict[int, str], sign: str, plain: Callable[[str], str]
) -> list[list[str]]:
    places = {column.key: table.places(column) for column in table.columns}
    body = []
    for line in table.lines:
        cells = []
        for column in table.columns:
            text = _cell(line, column, sign)
            place = places[column.key].get(line.name)
            cells.append(styles[place].format(text) if place else text)
        words = [*line.words, *[""] * (len(table.word_titles) - len(line.words))]
        body.append([plain(line.name), *map(plain, words), *cells])
    gains = [table.improvement(column) for column in table.columns]
    if table.subject and any(gain is not None for gain in gains):
        shown = ["" if gain is None else f"{gain:+.3f}" for gain in gains]
        blank = [""] * len(table.word_titles)
        body.append([f"{plain(table.subject)}: improvement over the best other", *blank, *shown])
    return body


def _cell(line: Line, column: Column, sign: str) -> str:
    if column.key not in line.cells:
        return ""
    mean, deviation = line.cells[column.key]
    if column.higher_is_better is None:
        return f"{mean:.3g}" if mean < 100 else f"{mean:,.0f}"
    return f"{mean:.3f} {sign} {deviation:.3f}"

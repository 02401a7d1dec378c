"""A table, once: columns with their roles and rows of text, shown on a terminal, as Markdown and on a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import tabulate
from markupsafe import Markup
from rich.table import Table as Grid
from rich.text import Text

from bench.text import code, markdown, one_line

# What a column holds: words; numbers, which stand on the right; names, which are copied whole; running text, which
# wraps, and of which a cell may have several lines.
WORDS, NUMBER, NAME, PROSE = "words", "number", "name", "prose"
TableText = str | Text  # with a style of its own
tabulate.WIDE_CHARS_MODE = False  # else the same table has other spaces where the package wcwidth is


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it."""

    heading: str
    role: str = WORDS


@dataclass(frozen=True)
class Table:
    """Rows of text, a cell a column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[TableText]]

    @classmethod
    def of(cls, headings: Sequence[str], rows: Sequence[Sequence[TableText]], **roles: str) -> Table:
        """With the roles of some columns by their headings; one of the others holds numbers if all its cells do."""
        column_roles = [roles.get(heading) or _role(rows, at) for at, heading in enumerate(headings)]
        return cls([Column(*pair) for pair in zip(headings, column_roles, strict=True)], rows)

    def without(self, *headings: str) -> Table:
        """The same without some columns."""
        kept = [at for at, column in enumerate(self.columns) if column.heading not in headings]
        return Table([self.columns[at] for at in kept], [[row[at] for at in kept] for row in self.rows])


@dataclass(frozen=True)
class CsvTable:
    """A table to compute with: headings that hold the unit, and plain values in SI units; None where one is missing."""

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]


def as_csv(table: CsvTable) -> str:
    """A CSV file's text; a missing value is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.headings)
    writer.writerows(table.rows)
    return text.getvalue()


def _role(rows: Sequence[Sequence[TableText]], at: int) -> str:
    """A column holds numbers if none of its cells begins with a letter or a bracket."""
    begins = [str(row[at])[:1] for row in rows]
    return WORDS if not begins or any(one.isalpha() or one == "(" for one in begins) else NUMBER


def on_terminal(
    table: Table, *, title: str = "", headings: bool = True, gap: int = 2, styles: Mapping[int, str] | None = None
) -> Grid:
    """For a rich console, without lines.

    Args:
        table: What to show.
        title: What stands above it.
        headings: Whether its headings do.
        gap: Spaces between two columns.
        styles: Of some rows, by their numbers.
    """
    grid = Grid(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim", show_header=headings)
    grid.title, grid.title_justify = title or None, "left"
    for column in table.columns:
        justify: Literal["left", "right"] = "right" if column.role == NUMBER else "left"
        grid.add_column(column.heading, justify=justify, no_wrap=column.role != PROSE, overflow="fold")
    for number, row in enumerate(table.rows):
        texts = (cell if isinstance(cell, Text) else Text(cell) for cell in row)  # what a program says is never markup
        grid.add_row(*texts, style=(styles or {}).get(number))
    return grid


def as_markdown(table: Table) -> str:
    """A Markdown table, whatever the cells hold."""
    roles = [column.role for column in table.columns]
    rows = [[_as_markdown(str(cell), role) for cell, role in zip(row, roles, strict=True)] for row in table.rows]
    aligned = ["right" if role == NUMBER else "left" for role in roles]
    headings = [markdown(column.heading) for column in table.columns]
    return tabulate.tabulate(
        rows, headers=headings, tablefmt="pipe", colalign=aligned if rows else None, disable_numparse=True
    )


def _as_markdown(text: str, role: str) -> str:
    if role == NAME and not set(text) & set("|\\"):
        return code(text)
    return "<br>".join(map(markdown, text.split("\n"))) if role == PROSE else markdown(text)


def on_page(table: Table) -> Markup:
    """An HTML table; what is set flush left has the class `words`."""
    kinds = [Markup("" if column.role == NUMBER else ' class="words"') for column in table.columns]
    heads = [Markup("<th{}>{}</th>").format(*pair) for pair in zip(kinds, _headings(table), strict=True)]
    rows = [
        Markup("<tr>{}</tr>\n").format(
            Markup("").join(Markup("<td{}>{}</td>").format(*pair) for pair in zip(kinds, map(_line, row), strict=True))
        )
        for row in table.rows
    ]
    return Markup("<table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table>").format(
        Markup("").join(heads), Markup("").join(rows)
    )


def _headings(table: Table) -> list[str]:
    return [column.heading for column in table.columns]


def _line(cell: TableText) -> str:
    return one_line(str(cell))

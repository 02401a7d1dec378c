"""The result on a terminal: the summary, and the tables that fit."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from bench.analyse.cell import Cell
from bench.axes.axis import AXES
from bench.record.model import Record
from bench.report import captions, column, own, tables
from bench.report.column import CaseColumn, head
from bench.report.details import note
from bench.report.headlines import answer, headlines
from bench.report.notices import notices
from bench.report.sentences import findings
from bench.report.words import capitalised
from bench.table import Table, on_terminal

# Of all findings, what nobody should miss; the page has the others.
TOPICS, ELSEWHERE = ("Measured", "Why", "Crossover"), ("CPU or GPU",)
KINDS = (column.STEP, column.PARTS, column.EPOCH, column.ACCURACY)
# The page and the CSV files have the rest.
COLUMNS = (
    *(axis.field for axis in AXES),
    "time_seconds", "images_per_second", "speedup", "share_of_step", "times_above_roofline", "bound", "bound_share",
    "test_accuracy_mean_fraction", "seeds_at_target",
)  # fmt: skip
# Headings that would be wider than what stands below them.
NARROW = {"precision": "Preci-\nsion", "optimizer": "Opti-\nmizer"}
# Where a table is wider than the terminal, these go one after the other: the least useful first.
EXPENDABLE = ("images_per_second", "bound_share", "speedup", "bound", "times_above_roofline")


def show(record: Record, console: Console, elsewhere: Sequence[Record] = ()) -> None:
    """Prints the summary and the record's tables; plain text where `console` is not a terminal.

    Args:
        record: The run at hand.
        console: Where to print.
        elsewhere: Records of other machines that the summary may speak of.
    """
    for text in notices(record):
        console.print(Text(text, style="yellow"), end="\n\n")
    summary = Grid.grid(padding=(0, 2, 0, 0))
    for text in answer(record):
        console.print(Text(text, style="bold"), end="\n\n")
    for topic, text in headlines(record):
        if topic not in TOPICS:  # what is told at length below
            summary.add_row(Text(topic, style="bold"), Text(capitalised(text)))
    topics = (*TOPICS, *ELSEWHERE) if elsewhere else TOPICS
    for finding in findings([record, *elsewhere]):
        if finding.topic in topics:
            summary.add_row(Text(finding.topic, style="bold"), Text(" ".join(finding.sentences)))
    if record.program and (missing := own.lacking(record.program)):  # the page says so below its title
        summary.add_row(Text("Missing", style="bold"), Text(f"The program has {missing}."))
    console.print(summary)
    console.print()
    for view in tables.VIEWS:
        if view.kind in KINDS and (table := tables.table(record, view)):
            console.print(Text(view.title, style="bold"))
            console.print(Text(captions.caption([record], table), style="dim"))
            console.print(_fitting(table, console))
            for line in _notes(table):
                console.print(Text(line, style="dim"))
            console.print()


def _fitting(table: tables.ViewTable, console: Console) -> Grid:
    """The first layout that the terminal holds, from roomy to bare; the barest if none."""
    layouts: list[tuple[int, tuple[str, ...]]] = [(2, COLUMNS)]
    layouts += [(1, tuple(c for c in COLUMNS if c not in EXPENDABLE[:gone])) for gone in range(len(EXPENDABLE) + 1)]
    # Measured on a wider terminal: on this one nothing would be wider than it.
    options = console.options.update_width(1000)
    grids = (_grid(table, gap, columns) for gap, columns in layouts)
    for grid in grids:
        if console.measure(grid, options=options).maximum <= console.width:
            break
    return grid


def _grid(table: tables.ViewTable, gap: int, columns: Sequence[str]) -> Grid:
    """The rows that have numbers, without the ratios' intervals: the sentences above have said the main ones."""
    kept = [index for index, shown in enumerate(table.columns) if shown.name in columns]
    shown = [table.columns[index] for index in kept]
    wrapped = [NARROW.get(one.name) or textwrap.fill(one.heading, 10, break_long_words=False) for one in shown]
    heads = [head(one, text) for text, one in zip(wrapped, shown, strict=True)]
    timed = [
        (behind[0], [_short(table.columns[index], texts[index], columns) for index in kept])
        for texts, behind in zip(table.texts, table.cells, strict=True)
        if behind[0].measurement
    ]
    marked = {number: "yellow" for number, (cell, _) in enumerate(timed) if cell.flags}
    return on_terminal(Table(heads, [texts for _, texts in timed]), gap=gap, styles=marked)


def _short(of: CaseColumn, text: str, columns: Sequence[str]) -> str:
    """The text without what stands in brackets, and of a bound its share only where that has room."""
    if of.name == "bound" and "bound_share" not in columns:
        return text.partition(" ")[0]
    return text.partition(" (")[0]


def _notes(table: tables.ViewTable) -> list[str]:
    """A line for every row that is flagged or has no number."""
    return [f"{_which(behind)} {text}" for behind in table.cells if (text := note(behind[0]))]


def _which(behind: list[Cell]) -> str:
    if len(behind) == 1:
        return behind[0].id
    return f"{behind[0].id} and {len(behind) - 1} more on {behind[0].case.device}"

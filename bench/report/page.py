"""The report as one HTML file: style and plots inside, no script, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.analyse.cell import Cell
from bench.record.measurement import Measurement
from bench.record.model import Record
from bench.report import captions, column, machines, sentences, tables, template, units, words
from bench.report.column import APART, NOTE, TIME, CaseColumn, head
from bench.report.details import note
from bench.report.headlines import answer, headlines
from bench.report.notices import notices
from bench.report.plot import Plot, for_page
from bench.table import NAME, PROSE, WORDS, Table, on_page

# Views of many columns, set closer.
DENSE = (column.WHY, column.PHASES, column.COMPILE, column.COUNTS)
MANY_COLUMNS = 10  # so is what turns out to have more
# All that is long stands folded, but for what most come for.
OPEN = (column.STEP, column.WHY, column.EPOCH, column.ACCURACY)


@dataclass(frozen=True)
class Shown:
    """A table cell.

    Attributes:
        aside: Quieter words after the text: an interval, or why there is no number.
        span: Columns that it covers.
        anchor: Where the number's command stands, to link to.
        flag: Names of the flags that the number carries.
    """

    text: str
    aside: str = ""
    kind: str = ""
    span: int = 1
    anchor: str = ""
    flag: str = ""


@dataclass(frozen=True)
class ShownTable:
    """A table as the template wants it; `measurements` has an entry per row where the table lists commands."""

    caption: str
    place: str
    headings: list[Shown]
    width: int
    rows: list[list[Shown]]
    anchors: list[str]
    measurements: list[Measurement]


@dataclass(frozen=True)
class Section:
    """A view of all records with its plot; `style` and `folded` as in `DENSE` and `OPEN`."""

    name: str
    title: str
    meaning: str
    plot: Markup | None
    plot_caption: str
    tables: list[ShownTable]
    style: str
    folded: bool


def page(records: Sequence[Record], drawn: Sequence[Plot], overview: Table | None = None) -> str:
    """The whole page, as `bench.report.markdown.markdown`; `records[0]` is the run at hand."""
    sections = [_section(records, view, drawn) for view in tables.VIEWS]
    return template.render(
        "bench.report",
        captions=captions,
        words=words,
        records=records,
        run=records[0],
        duration=units.duration(records[0].duration_seconds),
        notices=notices(records[0]),
        answer=answer(records[0]),
        accounts=_figure(records, "accounts", drawn),
        headlines=headlines(records[0]),
        findings=sentences.findings(records),
        sections=[section for section in sections if section.tables],
        machines=machines,
        overview=on_page(overview) if overview else None,
        flags=captions.flags(records),
        environments=[(record, tables.environment_table(record).rows) for record in records],
    )


def _section(records: Sequence[Record], view: tables.View, drawn: Sequence[Plot]) -> Section:
    shown = [
        _table(records, table, index)
        for index, record in enumerate(records)
        if (table := tables.table(record, view)) is not None
    ]
    plot, caption = _figure(records, view.name, drawn)
    wide = any(len(table.headings) > MANY_COLUMNS for table in shown)
    style, folded = "dense" if wide or view.name in DENSE else "", view.name not in OPEN
    return Section(view.name, view.title, words.capitalised(view.meaning), plot, caption, shown, style, folded)


def _figure(records: Sequence[Record], name: str, drawn: Sequence[Plot]) -> tuple[Markup | None, str]:
    """The plot of that name with its caption; without a plot, why there is none, if there should be one."""
    drawing = next((plot for plot in drawn if plot.name == name), None)
    if drawing is None or not drawing.svg:
        return None, drawing.problem if drawing else ""
    return Markup(for_page(drawing.svg, drawing.label)), captions.plot_caption(records, name)


def _table(records: Sequence[Record], table: tables.ViewTable, index: int) -> ShownTable:
    listing = table.view.name == column.SAMPLES
    # The page says a note where it belongs: beside the number, or in place of the missing ones.
    kept = [number for number, c in enumerate(table.columns) if c.role != NOTE]
    headings = [_heading(table.columns[number]) for number in kept]
    rows = []
    for texts, behind in zip(table.texts, table.cells, strict=True):
        pairs = [(table.columns[number], texts[number]) for number in kept]
        if behind[0].unmeasured and table.view.name != column.GAPS:
            rows.append(_gap_row(pairs, behind, sum(heading.span for heading in headings)))
        else:
            anchor = "" if listing else _anchor(behind[0], index)
            rows.append([_shown(c, text, behind[0], anchor, table.view.name in DENSE) for c, text in pairs])
    return ShownTable(
        caption=captions.caption([table.record], table),
        place=captions.place(records, table.record),
        headings=headings,
        width=sum(heading.span for heading in headings),
        rows=rows,
        anchors=[_anchor(behind[0], index) if listing else "" for behind in table.cells],
        measurements=[m for behind in table.cells if (m := behind[0].measurement)] if listing else [],
    )


def _heading(of: CaseColumn) -> Shown:
    # A ratio and its interval are set in two columns, so that the numbers stand under each other. The sign stays with
    # its word.
    return Shown(of.heading.replace("× roofline", "×\u00a0roofline"), kind=_kind(of, ""), span=2 if of.versus else 1)


def _gap_row(pairs: list[tuple[CaseColumn, str]], behind: list[Cell], width: int) -> list[Shown]:
    axes = [Shown(text, kind=_kind(of, text)) for of, text in pairs if of.axis]
    count = f"{len(behind)} cases " if len(behind) > 1 else ""
    return [*axes, Shown("–", count + note(behind[0]), "gap", width - len(axes))]


def _kind(of: CaseColumn, text: str) -> str:
    # What is not the default shall catch the eye.
    choice = of.axis if of.axis and not of.axis.own and of.axis.field != "workload" else None
    plain = choice is not None and text == choice.shown(choice.default)
    missing = text == units.MISSING
    words = head(of).role == WORDS
    # Running text is set small and wraps.
    kinds = {"words": words, "plain": plain, "note": of.role == PROSE, "missing": missing}
    kinds["apart"] = of.role == APART
    return " ".join(kind for kind, applies in kinds.items() if applies)


def _anchor(cell: Cell, index: int) -> str:
    return f"r{index}-{re.sub('[^a-z0-9_]+', '-', cell.id.lower()).strip('-')}"


def _shown(of: CaseColumn, text: str, cell: Cell, anchor: str, dense: bool) -> Shown:
    shown = "–" if text == units.MISSING else text
    if of.versus:
        number, _, bounds = shown.partition(" (")
        # The flag stands beside the median already.
        reason = "" if cell.why_not_judged else of.versus(cell).reason or ""
        return Shown(number, bounds.rstrip(")") or reason, _kind(of, text), span=2)
    if of.role == TIME or (of.role == NAME and dense):
        return Shown(shown, "", _kind(of, text), anchor=anchor, flag=cell.flag_names if anchor else "")
    return Shown(shown, kind=_kind(of, text))

"""The report as Markdown: the page's sentences, tables and commands, plots by reference."""

from __future__ import annotations

from collections.abc import Sequence

from bench.record.model import Record
from bench.report import captions, column, machines
from bench.report.column import head
from bench.report.plot import Plot
from bench.report.sentences import findings, warnings
from bench.report.tables import VIEWS, View, ViewTable, environment_table, table
from bench.report.words import capitalised, machine_and_day, version
from bench.table import Table, as_markdown
from bench.text import code, fence


def markdown(records: Sequence[Record], drawn: Sequence[Plot], overview: Table | None = None) -> str:
    """The whole report; `records[0]` is the run at hand, `drawn` are the plots that lie in `plots/`.

    Args:
        records: What is shown in full.
        drawn: The plots.
        overview: Of these and of more records, as `bench.report.machines` has it; None where there are no more.
    """
    run = records[0]
    parts = [f"# {captions.TITLE}", captions.NETWORK]
    parts += [f"> **Note.** {text}" for text in warnings(run)]
    parts += ["\n".join(f"- **{f.topic}.** {' '.join(f.sentences)}" for f in findings(records))]
    if overview is not None:
        parts += [f"## {machines.TITLE}", f"{capitalised(machines.MEANING)}.", as_markdown(overview)]
    parts += [section for view in VIEWS if (section := _section(records, view, drawn))]
    parts += ["## How to read this", "\n".join(f"- **{term}**: {text}" for term, text in captions.HOW_TO_READ)]
    if found := captions.flags(records):
        parts += ["Flags in this report:", "\n".join(f"- **{name}**: {meaning}" for name, meaning in found)]
    parts.append("## Environment")
    for record in records:
        facts = (captions.place(records, record), machine_and_day(record), version(record), code(record.command))
        parts += [f"**{' · '.join(fact for fact in facts if fact)}**", as_markdown(environment_table(record))]
    return "\n\n".join(parts) + "\n"


def _section(records: Sequence[Record], view: View, drawn: Sequence[Plot]) -> str:
    tables = [found for record in records if (found := table(record, view))]
    if not tables:
        return ""
    parts = [f"## {view.title}", f"{view.meaning[0].upper()}{view.meaning[1:]}."]
    for plot in drawn:
        if plot.name == view.name:
            shown = [f"![{plot.label}](plots/{plot.name}.svg)", captions.plot_caption(records, plot.name)]
            parts += [f"There is no plot: {plot.problem}"] if plot.problem else shown
    for found in tables:
        parts += [f"**{captions.caption(records, found)}**", _shown(found)]
        if view.name == column.SAMPLES:
            parts.append(_commands(found))
    return "\n\n".join(parts)


def _shown(found: ViewTable) -> str:
    return as_markdown(Table([head(one) for one in found.columns], found.frame.values.tolist()))


def _commands(found: ViewTable) -> str:
    lines = [f"# {m.id}\n{m.command}" for row in found.cells for cell in row if (m := cell.measurement)]
    text = "\n".join(lines)
    ticks = fence(text, 3)
    return f"{ticks}sh\n{text}\n{ticks}"

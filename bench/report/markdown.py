"""The report as Markdown that also reads well in a terminal: no line is longer than `WIDTH`, but for links.

What does not fit is in the folder's CSV files, to which it points.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bench.record.model import Record
from bench.report import captions, column, machines
from bench.report.column import head
from bench.report.headlines import answer, headlines
from bench.report.notices import notices
from bench.report.plot import Plot
from bench.report.sentences import findings
from bench.report.tables import VIEWS, View, ViewTable, environment_table, table
from bench.report.words import capitalised, machine_and_day, version
from bench.table import Table, as_markdown
from bench.text import code
from bench.text import markdown as as_text

WIDTH = 120
SHOWN = (column.STEP, column.WHY, column.EPOCH, column.ACCURACY)  # the others are CSV files only
FEWEST_COLUMNS = 3


def markdown(records: Sequence[Record], drawn: Sequence[Plot], overview: Table | None = None) -> str:
    """The whole report; `records[0]` is the run at hand, `drawn` are the plots that lie in `plots/`.

    Args:
        records: What is shown in full.
        drawn: The plots.
        overview: Of these and of more records, as `bench.report.machines` has it; None where there are no more.
    """
    run = records[0]
    parts = [f"# {as_text(captions.title(run))}", _wrapped(as_text(captions.subject(run)))]
    parts += [_wrapped(f"**Note.** {as_text(text)}", "> ") for text in notices(run)]
    parts += [_wrapped(as_text(text)) for text in answer(run)]
    parts += _figure(records, "accounts", drawn)
    parts += [_list((topic, as_text(capitalised(text))) for topic, text in headlines(run))]
    parts += ["## All findings", _list((f.topic, as_text(" ".join(f.sentences))) for f in findings(records))]
    if overview is not None:
        parts += [f"## {machines.TITLE}", _wrapped(f"{capitalised(machines.MEANING)}."), as_markdown(overview)]
    parts += [text for view in VIEWS if view.kind in SHOWN for text in _section(records, view, drawn)]
    if run.unmeasured:
        parts += ["## Not measured", _list(_gaps(run))]
    parts += ["## More tables", _more(records)]
    parts += ["## How to read this", _list(captions.how_to_read(records))]
    if flags := captions.flags(records):
        parts += ["Flags in this report:", _list(flags)]
    parts.append("## Environment")
    for record in records:
        facts = (captions.place(records, record), machine_and_day(record), version(record), code(record.command))
        parts += [_wrapped(" · ".join(fact for fact in facts if fact))]
        parts += [_list((f"{group}, {fact}", str(value)) for group, fact, value in environment_table(record).rows)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _wrapped(text: str, indent: str = "", begin: str | None = None) -> str:
    start = indent if begin is None else begin
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=indent, **options)  # type: ignore[arg-type]


def _list(items: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> str:
    return "\n".join(_wrapped(f"**{term}**: {text}", "  ", "- ") for term, text in items)


def _figure(records: Sequence[Record], name: str, drawn: Sequence[Plot]) -> list[str]:
    plot = next((plot for plot in drawn if plot.name == name), None)
    if plot is None:
        return []
    if plot.problem:
        return [_wrapped(f"There is no plot: {plot.problem}")]
    return [f"![{plot.label}](plots/{plot.name}.svg)", _wrapped(captions.plot_caption(records, name))]


def _section(records: Sequence[Record], view: View, drawn: Sequence[Plot]) -> list[str]:
    tables = [view_table for record in records if (view_table := table(record, view))]
    if not tables:
        return []
    parts = [f"## {view.title}", _wrapped(f"{capitalised(view.meaning)}."), *_figure(records, view.name, drawn)]
    for view_table in tables:
        caption = captions.caption(records, view_table)
        parts += [_wrapped(f"*{as_text(caption)}*") if caption else "", _fitting(view_table)]
    return parts


def _fitting(view_table: ViewTable) -> str:
    """As many of the table's first columns as the width holds, and where the others are."""
    rows = view_table.texts
    for count in range(len(view_table.columns), FEWEST_COLUMNS - 1, -1):
        text = as_markdown(Table([head(one) for one in view_table.columns[:count]], [row[:count] for row in rows]))
        if max(map(len, text.split("\n"))) <= WIDTH:
            missing = len(view_table.columns) - count
            more = f"\n\n{missing} more columns: [tables/{view_table.view.name}.csv](tables/{view_table.view.name}.csv)"
            return text + more * bool(missing)
    return f"Its columns are too wide for text: [tables/{view_table.view.name}.csv](tables/{view_table.view.name}.csv)"


def _gaps(record: Record) -> list[tuple[str, str]]:
    """What could not be measured, by why."""
    by_why: dict[tuple[str, str], list[str]] = {}
    for gap in record.unmeasured:
        by_why.setdefault((gap.kind, gap.reason), []).append(gap.id)
    return [(kind, f"{reason}: {', '.join(map(code, ids))}") for (kind, reason), ids in by_why.items()]


def _more(records: Sequence[Record]) -> str:
    """The views that only the CSV files have."""
    views = [view for view in VIEWS if view.kind not in SHOWN and any(table(record, view) for record in records)]
    lines = [(view.title, f"[tables/{view.name}.csv](tables/{view.name}.csv), {view.meaning}") for view in views]
    return _list([*lines, ("Any number again", "its row in these files ends with the command that measures it")])

"""From records to files: the report's page, Markdown, tables and plots in a folder.

Another kind of file is one more row of `EXPORTERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import reason_of
from bench.record import files
from bench.record.model import Record
from bench.report.machines import overview, shown_in_full
from bench.report.markdown import markdown
from bench.report.page import page
from bench.report.plot import Plot
from bench.report.tables import VIEWS, aten_calls, raw
from bench.table import Table, as_csv


@dataclass(frozen=True)
class Report:
    """What a report is made of.

    Attributes:
        records: The run at hand, then any measured elsewhere.
        shown: Those of them that are shown in full.
        plots: Of these.
        overview: All of them in a table; None where all are shown in full.
    """

    records: Sequence[Record]
    shown: Sequence[Record]
    plots: Sequence[Plot]
    overview: Table | None


EXPORTERS: dict[str, Callable[[Report], str]] = {
    "report.md": lambda report: markdown(report.shown, report.plots, report.overview),
    "report.html": lambda report: page(report.shown, report.plots, report.overview),
}


def write_report(records: Sequence[Record], folder: Path) -> list[str]:
    """Writes what `EXPORTERS` make, tables/*.csv and plots/*.svg into the existing `folder`.

    The same records always give the same bytes.

    Args:
        records: The run at hand, then any measured elsewhere, which are marked as such.
        folder: Must exist. Files of the same names are replaced.

    Returns:
        Which plots could not be drawn, and why; they cost nothing else.
    """
    shown = shown_in_full(records)
    report = Report(records, shown, _drawn(shown), overview(records))
    for name in ("tables", "plots"):
        (folder / name).mkdir(exist_ok=True)
    for plot in report.plots:
        if plot.svg:
            files.write(folder / "plots" / f"{plot.name}.svg", plot.svg)
    tables = {view.name: raw(records, view) for view in VIEWS} | {"aten_calls": aten_calls(records)}
    for name, table in tables.items():
        if table.rows:
            files.write(folder / "tables" / f"{name}.csv", as_csv(table))
    for name, export in EXPORTERS.items():
        files.write(folder / name, export(report))
    return [f"plot {plot.name}: {plot.problem}" for plot in report.plots if plot.problem]


def _drawn(records: Sequence[Record]) -> list[Plot]:
    try:
        from bench.report.plots import plots
    except Exception as error:  # a configuration that matplotlib cannot read keeps it from being imported
        return [Plot("steps", "", "", f"matplotlib cannot be imported: {reason_of(error)}")]
    return plots(records)

"""From records to files: the report's page, Markdown, tables and plots in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import reason_of
from bench.record import files
from bench.record.model import Record
from bench.report.machines import overview, shown_in_full
from bench.report.markdown import markdown
from bench.report.page import page
from bench.report.plot import Plot
from bench.report.tables import VIEWS, aten_calls_frame, raw_frame


def write_report(records: Sequence[Record], folder: Path) -> list[str]:
    """Writes report.md, report.html, tables/*.csv and plots/*.svg into the existing `folder`.

    The same records always give the same bytes.

    Args:
        records: The run at hand, then any measured elsewhere, which are marked as such.
        folder: Must exist. Files of the same names are replaced.

    Returns:
        Which plots could not be drawn, and why; they cost nothing else.
    """
    shown = shown_in_full(records)
    drawn = _drawn(shown)
    for name in ("tables", "plots"):
        (folder / name).mkdir(exist_ok=True)
    for plot in drawn:
        if plot.svg:
            files.write(folder / "plots" / f"{plot.name}.svg", plot.svg)
    frames = {view.name: raw_frame(records, view) for view in VIEWS} | {"aten_calls": aten_calls_frame(records)}
    for name, frame in frames.items():
        if not frame.empty:
            files.write(folder / "tables" / f"{name}.csv", frame.to_csv(index=False, lineterminator="\n"))
    table = overview(records)
    files.write(folder / "report.md", markdown(shown, drawn, table))
    files.write(folder / "report.html", page(shown, drawn, table))
    return [f"plot {plot.name}: {plot.problem}" for plot in drawn if plot.problem]


def _drawn(records: Sequence[Record]) -> list[Plot]:
    try:
        from bench.report.plots import plots
    except Exception as error:  # a configuration that matplotlib cannot read keeps it from being imported
        return [Plot("steps", "", "", f"matplotlib cannot be imported: {reason_of(error)}")]
    return plots(records)

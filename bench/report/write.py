"""From records to files: the report's page, Markdown, tables and plots in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.record.model import Record
from bench.report.markdown import markdown
from bench.report.page import page
from bench.report.plots import plots
from bench.report.tables import VIEWS, aten_calls_frame, raw_frame


def write_report(records: Sequence[Record], folder: Path) -> None:
    """Writes report.md, report.html, tables/*.csv and plots/*.svg into the existing `folder`.

    The same records always give the same bytes.

    Args:
        records: The run at hand, then any measured elsewhere, which are marked as such.
        folder: Must exist. Files of the same names are replaced.
    """
    drawn = plots(records)
    for name in ("tables", "plots"):
        (folder / name).mkdir(exist_ok=True)
    for plot in drawn:
        (folder / "plots" / f"{plot.name}.svg").write_text(plot.svg, "utf-8")
    frames = {view.name: raw_frame(records, view) for view in VIEWS} | {"aten_calls": aten_calls_frame(records)}
    for name, frame in frames.items():
        if not frame.empty:
            frame.to_csv(folder / "tables" / f"{name}.csv", index=False, lineterminator="\n", encoding="utf-8")
    (folder / "report.md").write_text(markdown(records, drawn), "utf-8")
    (folder / "report.html").write_text(page(records, drawn), "utf-8")

"""`fcnn-bench report` and `fcnn-bench compare`: records in, pages and tables out; torch is not needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.analyse.compare import Row, compare
from bench.analyse.statistics import Summary
from bench.record import store
from bench.report.units import MISSING, measured, ratio
from bench.report.write import write_report

DONE, USAGE, NOT_COMPARABLE = 0, 2, 4


def write_pages(paths: Sequence[Path], output: Path | None) -> int:
    """Draws the first record's report with the others beside it, in `output` or a folder beside the first."""
    records = [store.read(path) for path in paths]
    target = output or store.free_name(_folder(paths[0]) / "report")
    if target.exists():
        print(f"fcnn-bench: {target} exists already; choose another --output", file=sys.stderr)
        return USAGE
    with store.atomic_folder(target) as folder:
        write_report(records, folder)
    print(f"wrote {target}/report.html")
    return DONE


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def show_comparison(a: Path, b: Path) -> int:
    """Prints both records' medians and the ratio with its interval, case by case."""
    records = [store.read(path) for path in (a, b)]
    try:
        rows = compare(*records)
    except ValueError as error:
        print(f"fcnn-bench: not comparable: {error}", file=sys.stderr)
        return NOT_COMPARABLE
    if not any(row.a and row.b for row in rows):
        print("fcnn-bench: not comparable: the records have no case in common", file=sys.stderr)
        return NOT_COMPARABLE
    console = Console(highlight=False)
    for name, record in zip("AB", records, strict=True):
        console.print(f"{name}  {record.machine.label}, {record.created_utc}, {record.dataset.label}", soft_wrap=True)
    table = Table("case", "A", "B", "B / A, 95% interval", "verdict", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(row.id, _median(row.a), _median(row.b), _ratio(row), row.verdict)
    console.print(table)
    return DONE


def _median(summary: Summary | None) -> str:
    return measured(summary) if summary else MISSING


def _ratio(row: Row) -> str:
    return ratio(row.ratio) if row.ratio else MISSING

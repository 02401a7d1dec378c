"""`fcnn-bench report` and `fcnn-bench compare`: records in, pages and tables out; torch is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from bench import console
from bench.analyse.compare import Row, as_a_whole, compare
from bench.analyse.statistics import Summary
from bench.errors import BROKEN, DONE, NOT_COMPARABLE, USAGE, BenchError
from bench.record import store
from bench.report.units import MISSING, measured, ratio
from bench.report.write import write_report


def write_pages(paths: Sequence[Path], output: Path | None) -> int:
    """Draws the first record's report with the others beside it, in `output` or a folder beside the first."""
    records = [store.read(path) for path in paths]
    target = output or store.free_name(_folder(paths[0]) / "report")
    if target.exists():
        raise BenchError(f"{target} exists already; choose another --output", USAGE)
    with store.atomic_folder(target) as folder:
        problems = write_report(records, folder)
    for problem in problems:
        console.error(problem)
    console.line(f"wrote {target}/report.html")
    return BROKEN if problems else DONE


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def show_comparison(a: Path, b: Path) -> int:
    """Prints both records' medians and the ratio with its interval, case by case."""
    records = [store.read(path) for path in (a, b)]
    try:
        rows = compare(*records)
    except ValueError as error:
        raise BenchError(f"not comparable: {error}", NOT_COMPARABLE) from error
    if not any(row.a and row.b for row in rows):
        raise BenchError("not comparable: the records have no case in common", NOT_COMPARABLE)
    terminal = console.make()
    for name, record in zip("AB", records, strict=True):
        terminal.print(f"{name}  {record.machine.label}, {record.created_utc}, {record.dataset.label}", soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("case", no_wrap=True)  # an id is copied whole
    for heading in ("A", "B", "B / A beside the base, 95% interval", "verdict"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row.id, _median(row.a), _median(row.b), _ratio(row), row.verdict)
    terminal.print(table)
    if (whole := as_a_whole(*records)) is not None:
        terminal.print(
            f"As a whole, B takes {whole:.2f} times A's time. One run a side cannot tell whether that is the machine "
            "of another day or the program: a case is judged by its time as a multiple of the base case's.",
            soft_wrap=True,
        )
    return DONE


def _median(summary: Summary | None) -> str:
    return measured(summary) if summary else MISSING


def _ratio(row: Row) -> str:
    return ratio(row.ratio) if row.ratio else MISSING

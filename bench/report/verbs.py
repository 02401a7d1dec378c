"""`fcnn-bench report` and `fcnn-bench compare`: records in, pages and tables out; torch is not needed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from bench import console
from bench.analyse.compare import FEW, as_a_whole, compare, other_programs, took_turns
from bench.analyse.levels import Estimate
from bench.analyse.statistics import Ratio
from bench.errors import BROKEN, DONE, USAGE, BenchError, not_comparable
from bench.record import store
from bench.record.model import Record
from bench.report.units import MISSING, ratio, seconds, times
from bench.report.words import FLAGS
from bench.report.write import write_report
from bench.table import NAME, PROSE, Column, Table, on_terminal


def write_pages(paths: Sequence[Path], output: Path | None) -> int:
    """Draws the first record's report with the others beside it, in `output` or a folder beside the first."""
    records = [store.read(path) for path in paths]
    if reason := other_programs(records):
        raise not_comparable(f"report: {reason}")
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


def show_comparison(a: Sequence[Path], b: Sequence[Path]) -> int:
    """Prints both sides' times and the ratio with its interval, case by case."""
    sides = [[store.read(path) for path in paths] for paths in (a, b)]
    _refuse_twice([*a, *b], [*sides[0], *sides[1]])
    try:
        rows = compare(*sides)
    except ValueError as error:
        raise not_comparable(f"not comparable: {error}") from error
    if not any(row.a and row.b for row in rows):
        raise not_comparable("not comparable: the records have no case in common")
    terminal = console.make()
    for name, records in zip("AB", sides, strict=True):
        for record in records:
            shown = f"{name}  {record.machine.label}, {record.created_utc}, {record.dataset.label}"
            terminal.print(shown, soft_wrap=True)
    texts = [
        [row.id, _time(row.a), _time(row.b), ratio(row.ratio) if row.ratio else MISSING, row.verdict] for row in rows
    ]
    columns = [Column("case", NAME), *(Column(heading, PROSE) for heading in ("A", "B", "B / A", "verdict"))]
    terminal.print(on_terminal(Table(columns, texts)))
    meaning = "B / A is how many times as long a case takes in B, beside the middle of the other cases of its rounds"
    terminal.print(f"{meaning}, with its 95% interval.", soft_wrap=True)
    for flag in dict.fromkeys(flag for row in rows for flag in row.flags):
        terminal.print(f"{flag}: {FLAGS.get(flag, flag)}.", soft_wrap=True)
    if any(row.ratio and row.ratio.clear and row.others < FEW for row in rows):
        terminal.print(f"Of a case beside fewer than {FEW} others, it may be these that have changed.", soft_wrap=True)
    if whole := as_a_whole(*sides):
        terminal.print(_whole(whole, in_turn=took_turns(*sides)), soft_wrap=True)
    return DONE


def _refuse_twice(paths: Sequence[Path], records: Sequence[Record]) -> None:
    """Raises BenchError if a run is there twice, which would say of itself that it repeats."""
    for (path, one), (other_path, other) in itertools.combinations(zip(paths, records, strict=True), 2):
        if one == other:
            named = f"{path} is named twice" if path == other_path else f"{path} and {other_path} are the same run"
            raise BenchError(f"compare: {named}: a run counts once", USAGE)


def _time(estimate: Estimate | None) -> str:
    return seconds(estimate.value, *estimate.bounds()) if estimate else MISSING


def _whole(whole: Ratio, *, in_turn: bool) -> str:
    takes = times(whole, "A's time").removesuffix(" (no interval)")
    sentence = f"As a whole, B takes {takes}"
    if whole.low is None or not in_turn:
        why = "one run of a side tells no interval" if whole.low is None else "the one side's runs all came first"
        sentence += f"; {why}, so this may be the machine of another day: take turns, and compare A1 A2 -- B1 B2"
    else:
        sentence += (
            f": {('B is slower' if whole.value > 1 else 'B is faster') if whole.clear else 'no clear difference'}"
        )
    return f"{sentence}."

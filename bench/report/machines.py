"""Many records at a glance: machines against cases. Those of a handful are shown in full; the CSV files have all."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from bench.analyse.cell import Cell
from bench.analyse.cells import cells
from bench.axes.axis import is_plain
from bench.axes.workloads import workload
from bench.record.model import Record
from bench.report import units
from bench.report.words import flag_mark, machine_and_day
from bench.table import Table

HANDFUL = 5  # records whose tables may stand below one another
MOST_CASES = 8
BATCH_SIZES = (1, 64, 1024, 16384)
TITLE = "Machines against cases"
MEANING = "the time of the cases that most of the runs have, plain ones; all others are in tables/, a row per case"


def shown_in_full(records: Sequence[Record]) -> Sequence[Record]:
    """The records whose tables a report has: all of a handful, of more the run at hand alone."""
    return records if len(records) <= HANDFUL else records[:1]


def overview(records: Sequence[Record]) -> Table | None:
    """A row per record with the times of the plain cases that most of them have; None where all are shown in full."""
    if shown_in_full(records) is records:
        return None
    by_id = [{cell.id: cell for cell in cells(record) if cell.summary and _is_plain(cell)} for record in records]
    count = collections.Counter(id for plain in by_id for id in plain)
    first = {id: at for at, id in enumerate(dict.fromkeys(id for plain in by_id for id in plain))}
    chosen = sorted(sorted(count, key=lambda id: (-count[id], first[id]))[:MOST_CASES], key=first.__getitem__)
    rows = [
        [machine_and_day(record), *(_time(plain.get(id)) for id in chosen)]
        for record, plain in zip(records, by_id, strict=True)
    ]
    return Table.of(["Machine", *chosen], rows)


def _is_plain(cell: Cell) -> bool:
    """Whether it is a whole step, epoch or training of the reference, at one of a few batch sizes."""
    part = workload(cell.case.workload).is_part and cell.case.workload != "step"
    return is_plain(cell.case) and not part and cell.case.batch_size in BATCH_SIZES


def _time(cell: Cell | None) -> str:
    if cell is None or cell.summary is None:
        return units.MISSING
    return units.time(cell.summary) + flag_mark(cell)

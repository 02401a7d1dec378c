"""The tables: one view of a record each, as text to show and as raw SI values to compute with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analyse.account import TERMS
from bench.analyse.cell import Cell, Versus
from bench.analyse.cells import cells
from bench.analyse.once import once_a_record
from bench.axes.axis import AXES
from bench.axes.workloads import STEP_WORKLOADS as PART_NAMES
from bench.axes.workloads import WORKLOADS, Workload, workload
from bench.record.measurement import CaseFields
from bench.record.model import Record
from bench.report import column, units
from bench.report.column import NOTE, CaseColumn
from bench.report.columns import COLUMNS
from bench.report.units import MISSING
from bench.table import NAME, WORDS, CsvTable, Table
from bench.text import fact_name, fact_value

# Not said in a caption: what nobody would expect to be otherwise.
_UNSAID = {(axis.field, axis.shown(axis.default)) for axis in AXES if axis.feed or axis.hyperparameter}
_NOT_OWN = [axis.field for axis in AXES if not axis.own and axis.field != "workload"]
_SHOWN_OF_ONE = ("device", "batch_size")  # in a table of one row, which has nothing in common with another


@dataclass(frozen=True)
class View:
    """A question put to a record; `name` is also the CSV file's, `belongs` chooses the rows.

    Its columns are those of the views of its `kind`: its own, or those of a step's for a workload that has a table.
    """

    name: str
    title: str
    meaning: str
    belongs: Callable[[Cell], bool]
    like: str = ""

    @property
    def kind(self) -> str:
        """The view whose columns it has."""
        return self.like or self.name


def _of_workload(row: Workload) -> View:
    return View(row.name, row.title, row.meaning, lambda cell: cell.case.workload == row.name, column.STEP)


def _is_part(cell: Cell) -> bool:
    """Whether it is a part of a step, or a whole step of which this run timed a part."""
    if cell.case.workload != "step":
        return workload(cell.case.workload).is_part
    return cell.case in _steps_with_parts(cell.record)


@once_a_record
def _steps_with_parts(record: Record) -> set[CaseFields]:
    """The steps of which the run has a part."""
    cases = (*(m.case for m in record.measurements), *(u.case for u in record.unmeasured))
    return {
        dataclasses.replace(case, workload="step")
        for case in cases
        if case.workload != "step" and workload(case.workload).is_part
    }


VIEWS = (
    View(column.STEP, "Training step", "one step: move a batch, forward, backward, update",
         lambda cell: cell.case.workload == "step"),
    View(column.WHY, "Causes of every case",
         "the shares of each time by what takes it, and what was measured to help; grouped by what takes the most",
         lambda cell: cell.account is not None),
    View(column.PARTS, "Parts of the step", "forward (with loss), forward and backward, the update alone, and all",
         _is_part),
    View(column.PHASES, "Time by part of the program",
         "shares of the host's time by part; the device's busy time, which runs beside it, stands apart",
         lambda cell: cell.measurement is not None and cell.measurement.phases is not None),
    View(column.COMPILE, "torch.compile and CUDA graphs",
         "what it gains a repetition, and what compiling costs once",
         lambda cell: cell.case.compiler != "off"),
    *(_of_workload(row) for row in WORKLOADS.values() if row.title),
    View(column.EPOCH, "Epoch by data feed",
         "every training image once; per step, with what it takes to fetch the batch",
         lambda cell: cell.case.workload == "epoch"),
    View(column.ACCURACY, "Accuracy",
         "trainings from several seeds, tested every few steps; one that has reached 93% may end just below it",
         lambda cell: cell.case.workload == "accuracy"),
    View(column.START_UP, "From a cold start",
         "a fresh process, from nothing to the target's accuracy, in the order in which it is paid; medians",
         lambda cell: cell.measurement is not None and bool(cell.measurement.start_ups)),
    View(column.COUNTS, "Exact counts",
         "what one repetition does; of an epoch or a training, one step. The calls by name: tables/aten_calls.csv",
         lambda cell: cell.measurement is not None and cell.measurement.counters is not None),
    View(column.SAMPLES, "Every number and its command",
         "statistics of the raw samples, of which the time is the mean of the fastest quarter; per repetition",
         lambda cell: cell.measurement is not None),
    View(column.GAPS, "Not measured", "planned cases without a number, and why",
         lambda cell: cell.unmeasured is not None),
)  # fmt: skip


@dataclass(frozen=True)
class ViewTable:
    """A view of one record.

    Attributes:
        texts: What is shown, a row after the other.
        columns: The columns of `texts`.
        cells: The cells behind each row; several where alike gaps share a row.
        agreed: What all rows have in common, such as `optimizer adam, 2 threads`; empty if nothing.
    """

    view: View
    record: Record
    texts: list[list[str]]
    columns: list[CaseColumn]
    cells: list[list[Cell]]
    agreed: str


def table(record: Record, view: View) -> ViewTable | None:
    """The view of the record as text; None if the record has no such case."""
    chosen = _rows(record, view)
    if not chosen or (view.name != column.GAPS and not any(cell.measurement for cell in chosen)):
        return None
    shown = [c for c in COLUMNS if view.kind in c.views and c.show and not _is_the_programs(c, chosen)]
    here = _of_devices_here(chosen)
    # That a whole device is missing is said once: what cannot be measured has a table of its own.
    chosen = chosen if view.name == column.GAPS else list(here)
    agreed = [c for c in shown if c.axis and c.name != "workload" and len(_texts(c, chosen)) == 1]
    agreed = agreed if len(chosen) > 1 else [c for c in agreed if c.name not in _SHOWN_OF_ONE]
    shown = [c for c in shown if c not in agreed and (c.axis or c.role in (NAME, NOTE) or _says_anything(c, chosen))]
    shown = [c for c in shown if c.role != NOTE or _texts(c, chosen) != [""]]
    rows = _grouped(chosen) if view.kind in column.TIMED else [[cell] for cell in chosen]
    body = [[_text(c, row) for c in shown] for row in rows]
    facts = [(c, _texts(c, chosen)[0]) for c in agreed]
    facts_shown = [f"{c.heading.lower()} {text}" for c, text in facts if (c.name, text) not in _UNSAID]
    return ViewTable(view, record, body, shown, rows, ", ".join(facts_shown))


def _is_the_programs(of: CaseColumn, chosen: Sequence[Cell]) -> bool:
    """Whether it is of an axis that programs of the user's own choose themselves, and there are no other cells."""
    return of.name in _NOT_OWN and all(workload(cell.case.workload).own for cell in chosen)


def _of_devices_here(chosen: Sequence[Cell]) -> Sequence[Cell]:
    """The cells of a table: what a device that is not here would have been asked takes no row, unless it is all."""
    devices = {cell.case.device for cell in chosen if cell.measurement}
    return [cell for cell in chosen if cell.case.device in devices] or chosen


def _texts(of: CaseColumn, chosen: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(of.show(cell) for cell in chosen)) if of.show else []


def _says_anything(of: CaseColumn, chosen: Sequence[Cell]) -> bool:
    """Whether any row has a value: a column of nothing but `-` is left out, unless it is what the table is about.

    So is one that compares each row with itself alone.
    """
    if of.versus and all(versus.ratio is None or versus.baseline_id == cell.id for cell, versus in _versus(of, chosen)):
        return False
    return of.stays or _texts(of, chosen) not in ([MISSING], [""])


def _versus(of: CaseColumn, chosen: Sequence[Cell]) -> list[tuple[Cell, Versus]]:
    return [(cell, of.versus(cell)) for cell in chosen] if of.versus else []


def _rows(record: Record, view: View) -> list[Cell]:
    everything = cells(record)
    chosen = [cell for cell in everything if view.belongs(cell)]
    if view.name in (column.SAMPLES, column.GAPS):
        return chosen
    chosen = sorted(chosen, key=_order(everything))
    # By what takes the most of the time: alike cases have one reason.
    return sorted(chosen, key=_cause) if view.name == column.WHY else chosen


def _cause(cell: Cell) -> int:
    return TERMS.index(cell.account.largest) if cell.account else len(TERMS)


def _order(everything: Sequence[Cell]) -> Callable[[Cell], tuple[int, ...]]:
    """Devices together, then a mode together, batch sizes ascending; otherwise as the run planned them."""
    first = ("device", "compiler", "optimizer", "precision", "threads", "batch_size", "workload", "feed")
    axes = [*first, *(axis.field for axis in AXES if axis.field not in first)]
    seen = {axis: list(dict.fromkeys(getattr(cell.case, axis) for cell in everything)) for axis in axes}
    seen["batch_size"].sort()
    seen["workload"].sort(key=lambda name: PART_NAMES.index(name) if name in PART_NAMES else len(PART_NAMES))
    return lambda cell: tuple(seen[axis].index(getattr(cell.case, axis)) for axis in axes)


def _grouped(chosen: Sequence[Cell]) -> list[list[Cell]]:
    """The cells one a row, except that neighbouring gaps on one device for one reason share a row."""

    def key(item: tuple[int, Cell]) -> tuple[object, ...]:
        index, cell = item
        gap = cell.unmeasured
        return (cell.case.device, gap.kind, gap.reason) if gap else (index,)

    return [[cell for _, cell in group] for _, group in itertools.groupby(enumerate(chosen), key)]


def _text(of: CaseColumn, row: list[Cell]) -> str:
    texts = _texts(of, row)
    if len(row) > 1 and of.role == NOTE:
        return f"{len(row)} cases {texts[0]}"
    if len(texts) == 1:
        return texts[0]
    return f"{texts[0]} … {texts[-1]}" if of.name == "batch_size" else "several"


def raw(records: Sequence[Record], view: View) -> CsvTable:
    """The view of all records with raw SI values, a row per case, for a CSV file; missing values are None."""
    chosen = [c for c in COLUMNS if view.kind in c.views and c.raw and c.role != NAME]
    rows: list[Sequence[object]] = []
    for index, record in enumerate(records):
        place = "elsewhere" if index else "here"
        facts = [record.machine.label, place, record.created_utc, record.dataset.label]
        rows += [[*facts, cell.id, *(c.raw(cell) for c in chosen if c.raw)] for cell in _rows(record, view)]
    return CsvTable(["machine", "measured", "created_utc", "dataset", "id", *(c.name for c in chosen)], rows)


def aten_calls(records: Sequence[Record]) -> CsvTable:
    """Every counted operator call by name and result type, a row per case and call, for a CSV file."""
    rows: list[Sequence[object]] = [
        (record.machine.label, "elsewhere" if index else "here", record.created_utc, m.id, call, count)
        for index, record in enumerate(records)
        for m in record.measurements
        if m.counters
        for call, count in m.counters.aten_calls.items()
    ]
    return CsvTable(["machine", "measured", "created_utc", "id", "call", "count"], rows)


def environment_table(record: Record) -> Table:
    """The record's environment, a fact a row; of energy its meter or why there is none, of kernels why not known."""
    rows = [
        [group, fact_name(name), _plain(name, value)]
        for group, facts in record.environment.items()
        for name, value in facts.items()
    ]
    meters = [(m.case.device, m.energy.meter or m.energy.reason or "") for m in record.measurements if m.energy]
    unseen = [(m.case.device, m.counters.kernels_reason) for m in record.measurements if m.counters]
    rows += [["energy", device, text] for device, text in dict.fromkeys(meters)]
    rows += [["kernels", device, f"not known: {text}"] for device, text in dict.fromkeys(unseen) if text]
    return Table.of(["Group", "Fact", "Value"], rows, Value=WORDS)


def _plain(name: str, value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: MISSING}[value]
    if isinstance(value, int | float) and name.endswith("_bytes"):
        return units.size(value)
    return fact_value(name, value)

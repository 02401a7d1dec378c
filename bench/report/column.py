"""What a column is, and makers for the kinds of columns: an axis, a statistic, a fact of the measurement, a ratio."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from bench import table
from bench.analyse.cell import Cell, Versus
from bench.analyse.starting import median_of
from bench.analyse.statistics import Summary
from bench.axes.axis import Axis, Value
from bench.axes.workloads import workload
from bench.record.measurement import Accuracy, Compilation, Counters, DeviceUse, Measurement, Phases, StartUp
from bench.report import units
from bench.report.units import MISSING
from bench.report.words import TERM_NAMES, capitalised
from bench.table import NUMBER, WORDS

CsvValue = str | int | float | bool | None
Part = TypeVar("Part")  # of a measurement
STEP, WHY, PARTS, PHASES, COMPILE, EPOCH, ACCURACY, START_UP, COUNTS, SAMPLES, GAPS = VIEW_NAMES = (
    "steps",
    "why",
    "parts",
    "phases",
    "compiled",
    "epochs",
    "accuracy",
    "start_up",
    "counts",
    "samples",
    "not_measured",
)
SMALLEST_SHARE = 0.005  # of a term, to be shown
TIMED = (STEP, PARTS, COMPILE, EPOCH, ACCURACY)
# Roles: a case's time, which leads to its command; a ratio with its interval; what is said of a row, on a page beside
# its number; a device's time, which runs beside the host's and adds up with none of them.
TIME, RATIO, NOTE, APART = "time", "ratio", "note", "apart"


@dataclass(frozen=True)
class CaseColumn:
    """A column of the tables in `views`.

    Attributes:
        name: CSV heading, with the unit.
        heading: Heading in shown tables; empty for columns of the CSV files only.
        raw: Value for the CSV files, in SI units; None is missing. No `raw`: a column of shown tables only.
        show: Text for shown tables. No `show`: a column of the CSV files only.
        role: What it holds, by which tables and pages know how to show it: one of `bench.table`, or of these here.
        axis: Which of the matrix it is of: left out of a shown table where all rows agree, and said in its caption.
        stays: Whether it is shown where no row has a value, too: it is what the table is about.
        versus: The comparison that a `RATIO` shows.
    """

    name: str
    views: tuple[str, ...]
    heading: str = ""
    raw: Callable[[Cell], CsvValue] | None = None
    show: Callable[[Cell], str] | None = None
    role: str = NUMBER
    axis: Axis | None = None
    stays: bool = False
    versus: Callable[[Cell], Versus] | None = None


def head(of: CaseColumn, heading: str = "") -> table.Column:
    """The column in a table of text, under its own or another heading."""
    role = NUMBER if of.role in (NUMBER, TIME, RATIO, APART) else WORDS
    return table.Column(heading or of.heading, role)


def of_axis(axis: Axis, views: tuple[str, ...]) -> CaseColumn:
    """What a case chooses on an axis; nothing where a program of the user's own decides it."""

    def raw(cell: Cell) -> CsvValue:
        value: Value = getattr(cell.case, axis.field)
        return value if axis.own or axis.field == "workload" or not workload(cell.case.workload).own else None

    def show(cell: Cell) -> str:
        return axis.shown(getattr(cell.case, axis.field))

    is_number = isinstance(axis.default, int) and not isinstance(axis.default, bool)
    return CaseColumn(axis.field, views, axis.heading, raw, show, NUMBER if is_number else WORDS, axis=axis)


def of_summary(
    name: str, views: tuple[str, ...], get: Callable[[Summary], CsvValue], heading: str = "",
    show: Callable[[Summary], str] | None = None, role: str = NUMBER,
) -> CaseColumn:  # fmt: skip
    """A statistic of the samples; missing for a case without a number."""
    return CaseColumn(
        name, views, heading,
        lambda cell: get(cell.summary) if cell.summary else None,
        (lambda cell: show(cell.summary) if cell.summary else MISSING) if show else None,
        role, stays=role == TIME,
    )  # fmt: skip


def of_measurement(
    name: str, views: tuple[str, ...], get: Callable[[Measurement], CsvValue], heading: str = "",
    show: Callable[[Measurement], str] | None = None,
) -> CaseColumn:  # fmt: skip
    """A fact of the measurement; missing for a case without a number."""
    return CaseColumn(
        name, views, heading,
        lambda cell: get(cell.measurement) if cell.measurement else None,
        (lambda cell: show(cell.measurement) if cell.measurement else MISSING) if show else None,
    )  # fmt: skip


def of_term(term: str) -> CaseColumn:
    """The share of the time that is of a term of its account; in the CSV file, its seconds."""

    def seconds(cell: Cell) -> float | None:
        return cell.account.seconds[term] if cell.account else None

    def show(cell: Cell) -> str:
        share = cell.account.share(term) if cell.account else 0.0
        return f"{100 * share:.0f}%" if abs(share) >= SMALLEST_SHARE else MISSING

    return CaseColumn(f"{term}_seconds", (WHY,), capitalised(TERM_NAMES[term]), seconds, show)


def of_start_ups(name: str, heading: str, get: Callable[[StartUp], float | None]) -> CaseColumn:
    """The median of a part of starting; missing where a process did not get so far."""

    def median(cell: Cell) -> float | None:
        return median_of(cell.measurement.start_ups, get) if cell.measurement else None

    def show(cell: Cell) -> str:
        seconds = median(cell)
        return MISSING if seconds is None else units.duration(seconds)

    return CaseColumn(name, (START_UP,), heading, median, show)


def of_accuracy(
    name: str, get: Callable[[Accuracy], CsvValue], heading: str = "", show: Callable[[Accuracy], str] | None = None
) -> CaseColumn:
    """A fact of the accuracies; missing for a case that trained nothing."""

    def accuracy(cell: Cell) -> Accuracy | None:
        return cell.measurement.accuracy if cell.measurement else None

    return CaseColumn(
        name, (ACCURACY,), heading,
        lambda cell: get(accuracies) if (accuracies := accuracy(cell)) else None,
        (lambda cell: show(accuracies) if (accuracies := accuracy(cell)) else MISSING) if show else None,
    )  # fmt: skip


def of_counters(
    name: str, heading: str, get: Callable[[Counters], int | None], views: tuple[str, ...] = (COUNTS,)
) -> CaseColumn:
    """An exact count; missing where it was not counted, which is not 0."""

    def count(cell: Cell) -> int | None:
        counters = cell.measurement.counters if cell.measurement else None
        return get(counters) if counters else None

    return CaseColumn(name, views, heading, count, lambda cell: units.count(count(cell)))


def of_device_use(
    name: str, heading: str, get: Callable[[DeviceUse], CsvValue], show: Callable[[Any], str]
) -> CaseColumn:
    """What a case takes of a CUDA device; missing elsewhere. Without a heading, for the CSV file."""
    return _of_part(name, COUNTS, heading, lambda measurement: measurement.device_use, get, show)


def of_compilation(
    name: str, heading: str, get: Callable[[Compilation], int], views: tuple[str, ...] = (COMPILE, COUNTS)
) -> CaseColumn:
    """A count of what torch.compile made; missing for eager cases."""

    def count(cell: Cell) -> int | None:
        compilation = cell.measurement.compilation if cell.measurement else None
        return get(compilation) if compilation else None

    return CaseColumn(name, views, heading, count, lambda cell: units.count(count(cell)))


def reasons(name: str, get: Callable[[Compilation], list[str]]) -> CaseColumn:
    """Why torch.compile did something, for the CSV file: every reason once."""

    def joined(cell: Cell) -> CsvValue:
        compilation = cell.measurement.compilation if cell.measurement else None
        return "; ".join(dict.fromkeys(get(compilation))) or None if compilation else None

    return CaseColumn(name, (COMPILE,), raw=joined)


def of_phases(
    name: str,
    heading: str,
    get: Callable[[Phases], float | None],
    show: Callable[[float], str] = units.duration,
    role: str = NUMBER,
) -> CaseColumn:
    """A time of the case taken apart; missing where it was not, or has no such part."""
    return dataclasses.replace(_of_part(name, PHASES, heading, lambda m: m.phases, get, show), role=role)


def _of_part(
    name: str,
    view: str,
    heading: str,
    of: Callable[[Measurement], Part | None],
    get: Callable[[Part], CsvValue],
    show: Callable[[Any], str],
) -> CaseColumn:
    def value(cell: Cell) -> CsvValue:
        piece = of(cell.measurement) if cell.measurement else None
        return get(piece) if piece else None

    def shown(cell: Cell) -> str:
        raw = value(cell)
        return MISSING if raw is None else show(raw)

    return CaseColumn(name, (view,), heading, value, shown if heading else None)


def part(name: str, heading: str) -> CaseColumn:
    """The host time of one part of a step or an epoch; shown is its share, since marked blocks are others."""
    return as_share(of_phases(f"{name}_host_seconds", heading, lambda phases: phases.host_seconds.get(name)))


def as_share(seconds: CaseColumn) -> CaseColumn:
    """A column of a case taken apart that shows the share of the host's time; the CSV file has its seconds."""

    def show(cell: Cell) -> str:
        phases, part = cell.measurement.phases if cell.measurement else None, seconds.raw and seconds.raw(cell)
        return units.share(part / phases.sum_seconds) if phases and isinstance(part, float) else MISSING

    return dataclasses.replace(seconds, show=show)


def versus(name: str, views: tuple[str, ...], heading: str, get: Callable[[Cell], Versus]) -> list[CaseColumn]:
    """A ratio: shown with its interval in one column, in three columns of the CSV file."""

    def bound(which: str) -> Callable[[Cell], CsvValue]:
        return lambda cell: getattr(get(cell).ratio, which) if get(cell).ratio else None

    def show(cell: Cell) -> str:
        ratio = get(cell).ratio
        return units.ratio(ratio) if ratio else MISSING

    return [
        CaseColumn(name, views, heading, bound("value"), show, RATIO, versus=get),
        CaseColumn(f"{name}_low", views, raw=bound("low")),
        CaseColumn(f"{name}_high", views, raw=bound("high")),
        CaseColumn(f"{name}_reason", views, raw=lambda cell: get(cell).reason),
    ]

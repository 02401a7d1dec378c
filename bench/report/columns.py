"""The columns of every table, one row each: its CSV heading with the unit, its shown heading, and how to get both.

A new column is one more row here. The order is the order in the tables.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from bench.analyse.cells import Cell, Versus
from bench.analyse.statistics import Summary, mean_interval
from bench.record.model import Accuracy, Measurement
from bench.report import units
from bench.report.units import MISSING

Raw = str | int | float | bool | None
STEP, PARTS, COMPILE, EPOCH, ACCURACY, SAMPLES, GAPS = VIEW_NAMES = (
    "steps",
    "parts",
    "compiled",
    "epochs",
    "accuracy",
    "samples",
    "not_measured",
)
TIMED = (STEP, PARTS, COMPILE, EPOCH, ACCURACY)


@dataclass(frozen=True)
class Column:
    """A column of the tables in `views`.

    Attributes:
        name: CSV heading, with the unit.
        heading: Heading in shown tables; empty for columns of the CSV files only.
        raw: Value for the CSV files, in SI units; None is missing. No `raw`: a column of shown tables only.
        show: Text for shown tables. No `show`: a column of the CSV files only.
        axis: An axis of the matrix: left out of a shown table where all rows agree, and said in its caption.
        words: Text rather than a number, so set flush left.
    """

    name: str
    views: tuple[str, ...]
    heading: str = ""
    raw: Callable[[Cell], Raw] | None = None
    show: Callable[[Cell], str] | None = None
    axis: bool = False
    words: bool = False


def _axis(name: str, heading: str, views: tuple[str, ...] = TIMED, *, words: bool = True) -> Column:
    def raw(cell: Cell) -> Raw:
        value: Raw = getattr(cell.case, name)
        return value

    def show(cell: Cell) -> str:
        value = raw(cell)
        return f"{value:,}" if type(value) is int else {True: "yes", False: "no"}.get(value, str(value))  # type: ignore[call-overload, no-any-return]

    return Column(name, views, heading, raw, show, axis=True, words=words)


def _of_summary(
    name: str, views: tuple[str, ...], get: Callable[[Summary], Raw], heading: str = "",
    show: Callable[[Summary], str] | None = None,
) -> Column:  # fmt: skip
    return Column(
        name, views, heading,
        lambda cell: get(cell.summary) if cell.summary else None,
        (lambda cell: show(cell.summary) if cell.summary else MISSING) if show else None,
    )  # fmt: skip


def _of_measurement(
    name: str, views: tuple[str, ...], get: Callable[[Measurement], Raw], heading: str = "",
    show: Callable[[Measurement], str] | None = None,
) -> Column:  # fmt: skip
    return Column(
        name, views, heading,
        lambda cell: get(cell.measurement) if cell.measurement else None,
        (lambda cell: show(cell.measurement) if cell.measurement else MISSING) if show else None,
    )  # fmt: skip


def _of_accuracy(
    name: str, get: Callable[[Accuracy], Raw], heading: str = "", show: Callable[[Accuracy], str] | None = None
) -> Column:
    def accuracy(cell: Cell) -> Accuracy | None:
        return cell.measurement.accuracy if cell.measurement else None

    return Column(
        name, (ACCURACY,), heading,
        lambda cell: get(found) if (found := accuracy(cell)) else None,
        (lambda cell: show(found) if (found := accuracy(cell)) else MISSING) if show else None,
    )  # fmt: skip


def _versus(name: str, views: tuple[str, ...], heading: str, get: Callable[[Cell], Versus]) -> list[Column]:
    """A ratio: shown with its interval in one column, in three columns of the CSV file."""

    def bound(which: str) -> Callable[[Cell], Raw]:
        return lambda cell: getattr(get(cell).ratio, which) if get(cell).ratio else None

    def show(cell: Cell) -> str:
        found = get(cell).ratio
        return units.ratio(found) if found else MISSING

    return [
        Column(name, views, heading, bound("value"), show),
        Column(f"{name}_low", views, raw=bound("low")),
        Column(f"{name}_high", views, raw=bound("high")),
        Column(f"{name}_reason", views, raw=lambda cell: get(cell).reason),
    ]


def seconds_to_target(accuracy: Accuracy) -> list[float]:
    """The times of the seeds that reached the target."""
    return [seconds for seconds in accuracy.seconds_to_target if seconds is not None]


def _median_to_target(accuracy: Accuracy) -> float | None:
    reached = seconds_to_target(accuracy)
    return statistics.median(reached) if reached else None


def _accuracy_interval(accuracy: Accuracy) -> str:
    _, low, high = mean_interval(accuracy.test_accuracy_fraction)
    return MISSING if low is None or high is None else f"{100 * low:.2f} to {units.percent(min(high, 1.0))}"


def note(cell: Cell) -> str:
    """What a reader must know about this row: why a number is missing, or not to be trusted."""
    if cell.unmeasured:
        return f"{cell.unmeasured.kind}: {cell.unmeasured.reason}"
    return f"flagged: {cell.flag_names}" if cell.flags else ""


def _note_with_speedup(cell: Cell) -> str:
    return note(cell) or (cell.speedup.reason or "" if cell.speedup.ratio is None else "")


def _or_missing(value: float | None) -> str:
    return MISSING if value is None else units.duration(value)


COLUMNS: list[Column] = [
    Column("id", (SAMPLES, GAPS), "Case", lambda cell: cell.id, lambda cell: cell.id, words=True),
    _axis("workload", "Part", (PARTS,)),
    _axis("device", "Device"),
    _axis("batch_size", "Batch", words=False),
    _axis("precision", "Precision"),
    _axis("compiler", "Compile"),
    _axis("optimizer", "Optimizer"),
    _axis("feed", "Feed"),
    _axis("num_workers", "Workers", words=False),
    _axis("pin_memory", "Pinned"),
    _axis("threads", "Threads", words=False),
    _of_summary("median_seconds", (*TIMED, SAMPLES), lambda s: s.median, "Median", units.median),
    _of_summary("interval_low_seconds", (*TIMED, SAMPLES), lambda s: s.low, "95% interval", units.interval),
    _of_summary("interval_high_seconds", (*TIMED, SAMPLES), lambda s: s.high),
    Column("images_per_second", (STEP, EPOCH), "Images/s", lambda cell: cell.images_per_second,
           lambda cell: units.rate(cell.images_per_second) if cell.images_per_second else MISSING),
    *_versus("speedup", (STEP, COMPILE, EPOCH, ACCURACY), "× eager fp32 CPU", lambda cell: cell.speedup),
    *_versus("against_loader", (EPOCH,), "× DataLoader", lambda cell: cell.against_loader),
    *_versus("against_eager", (COMPILE,), "× not compiled", lambda cell: cell.against_eager),
    *_versus("share_of_step", (PARTS,), "÷ whole step", lambda cell: cell.share_of_step),
    _of_measurement("compile_seconds", (COMPILE, SAMPLES), lambda m: m.compile_seconds, "Compile time",
                    lambda m: _or_missing(m.compile_seconds)),
    _of_measurement("steps_per_epoch", (EPOCH, ACCURACY), lambda m: m.steps_per_epoch, "Steps",
                    lambda m: f"{m.steps_per_epoch:,}" if m.steps_per_epoch else MISSING),
    _of_measurement("last_batch_size", (EPOCH, ACCURACY), lambda m: m.last_batch_size, "Last batch",
                    lambda m: f"{m.last_batch_size:,}" if m.last_batch_size else MISSING),
    _of_accuracy("test_accuracy_mean_fraction", lambda a: mean_interval(a.test_accuracy_fraction)[0],
                 "Test accuracy", lambda a: units.percent(mean_interval(a.test_accuracy_fraction)[0])),
    _of_accuracy("test_accuracy_low_fraction", lambda a: mean_interval(a.test_accuracy_fraction)[1],
                 "95% interval of the mean", _accuracy_interval),
    _of_accuracy("test_accuracy_high_fraction", lambda a: mean_interval(a.test_accuracy_fraction)[2]),
    _of_accuracy("test_accuracy_minimum_fraction", lambda a: min(a.test_accuracy_fraction), "Lowest",
                 lambda a: units.percent(min(a.test_accuracy_fraction))),
    _of_accuracy("train_accuracy_mean_fraction", lambda a: mean_interval(a.train_accuracy_fraction)[0],
                 "Train accuracy", lambda a: units.percent(mean_interval(a.train_accuracy_fraction)[0])),
    _of_accuracy("seeds", lambda a: len(a.seeds)),
    _of_accuracy("target_fraction", lambda a: a.target_fraction),
    _of_accuracy("seeds_at_target", lambda a: len(seconds_to_target(a)), "Reached target",
                 lambda a: f"{len(seconds_to_target(a))} of {len(a.seeds)}"),
    _of_accuracy("median_seconds_to_target", _median_to_target, "Time to target",
                 lambda a: _or_missing(_median_to_target(a))),
    _of_summary("minimum_seconds", (SAMPLES,), lambda s: s.minimum, "Minimum", lambda s: units.duration(s.minimum)),
    _of_summary("p95_seconds", (SAMPLES,), lambda s: s.p95, "95th pct.", lambda s: units.duration(s.p95)),
    _of_summary("samples", (SAMPLES,), lambda s: s.n, "n", lambda s: f"{s.n:,}"),
    _of_summary("outliers", (SAMPLES,), lambda s: s.outliers, "Outliers", lambda s: f"{s.outliers:,}"),
    _of_measurement("block_repetitions", (SAMPLES,), lambda m: m.block_repetitions, "Per sample",
                    lambda m: f"{m.block_repetitions:,}"),
    _of_measurement("first_call_seconds", (COMPILE, SAMPLES), lambda m: m.first_call_seconds, "First call",
                    lambda m: units.duration(m.first_call_seconds)),
    _of_measurement("warmup_seconds", (SAMPLES,), lambda m: m.warmup_seconds, "Warm-up",
                    lambda m: units.duration(m.warmup_seconds)),
    Column("flags", (*TIMED, SAMPLES), raw=lambda cell: cell.flag_names or None),
    Column("flag_reasons", (SAMPLES,), "Flags", lambda cell: "; ".join(f"{f.name}: {f.reason}" for f in cell.flags),
           lambda cell: "; ".join(f"{f.name}: {f.reason}" for f in cell.flags), words=True),
    Column("note", (PARTS,), "Note", lambda cell: note(cell) or None, note, words=True),
    Column("note", (STEP, COMPILE, EPOCH, ACCURACY), "Note", lambda cell: _note_with_speedup(cell) or None,
           _note_with_speedup, words=True),
    Column("kind", (GAPS,), "Kind", lambda cell: cell.unmeasured and cell.unmeasured.kind,
           lambda cell: cell.unmeasured.kind if cell.unmeasured else MISSING, words=True),
    Column("reason", (GAPS,), "Reason", lambda cell: cell.unmeasured and cell.unmeasured.reason,
           lambda cell: cell.unmeasured.reason if cell.unmeasured else MISSING, words=True),
    Column("command", (*TIMED, SAMPLES), raw=lambda cell: cell.measurement.command if cell.measurement else None),
]  # fmt: skip

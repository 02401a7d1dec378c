"""The columns of every table, one row each: its CSV heading with the unit, its shown heading, and how to get both.

A new column is one more row here. The order is the order in the tables.
"""

from __future__ import annotations

import statistics

from bench.analyse.cell import Cell
from bench.analyse.statistics import mean_interval
from bench.record.model import Accuracy
from bench.report import units
from bench.report.column import (
    ACCURACY,
    COMPILE,
    EPOCH,
    GAPS,
    PARTS,
    SAMPLES,
    STEP,
    TIMED,
    Column,
    axis,
    of_accuracy,
    of_measurement,
    of_summary,
    versus,
)
from bench.report.units import MISSING


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
    axis("workload", "Part", (PARTS,)),
    axis("device", "Device"),
    axis("batch_size", "Batch", words=False),
    axis("precision", "Precision"),
    axis("compiler", "Compile"),
    axis("optimizer", "Optimizer"),
    axis("feed", "Feed"),
    axis("num_workers", "Workers", words=False),
    axis("pin_memory", "Pinned"),
    axis("threads", "Threads", words=False),
    of_accuracy("test_accuracy_mean_fraction", lambda a: mean_interval(a.test_accuracy_fraction)[0],
                 "Test accuracy", lambda a: units.percent(mean_interval(a.test_accuracy_fraction)[0])),
    of_accuracy("test_accuracy_low_fraction", lambda a: mean_interval(a.test_accuracy_fraction)[1],
                 "Mean's 95% interval", _accuracy_interval),
    of_accuracy("test_accuracy_high_fraction", lambda a: mean_interval(a.test_accuracy_fraction)[2]),
    of_accuracy("test_accuracy_minimum_fraction", lambda a: min(a.test_accuracy_fraction), "Lowest",
                 lambda a: units.percent(min(a.test_accuracy_fraction))),
    of_accuracy("train_accuracy_mean_fraction", lambda a: mean_interval(a.train_accuracy_fraction)[0],
                 "Train accuracy", lambda a: units.percent(mean_interval(a.train_accuracy_fraction)[0])),
    of_accuracy("seeds", lambda a: len(a.seeds)),
    of_accuracy("target_fraction", lambda a: a.target_fraction),
    of_accuracy("seeds_at_target", lambda a: len(seconds_to_target(a)), "At target",
                 lambda a: f"{len(seconds_to_target(a))} of {len(a.seeds)}"),
    of_accuracy("median_seconds_to_target", _median_to_target, "Time to target",
                 lambda a: _or_missing(_median_to_target(a))),
    of_summary("median_seconds", (*TIMED, SAMPLES), lambda s: s.median, "Median", units.median),
    of_summary("interval_low_seconds", (*TIMED, SAMPLES), lambda s: s.low, "95% interval", units.interval),
    of_summary("interval_high_seconds", (*TIMED, SAMPLES), lambda s: s.high),
    Column("images_per_second", (STEP, EPOCH), "Images/s", lambda cell: cell.images_per_second,
           lambda cell: units.rate(cell.images_per_second) if cell.images_per_second else MISSING),
    *versus("speedup", (STEP, COMPILE, EPOCH, ACCURACY), "× eager fp32 CPU", lambda cell: cell.speedup),
    *versus("against_loader", (EPOCH,), "× DataLoader", lambda cell: cell.against_loader),
    *versus("against_eager", (COMPILE,), "× not compiled", lambda cell: cell.against_eager),
    *versus("share_of_step", (PARTS,), "÷ whole step", lambda cell: cell.share_of_step),
    of_measurement("compile_seconds", (COMPILE,), lambda m: m.compilation.cold_seconds if m.compilation else None,
                   "Compile time", lambda m: _or_missing(m.compilation.cold_seconds if m.compilation else None)),
    of_measurement("steps_per_epoch", (EPOCH,), lambda m: m.steps_per_epoch, "Steps",
                    lambda m: f"{m.steps_per_epoch:,}" if m.steps_per_epoch else MISSING),
    of_measurement("last_batch_size", (EPOCH,), lambda m: m.last_batch_size, "Last batch",
                    lambda m: f"{m.last_batch_size:,}" if m.last_batch_size else MISSING),
    of_summary("minimum_seconds", (SAMPLES,), lambda s: s.minimum, "Minimum", lambda s: units.duration(s.minimum)),
    of_summary("p95_seconds", (SAMPLES,), lambda s: s.p95, "95th pct.", lambda s: units.duration(s.p95)),
    of_summary("samples", (SAMPLES,), lambda s: s.n, "n", lambda s: f"{s.n:,}"),
    of_summary("outliers", (SAMPLES,), lambda s: s.outliers, "Outliers", lambda s: f"{s.outliers:,}"),
    of_measurement("block_repetitions", (SAMPLES,), lambda m: m.block_repetitions, "Per sample",
                    lambda m: f"{m.block_repetitions:,}"),
    of_measurement("first_call_seconds", (COMPILE, SAMPLES), lambda m: m.first_call_seconds, "First call",
                    lambda m: units.duration(m.first_call_seconds)),
    of_measurement("warmup_seconds", (SAMPLES,), lambda m: m.warmup_seconds, "Warm-up",
                    lambda m: units.duration(m.warmup_seconds)),
    Column("flags", (*TIMED, SAMPLES), raw=lambda cell: cell.flag_names or None),
    Column("flag_reasons", (SAMPLES,), "Flags", lambda cell: "; ".join(f"{f.name}: {f.reason}" for f in cell.flags),
           lambda cell: "; ".join(f"{f.name}: {f.reason}" for f in cell.flags), words=True),
    Column("note", (PARTS,), "Note", lambda cell: note(cell) or None, note, words=True),
    Column("note", (STEP, COMPILE, EPOCH, ACCURACY), "Note", lambda cell: _note_with_speedup(cell) or None,
           _note_with_speedup, words=True),
    Column("kind", (GAPS,), "Kind", lambda cell: cell.unmeasured.kind if cell.unmeasured else None,
           lambda cell: cell.unmeasured.kind if cell.unmeasured else MISSING, words=True),
    Column("reason", (GAPS,), "Reason", lambda cell: cell.unmeasured.reason if cell.unmeasured else None,
           lambda cell: cell.unmeasured.reason if cell.unmeasured else MISSING, words=True),
    Column("command", (*TIMED, SAMPLES), raw=lambda cell: cell.measurement.command if cell.measurement else None),
]  # fmt: skip

"""What one run cannot know: how far a time moves from day to day, and what this machine's ladder made of its epoch."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.analyse.compare import mismatch
from bench.analyse.ladder import LADDER_FILE, Ladder, read_ladders
from bench.analyse.levels import time_of
from bench.analyse.trust import judged, objections
from bench.axes.axis import AXES
from bench.errors import BenchError
from bench.record.before import Earlier, EarlierLadder
from bench.record.measurement import CaseFields, Measurement
from bench.record.model import Record
from bench.record.store import RECORD_FILE, read

MOST_RUNS, MOST_READ = 20, 60  # the newest; a record takes some hundredths of a second to read
TUTORIAL = {"workload": "epoch", "feed": "loader"}  # and else the reference's choices


def with_history(record: Record, results: Path) -> Record:
    """The record with what the other runs and the newest ladder of its machine below `results` saw of its cases."""
    seen: dict[tuple[str, CaseFields], list[float]] = {}
    for other in _earlier(record, results):
        for measurement in judged(other).measurements:
            if not objections(measurement, to_other_runs=True):
                seen.setdefault((measurement.id, measurement.case), []).append(time_of(measurement, other).value)
    ladders = _ladders(record, results) if any(_is_tutorial(m.case) for m in record.measurements) else {}
    return dataclasses.replace(
        record, measurements=[_with(m, seen.get((m.id, m.case), []), ladders) for m in record.measurements]
    )


def _with(measurement: Measurement, times: list[float], ladders: Mapping[str, EarlierLadder]) -> Measurement:
    case = measurement.case
    return dataclasses.replace(
        measurement,
        earlier=Earlier(len(times), min(times), max(times)) if times else None,
        earlier_ladder=ladders.get(case.device) if _is_tutorial(case) else None,
    )


def _is_tutorial(case: CaseFields) -> bool:
    return all(
        getattr(case, axis.field) == TUTORIAL.get(axis.field, axis.default)
        for axis in AXES
        if axis.field not in ("device", "threads")
    )


def _ladders(record: Record, results: Path) -> dict[str, EarlierLadder]:
    """By device, what the newest ladder that may be set beside the record came to."""
    newest: dict[str, EarlierLadder] = {}
    here = (record.machine.label, record.dataset.sha256, record.environment["software"].get("torch"))
    for path in sorted((results / record.machine.slug).glob(f"*/{LADDER_FILE}"), reverse=True):
        with contextlib.suppress(BenchError):  # a torn one
            ladders = read_ladders(path.parent)
            if tuple(ladders.identity.get(name) for name in ("machine", "dataset", "torch")) == here:
                newest = {**_earlier_ladders(ladders.ladders.values()), **newest}
    return newest


def _earlier_ladders(ladders: Iterable[Ladder]) -> dict[str, EarlierLadder]:
    sound = {one.device: (one, one.best.times(one.first)) for one in ladders if not (one.disturbed or one.interrupted)}
    return {
        device: EarlierLadder(ladder.best.name, times, {step.name: gain for step, gain in ladder.largest_gains})
        for device, (ladder, times) in sound.items()
        if times is not None
    }


def _earlier(record: Record, results: Path) -> Iterator[Record]:
    """Runs of the same machine that began before and may be compared; what cannot be read is none of them."""
    paths = sorted((results / record.machine.slug).glob(f"*/{RECORD_FILE}"), reverse=True)
    count = 0
    for path in paths[:MOST_READ]:
        try:
            other = read(path)
        except BenchError:  # a torn one
            continue
        if other.created_utc >= record.created_utc or mismatch(record, other):
            continue
        yield other
        count += 1
        if count == MOST_RUNS:
            return

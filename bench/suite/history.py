"""What earlier runs of this machine saw: how far a time moves from day to day, which one run cannot know."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from bench.analyse.compare import mismatch
from bench.analyse.levels import time_of
from bench.errors import BenchError
from bench.record.measurement import CaseFields, Earlier, Measurement
from bench.record.model import Record
from bench.record.store import RECORD_FILE, read

MOST_RUNS, MOST_READ = 20, 60  # the newest; a record takes some hundredths of a second to read


def with_earlier(record: Record, results: Path) -> Record:
    """The record with what the other runs of its machine below `results` saw of its cases."""
    seen: dict[tuple[str, CaseFields], list[float]] = {}
    for other in _earlier(record, results):
        for measurement in other.measurements:
            seen.setdefault((measurement.id, measurement.case), []).append(time_of(measurement, other).value)
    return dataclasses.replace(
        record, measurements=[_with(m, seen.get((m.id, m.case), [])) for m in record.measurements]
    )


def _with(measurement: Measurement, times: list[float]) -> Measurement:
    return dataclasses.replace(measurement, earlier=Earlier(len(times), min(times), max(times)) if times else None)


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

"""From a run's record to its folder: what was measured is on disk before anything is drawn or printed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import console, interruption
from bench.errors import BenchError, reason_of
from bench.record import files, store
from bench.record.model import Record, RecordError
from bench.report.write import write_report


def save(record: Record, results: Path, log: str | None = None) -> Path:
    """The run's new folder below `results`, with the record and its log; a signal waits until it stands.

    Where it cannot be written any more, a temporary folder takes its place: measurements are worth more than theirs.
    """
    with interruption.deferred():
        try:
            return _saved(record, results, log)
        except BenchError as error:
            console.error(str(error))
            return _saved(record, Path(tempfile.mkdtemp(prefix="fcnn-bench-")), log)


def _saved(record: Record, results: Path, log: str | None) -> Path:
    target = store.free_name(results / store.run_folder_name(record))
    with store.atomic_folder(target) as folder:
        store.write(record, folder)
        if log is not None:
            files.write(folder / "run.log", log)
    return target


def draw(records: Sequence[Record], folder: Path) -> list[str]:
    """Adds the report to the run's folder; what failed, a line each. The record stays whatever happens here."""
    try:
        with store.staged(folder) as staged:
            return write_report(records, staged)
    except Exception as error:
        reason = reason_of(error)
        return [f"the report could not be drawn: {reason}; the record is whole: {folder}/record.json"]


def elsewhere(results: Path, record: Record) -> list[Record]:
    """The records to show beside this one: promoted ones of accelerators, unless this run has one of its own."""
    try:
        promoted = store.reference_records(results)
    except RecordError as error:
        console.error(f"left out of the report: {error}")
        return []
    here = {measurement.case.device for measurement in record.measurements}
    return [other for other in promoted if {m.case.device for m in other.measurements} - here]

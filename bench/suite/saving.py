"""A run's folder: the journal while it is measured, then the record, then the report.

What was measured is on disk before anything is drawn or printed.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import console, interruption
from bench.errors import BenchError, reason_of
from bench.record import files, store
from bench.record.journal import JOURNAL_FILE, Journal, Line
from bench.record.model import Record
from bench.report.write import write_report
from bench.text import one_line

LOG_FILE = "run.log"


def log(lines: Sequence[Line]) -> str:
    """What happened, a line each with the seconds since the run began; the rounds are in the record."""
    texts = []
    for line in lines:
        rest = " ".join(
            one_line(str(value))
            for name, value in line.items()
            if name not in ("kind", "at") and isinstance(value, str | int | float)
        )
        if line["kind"] != "round" or "disturbed" in line:
            texts.append(f"{line['at']:9.3f} s  {line['kind']}  {rest}".rstrip())
    return "\n".join(texts) + "\n"


def begin(header: Mapping[str, Any], results: Path) -> tuple[Path, Journal]:
    """A new folder below `results` for the run, and its journal; raises BenchError."""
    folder = store.new_folder(
        results / store.run_folder_name(header["created_utc"], header["machine"], header["commit"])
    )
    return folder, Journal.create(folder, dict(header))


def discard(journal: Journal, folder: Path) -> None:
    """Takes back what `begin` made: nothing was measured."""
    journal.close()
    (folder / JOURNAL_FILE).unlink(missing_ok=True)
    for empty in (folder, folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            empty.rmdir()


def save(record: Record, journal: Journal, folder: Path) -> Path:
    """Writes the record into the run's folder, and the log; a signal waits until they stand.

    The journal stays where there is something left to go on with. Where the record cannot be written any more, a
    temporary folder takes the folder's place: measurements are worth more than that.
    """
    with interruption.deferred():
        try:
            store.write(record, folder)
            files.write(folder / LOG_FILE, log(journal.lines))
            if not record.partial and not journal.problem:
                (folder / JOURNAL_FILE).unlink(missing_ok=True)
            return folder
        except BenchError as error:
            console.error(str(error))
            elsewhere = Path(tempfile.mkdtemp(prefix="fcnn-bench-"))
            elsewhere.chmod(files.usual_mode(0o777))
            store.write(record, elsewhere)
            return elsewhere


def draw(records: Sequence[Record], folder: Path) -> list[str]:
    """Adds the report to the run's folder; what failed, a line each. The record stays whatever happens here."""
    try:
        with store.staged(folder) as staged:
            return write_report(records, staged)
    except Exception as error:
        reason = reason_of(error)
        return [f"the report could not be drawn: {reason}; the record is whole: {folder}/record.json"]


def elsewhere(results: Path, record: Record) -> list[Record]:
    """The records to show beside this one: promoted ones of accelerators, unless this run has one of its own.

    None beside a program of the user's own, which they are not of.
    """
    if record.program:
        return []
    try:
        promoted = store.reference_records(results)
    except BenchError as error:
        console.error(f"left out of the report: {error}")
        return []
    here = {measurement.case.device for measurement in record.measurements}
    return [other for other in promoted if {m.case.device for m in other.measurements} - here]

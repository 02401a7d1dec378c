"""The journal: a run while it is measured, a line of JSON for everything that happens, written at once.

The record is made of it (`folded`), so a run that was killed loses the round that it was in. What was measured by then
can be reported, and the run can be resumed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bench.errors import BenchError
from bench.record import files
from bench.record.model import (
    SCHEMA_VERSION,
    TIMING_RULE_VERSION,
)

try:
    import fcntl
except ImportError:  # as on Windows, where two runs can resume one journal
    fcntl = None  # type: ignore[assignment]

JOURNAL_FILE = "journal.jsonl"
INTERRUPTED: Final = "interrupted"
CALIBRATIONS_ONCE = "yardsticks"  # what earlier records and journals call their calibrations
DIGITS = 6  # of a time; the clock has fewer
Line = dict[str, Any]


class Journal:
    """A journal that is being written.

    Attributes:
        lines: All of it; what no disk could take is here as well.
        problem: Why the file ends before the lines do; None if it does not.
    """

    def __init__(self, path: Path, descriptor: int, lines: list[Line]) -> None:
        self.path, self._descriptor, self.lines = path, descriptor, lines
        self.problem: str | None = None
        self._begin = time.monotonic() - (lines[-1]["at"] if lines else 0.0)

    @classmethod
    def create(cls, folder: Path, header: Line) -> Journal:
        """A new one in `folder`; raises BenchError if there is one, or it cannot be written."""
        path = folder / JOURNAL_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, files.usual_mode())
        except OSError as error:
            raise BenchError(f"{path} cannot be written: {files.why(error)}") from error
        _lock(descriptor, path)
        journal = cls(path, descriptor, [])
        journal.write("run", schema_version=SCHEMA_VERSION, timing_rule_version=TIMING_RULE_VERSION, **header)
        if journal.problem:
            raise BenchError(journal.problem)
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """One to go on with; raises BenchError if it cannot be read, or another run is writing it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise BenchError(f"{path} cannot be written: {files.why(error)}") from error
        _lock(descriptor, path)
        lines = read_lines(path)
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)  # a line that was not finished
        return cls(path, descriptor, lines)

    def write(self, kind: str, **fields: Any) -> None:
        """Adds a line; raises ValueError for a number that JSON does not know, and then adds none."""
        line = {"kind": kind, "at": round(time.monotonic() - self._begin, 3), **fields}
        data = (json.dumps(line, allow_nan=False) + "\n").encode()
        self.lines.append(json.loads(data))
        if self.problem is None:
            self._append(data)

    def _append(self, data: bytes) -> None:
        end = os.fstat(self._descriptor).st_size
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self.problem = f"{self.path} cannot be written: {files.why(error)}"
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, end)

    def close(self) -> None:
        """Ends it, and lets others open it."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _lock(descriptor: int, path: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BenchError(f"{path} is being written by another run") from None
    except OSError:  # a file system without locks
        return


def digits(seconds: float) -> float:
    """A time as the journal has it."""
    return float(f"{seconds:.{DIGITS}g}")


def read_lines(path: Path) -> list[Line]:
    """The whole lines of a journal, also of one that is being written.

    Raises:
        BenchError: It cannot be read, has no beginning, or is of another version.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise BenchError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: cannot be read: {error}") from error
    lines = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            entry = json.loads(line)
            if not (isinstance(entry, dict) and isinstance(entry["kind"], str) and math.isfinite(entry["at"])):
                raise ValueError("no line of a journal")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BenchError(f"{path}: line {number}: {error}") from None
        lines.append(entry)
    if not lines or lines[0]["kind"] != "run":
        raise BenchError(f"{path}: has no beginning: the run had not begun to measure")
    versions = lines[0].get("schema_version"), lines[0].get("timing_rule_version")
    if versions != (SCHEMA_VERSION, TIMING_RULE_VERSION):
        raise BenchError(
            f"{path}: schema version {versions[0]} and timing rules {versions[1]}; this program knows versions "
            f"{SCHEMA_VERSION} and {TIMING_RULE_VERSION}"
        )
    return lines


def of_kind(lines: Iterable[Line], kind: str) -> list[Line]:
    """The lines of a kind, in their order."""
    return [line for line in lines if line["kind"] == kind]


def failures(lines: Iterable[Line]) -> dict[str, str]:
    """Cases that have failed, with the reason."""
    return {line["id"]: line["reason"] for line in of_kind(lines, "failed")}

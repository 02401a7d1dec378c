"""The journal: a run while it is measured, a line of JSON for everything that happens, written at once.

The record is made of it (`folded`), so a run that was killed loses the round that it was in. What was measured by then
can be reported, and the run can be resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.axes.workloads import workload
from bench.errors import BenchError
from bench.record import files
from bench.record.model import (
    SCHEMA_VERSION,
    TIMING_RULE_VERSION,
    Accuracy,
    Beside,
    CaseFields,
    Commit,
    Compilation,
    Counters,
    Dataset,
    DeviceUse,
    Energy,
    Flag,
    Machine,
    Measurement,
    Phases,
    Record,
    Round,
    StartUp,
    Unmeasured,
    Yardstick,
)
from bench.text import one_line

try:
    import fcntl
except ImportError:  # as on Windows, where two runs can resume one journal
    fcntl = None  # type: ignore[assignment]

JOURNAL_FILE = "journal.jsonl"
INTERRUPTED: Final = "interrupted"
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
            found = json.loads(line)
            if not (isinstance(found, dict) and isinstance(found["kind"], str) and math.isfinite(found["at"])):
                raise ValueError("no line of a journal")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BenchError(f"{path}: line {number}: {error}") from None
        lines.append(found)
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


def folded(lines: Sequence[Line]) -> Record:
    """The record of what the journal holds; partial if the run has not come to its end."""
    run, failed = lines[0], failures(lines)
    rounds = of_kind(lines, "round")
    samples = _samples(rounds, list(run["cases"]))
    measurements, unmeasured = [], []
    for id, planned in run["cases"].items():
        case = CaseFields(**planned["case"])
        if reason := planned["impossible"]:
            unmeasured.append(Unmeasured(id, case, "impossible", one_line(reason)))
        elif id in failed:
            unmeasured.append(Unmeasured(id, case, "failed", one_line(failed[id]) or "failed"))
        elif id not in samples:
            unmeasured.append(Unmeasured(id, case, INTERRUPTED, "the run was stopped before its turn"))
        else:
            measurements.append(_measurement(id, case, planned["command"], lines, samples[id]))
    return Record(
        created_utc=run["created_utc"],
        command=run["command"],
        duration_seconds=lines[-1]["at"],
        partial=not of_kind(lines, "end"),
        commit=run["commit"] and Commit(**run["commit"]),
        machine=Machine(**run["machine"]),
        environment=run["environment"],
        dataset=Dataset(**run["dataset"]),
        measurements=measurements,
        unmeasured=unmeasured,
        rounds=[_round(line) for line in rounds],
        yardsticks=_yardsticks(lines),
    )


def _samples(rounds: Iterable[Line], ids: Sequence[str]) -> dict[str, list[tuple[Line, int]]]:
    """By case, the rounds in which it had a turn and its place in them."""
    found: dict[str, list[tuple[Line, int]]] = {}
    for line in rounds:
        for place, index in enumerate(line["order"]):
            found.setdefault(ids[index], []).append((line, place))
    return found


def _round(line: Line) -> Round:
    beside = Beside(**line["beside"])
    return Round(line["number"], line["group"], line["process"], line["took"], beside, line.get("disturbed"))


def _yardsticks(lines: Sequence[Line]) -> list[Yardstick]:
    """Those of the first calibration, with the samples of the last beside them, if these are of the same work."""
    found = of_kind(lines, "calibration")
    if not found:
        return []
    before = [Yardstick(**yardstick) for yardstick in found[0]["yardsticks"]]
    if len(found) == 1:
        return before
    after = {(y["device"], y["name"], y["work_per_repetition"]): y["samples_seconds"] for y in found[-1]["yardsticks"]}
    return [
        dataclasses.replace(y, after_samples_seconds=after.get((y.device, y.name, y.work_per_repetition)) or None)
        for y in before
    ]


def _measurement(
    id: str, case: CaseFields, command: str, lines: Sequence[Line], samples: Sequence[tuple[Line, int]]
) -> Measurement:
    dataset = lines[0]["dataset"]
    row = workload(case.workload)
    whole = row.repetition != "step"
    steps = math.ceil(dataset["train_images"] / case.batch_size)
    images = dataset["train_images"] if whole else case.batch_size
    prepared = [line for line in of_kind(lines, "prepared") if line["id"] == id]
    device = [line["device_seconds"][place] for line, place in samples if "device_seconds" in line]
    observed: Mapping[str, Any] = next((line for line in of_kind(lines, "observed") if line["id"] == id), {})
    trained = [line["trained"][place] for line, place in samples if "trained" in line]
    cold = next((line["cold_seconds"] for line in of_kind(lines, "compiled") if line["id"] == id), None)
    compilation = observed.get("compilation")
    return Measurement(
        id=id,
        case=case,
        command=command,
        samples_seconds=[line["seconds"][place] for line, place in samples],
        rounds=[line["number"] for line, _ in samples],
        device_samples_seconds=device if device and None not in device else None,
        block_repetitions=next(
            (line["repetitions"][id] for line in of_kind(lines, "sizes") if id in line["repetitions"]), 1
        ),
        images_per_repetition=images if row.forward else None,
        steps_per_epoch=steps if whole else None,
        last_batch_size=dataset["train_images"] - (steps - 1) * case.batch_size if whole else None,
        warmup_seconds=statistics.median(line["warmup_seconds"] for line in prepared),
        first_call_seconds=statistics.median(line["first_call_seconds"] for line in prepared),
        recompilations=sum(line["graphs"][place] for line, place in samples if "graphs" in line),
        timed_steps=next((line["steps"][id] for line in of_kind(lines, "sizes") if id in line.get("steps", {})), None),
        compilation=Compilation(cold, **compilation) if compilation and cold is not None else None,
        counters=_of(Counters, observed, "counters"),
        phases=_of(Phases, observed, "phases"),
        energy=_of(Energy, observed, "energy"),
        device_use=_of(DeviceUse, observed, "device_use"),
        accuracy=_accuracy(lines[0]["accuracy"], trained) if trained else None,
        start_ups=[StartUp(**line["start_up"]) for line in of_kind(lines, "started") if line["id"] == id],
        flags=[Flag(**flag) for flag in observed.get("flags", [])],
    )


def _of(kind: type[Any], observed: Mapping[str, Any], name: str) -> Any:
    found = observed.get(name)
    return None if found is None else kind(**found)


def _accuracy(asked: Mapping[str, Any], trained: Sequence[Mapping[str, Any]]) -> Accuracy:
    return Accuracy(
        seeds=[one["seed"] for one in trained],
        epochs=asked["epochs"],
        test_accuracy_fraction=[one["test_accuracy_fraction"] for one in trained],
        train_accuracy_fraction=[one["train_accuracy_fraction"] for one in trained],
        target_fraction=asked["target_fraction"],
        max_epochs=asked["max_epochs"],
        seconds_to_target=[one["seconds_to_target"] for one in trained],
    )

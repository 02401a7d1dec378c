"""`fcnn-bench check --baseline RECORD...`: the working tree against records that were kept of this very machine.

A record is what one process saw, and processes of one program differ; so the candidate's case is measured in several,
each fresh from the import of torch, and the two samples of processes are set against each other. The yardsticks, then
and now, stand in for the reference against itself: a machine that has changed is not blamed on the program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import interruption
from bench.analyse.trust import concerning, objections
from bench.axes.case import Case, why_impossible
from bench.axes.compilers import COMPILERS
from bench.axes.devices import DEVICES
from bench.axes.feeds import FEEDS
from bench.axes.optimizers import OPTIMIZERS
from bench.axes.precisions import PRECISIONS
from bench.axes.workloads import WORKLOADS
from bench.errors import NOT_COMPARABLE, BenchError
from bench.gate import check, counts, decide, unpaired
from bench.gate.fork import Forge, Worker
from bench.gate.outcome import ERROR, Check, Outcome
from bench.gate.paired import undisturbed
from bench.gate.trees import candidate_of
from bench.measure import facts
from bench.measure.surroundings import Surroundings
from bench.record import files, store
from bench.record.model import Measurement, Record, RecordError
from bench.suite.images import images as load_images
from bench.text import counted
from bench.workers.process import WorkerError
from fcnn.data import Images

SCREENING_PROCESSES = 6
CONFIRMATION_PROCESSES = 10
FEWEST_PROCESSES = 3  # that no flag bars
DEFAULT_ID = "step[cpu-b64-fp32]"
KNOWN: dict[str, Mapping[str, object]] = {
    "workload": WORKLOADS,
    "device": DEVICES,
    "precision": PRECISIONS,
    "compiler": COMPILERS,
    "optimizer": OPTIMIZERS,
    "feed": FEEDS,
}


class BaselineError(BenchError):
    """Records that the working tree cannot be compared with. The message is for the user."""

    exit_code = NOT_COMPARABLE


@dataclass
class Seen:
    """What a case's processes saw: log seconds by stage, the counters, and how many processes a flag has barred."""

    screening: list[float] = field(default_factory=list)
    confirmation: list[float] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)
    samples_seconds: list[list[float]] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)


def read_baseline(paths: Sequence[Path], images: Images) -> list[Record]:
    """The records, of this kind of machine, these images and today's timing rules.

    Raises:
        BaselineError: One is not; the message names it and both values.
    """
    records = []
    for path in paths:
        try:
            record = store.read(path)
        except RecordError as error:
            raise BaselineError(str(error)) from error
        here = facts.machine()
        if record.machine.slug != here.slug:
            raise BaselineError(f"{path} is of another machine: {record.machine.label}, this is {here.label}")
        if record.dataset.sha256 != images.sha256:
            raise BaselineError(f"{path} is of other images: {record.dataset.label}, here are {images.label}")
        records.append(record)
    return records


def chosen(records: Sequence[Record], *, everything: bool, train_images: int) -> dict[str, list[Measurement]]:
    """The cases to measure again, by id, with what each record saw of them.

    Args:
        records: The baseline.
        everything: All eager steps and parts of a step in the first record, not the step at batch 64 alone.
        train_images: Training images here.

    Raises:
        BaselineError: A record lacks a case, bars it by a flag, or this program cannot measure it any more.
    """
    first = {m.id: m for m in records[0].measurements}
    ids = [DEFAULT_ID]
    if everything:
        ids = [id for id, m in first.items() if _repeats_steps(m) and m.case.compiler == "off" and not objections(m)]
    found: dict[str, list[Measurement]] = {}
    for id in ids:
        for record in records:
            measurement = next((m for m in record.measurements if m.id == id), None)
            if measurement is None:
                raise BaselineError(f"the record of {record.created_utc} has no {id}: nothing to compare with")
            if names := objections(measurement):
                raise BaselineError(f"{id} is flagged in the record of {record.created_utc}: {names}")
            found.setdefault(id, []).append(measurement)
        if len({m.case for m in found[id]}) > 1:
            raise BaselineError(f"the records' {id} differ in their threads")
        if reason := _vanished(found[id][0].case, train_images):
            raise BaselineError(f"{id} is in the baseline and has vanished here: {reason}")
    if not found:
        raise BaselineError(f"the record of {records[0].created_utc} has no step that could be compared with")
    return found


def _repeats_steps(measurement: Measurement) -> bool:
    row = WORKLOADS.get(measurement.case.workload)
    return row is None or row.repetition == "step"  # of a workload that is gone one cannot tell, and it has vanished


def _vanished(case: Case, train_images: int) -> str | None:
    for name, rows in KNOWN.items():
        if (value := getattr(case, name)) not in rows:
            return f"there is no {name} {value!r}"
    return why_impossible(case, train_images)


@contextlib.contextmanager
def _process(images: Path, candidate: Path) -> Iterator[Worker]:
    """A worker whose torch was imported for it alone."""
    with Forge(images, passive=False) as forge, forge.worker(candidate, "the candidate") as worker:
        yield worker


def check_records(
    request: check.Request, paths: Sequence[Path], *, everything: bool, say: check.Say = lambda line: None
) -> Check:
    """Runs the gates against records; raises BenchError for what the user can mend."""
    begin = time.monotonic()
    with interruption.allowed():
        images = load_images("MNIST", request.data)
    records = read_baseline(paths, images)
    cases = chosen(records, everything=everything, train_images=len(images.train))
    accepted = counts.read_accepted(request.root / counts.ACCEPTED_FILE)
    reference = check.reference_of(request, images) if "accuracy" in request.gates else None
    outcomes: list[Outcome] = []
    label, around = facts.machine().label, Surroundings()
    with files.scratch() as scratch, check.missing_noted(outcomes, request):
        candidate = candidate_of(request.root, scratch / "candidate")
        file = check.save_images(images, scratch, len(images.train))
        if {"counts", "timing"} & set(request.gates):
            say("timing" if "timing" in request.gates else "counts")
            outcomes += _steps(records, cases, request, accepted, lambda: _process(file, candidate))
        if reference:
            say("accuracy")
            outcomes.append(check.train_and_judge(lambda: _process(file, candidate), reference, images))
    names = ", ".join(f"the record of {record.created_utc}" for record in records)
    beside, seconds = around.disturbance(), time.monotonic() - begin
    return Check(names, label, images.label, request.bound_fraction, outcomes, seconds, beside)


def _steps(
    records: Sequence[Record],
    cases: dict[str, list[Measurement]],
    request: check.Request,
    accepted: list[dict[str, Any]],
    process: Callable[[], contextlib.AbstractContextManager[Worker]],
) -> list[Outcome]:
    rule = decide.Rule(bound_fraction=request.bound_fraction, cases=len(cases))
    seen = {id: Seen() for id in cases}
    yardsticks: dict[tuple[str, str], list[float]] = {}
    outcomes: dict[str, Outcome] = {}

    def run(stage: str, ids: Sequence[str], count: int) -> None:
        for _ in range(count):
            with process() as worker:
                for id in ids:
                    _observe(worker, cases[id][0].case, seen[id], stage)
                _time_yardsticks(worker, [cases[id][0].case for id in ids], yardsticks)

    def judge(ids: Sequence[str]) -> None:
        for id in ids:
            outcomes[id] = _judge(id, records, cases[id], seen[id], yardsticks, rule)

    try:
        run("screening", list(cases), SCREENING_PROCESSES if "timing" in request.gates else 1)
        if "timing" in request.gates:
            judge(list(cases))
            if left := [id for id, outcome in outcomes.items() if outcome.verdict != decide.PASS]:
                run("confirmation", left, CONFIRMATION_PROCESSES)
                judge(left)
    except WorkerError as error:
        asked = [gate for gate in ("counts", "timing") if gate in request.gates]
        return [Outcome(gate, id, ERROR, str(error)) for gate in asked for id in cases]
    counted = []
    if "counts" in request.gates:
        counted = [_count(id, records[0], baseline[0], seen[id], accepted) for id, baseline in cases.items()]
    return [*counted, *outcomes.values()]


def _observe(worker: Worker, case: Case, seen: Seen, stage: str) -> None:
    found = worker.ask("observe", case=dataclasses.asdict(case))
    seen.counters = seen.counters or found["counters"]
    seen.samples_seconds.append(found["samples_seconds"])
    seen.flags += found["flags"]
    if not found["flags"]:
        getattr(seen, stage).append(math.log(undisturbed(found["samples_seconds"])))


def _time_yardsticks(worker: Worker, cases: Sequence[Case], found: dict[tuple[str, str], list[float]]) -> None:
    for device in dict.fromkeys(case.device for case in cases):
        here = [case for case in cases if case.device == device]
        precisions, threads = sorted({case.precision for case in here}), max(case.threads for case in here)
        seconds = worker.ask("yardsticks", device=device, threads=threads, precisions=precisions)
        for name, samples in seconds.items():
            found.setdefault((device, name), []).append(math.log(undisturbed(samples)))


def _count(id: str, record: Record, then: Measurement, seen: Seen, accepted: list[dict[str, Any]]) -> Outcome:
    if then.counters is None or not seen.counters:
        return Outcome("counts", id, ERROR, "nothing was counted")
    sides = {"reference": dataclasses.asdict(then.counters), "candidate": dict(seen.counters)}
    if then.counters.growth_bytes is None:  # a quick run does not look for it
        sides["candidate"]["growth_bytes"] = None
    outcome = check.judge_counts(id, sides, accepted)
    return dataclasses.replace(outcome, lines=[*outcome.lines, *_other_torch([record])])


def _other_torch(records: Sequence[Record]) -> list[str]:
    """What else than the program has changed: to be said, for it may be the very question."""
    now = facts.environment(["cpu"])["software"].get("torch")
    then = dict.fromkeys(record.environment["software"].get("torch") for record in records)
    return [f"torch {version} then and {now} now" for version in then if version != now]


def _judge(
    id: str,
    records: Sequence[Record],
    baseline: Sequence[Measurement],
    seen: Seen,
    yardsticks: dict[tuple[str, str], list[float]],
    rule: decide.Rule,
) -> Outcome:
    then = [math.log(undisturbed(m.samples_seconds)) for m in baseline]
    found = unpaired.decide(then, seen.screening, seen.confirmation, rule)
    barred = ", ".join(sorted(set(seen.flags)))
    if len(seen.screening) + len(seen.confirmation) < FEWEST_PROCESSES:
        found = dataclasses.replace(
            found, verdict=decide.INCONCLUSIVE, reason=f"nearly every process was flagged: {barred}"
        )
    elif moved := _machine_moved(records, baseline, yardsticks):
        found = dataclasses.replace(found, verdict=decide.INCONCLUSIVE, reason=moved)
    lines = [f"{counted(len(seen.flags), 'flag')} barred processes from the test: {barred}"] if barred else []
    lines += _other_torch(records)
    raw = {**dataclasses.asdict(found), "baseline_seconds": [m.samples_seconds for m in baseline]}
    return Outcome("timing", id, found.verdict, found.reason, lines, {**raw, "candidate_seconds": seen.samples_seconds})


def _machine_moved(
    records: Sequence[Record], baseline: Sequence[Measurement], yardsticks: dict[tuple[str, str], list[float]]
) -> str | None:
    """Which yardstick of the case is another than in the records, by how much; also if there is none to tell by."""
    then: dict[tuple[str, str], list[float]] = {}
    for record, measurement in zip(records, baseline, strict=True):
        for yardstick in concerning(measurement, record):
            for samples in (yardstick.samples_seconds, yardstick.after_samples_seconds):
                if samples:
                    value = math.log(undisturbed(samples))
                    then.setdefault((yardstick.device, yardstick.name), []).append(value)
    if not then:
        return "the records have no yardstick: whether the machine has changed cannot be told"
    for key, values in then.items():
        if not yardsticks.get(key):
            return f"yardstick {key[1]} was not timed: whether the machine has changed cannot be told"
        distance, _, _ = unpaired.two_samples(values, yardsticks[key])
        if abs(distance) > math.log1p(unpaired.MACHINE_FRACTION):
            return f"this machine has changed: yardstick {key[1]} {math.expm1(distance):+.1%} since the baseline"
    return None

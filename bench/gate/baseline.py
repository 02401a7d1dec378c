"""`fcnn-bench check --baseline RECORD...`: the working tree against records that were kept of this very machine.

A record is what one process saw, and processes of one program differ; so the candidate's case is measured in several,
each fresh from the import of torch, and the two samples of processes are set against each other. The calibrations, then
and now, stand in for the reference against itself: a machine that has changed is not blamed on the program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import interruption
from bench.analyse.levels import by_process
from bench.analyse.pace import elsewhere
from bench.analyse.rounds import is_team
from bench.analyse.statistics import fastest_quarter
from bench.analyse.trust import HARMLESS, concerning, judged
from bench.axes.case import Case
from bench.gate import check, counts, decide, unpaired
from bench.gate.against import chosen, read_baseline
from bench.gate.outcome import ERROR, Check, Outcome
from bench.gate.sides import Side
from bench.gate.trees import candidate_of
from bench.gate.whole import Request, Say, missing_noted
from bench.measure import facts
from bench.measure.surroundings import Surroundings, Watch
from bench.record import files
from bench.record.measurement import Flag, Measurement
from bench.record.model import Record, Round
from bench.suite.costs import BLOCK_SECONDS, LEAD_SECONDS
from bench.text import counted
from bench.workers.conversation import Conversation, WorkerError
from bench.workers.forge import Forge, Worker
from bench.workers.images import images as load_images

SCREENING_PROCESSES = 6
CONFIRMATION_PROCESSES = 10
FEWEST_PROCESSES = 3  # that no flag bars
WARM_SECONDS = 0.1
TURNS = 40  # of a case in a process


@dataclass
class Remeasured:
    """What a case's processes saw: log seconds by stage, the counters, and how many processes a flag has barred."""

    screening: list[float] = field(default_factory=list)
    confirmation: list[float] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)
    samples_seconds: list[list[float]] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)


@contextlib.contextmanager
def _process(images: Path, candidate: Path) -> Iterator[Worker]:
    """A worker whose torch was imported for it alone."""
    with (
        Forge({"file": str(images)}, passive=False) as forge,
        Side(forge, candidate, "the candidate").worker() as worker,
    ):
        yield worker


def check_records(request: Request, paths: Sequence[Path], *, everything: bool, say: Say = lambda line: None) -> Check:
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
    with files.scratch() as scratch, missing_noted(outcomes, request):
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
    request: Request,
    accepted: list[dict[str, Any]],
    process: Callable[[], contextlib.AbstractContextManager[Worker]],
) -> list[Outcome]:
    rule = decide.TimingRule(bound_fraction=request.bound_fraction, cases=len(cases))
    seen = {id: Remeasured() for id in cases}
    calibrations: dict[tuple[str, str], list[float]] = {}
    outcomes: dict[str, Outcome] = {}

    def run(stage: str, ids: Sequence[str], count: int) -> None:
        for _ in range(count):
            with process() as worker:
                for id in ids:
                    _observe(worker, cases[id][0], records[0], seen[id], stage)
                _time_calibrations(worker, [cases[id][0].case for id in ids], calibrations)

    def judge(ids: Sequence[str]) -> None:
        for id in ids:
            outcomes[id] = _judge(id, records, cases[id], seen[id], calibrations, rule)

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


def _observe(worker: Worker, then: Measurement, record: Record, seen: Remeasured, stage: str) -> None:
    """Measures a case of the record in one process, whose samples take part unless something speaks against them."""
    case, id = dataclasses.asdict(then.case), then.id
    prepared = worker.ask("prepare", id=id, case=case, warm_seconds=WARM_SECONDS)
    repetitions = max(1, math.ceil(BLOCK_SECONDS / prepared["repetition_seconds"]))
    watch, begin = Watch(worker.pid, worker.ask("gpu") if then.case.device == "cuda" else None), time.monotonic()
    turns = [worker.ask("turn", id=id, repetitions=repetitions, lead_seconds=LEAD_SECONDS) for _ in range(TURNS)]
    pace = worker.ask("pace", threads=then.case.threads)
    took, (beside, disturbed) = time.monotonic() - begin, watch.seen()
    beside = dataclasses.replace(beside, **pace)
    seconds, device, graphs = (list(column) for column in zip(*turns, strict=True))
    observed = worker.ask(
        "observe", case=case, seconds=statistics.median(seconds), repetitions=repetitions, thorough=True
    )
    now = dataclasses.replace(
        then,
        samples_seconds=seconds,
        rounds=[0] * TURNS,
        device_samples_seconds=None if None in device else device,
        block_repetitions=repetitions,
        recompilations=sum(graphs),
        flags=[Flag(**flag) for flag in observed["flags"]],
    )
    flags = _flags(now, record, Round(0, "steps", 0, took, beside, disturbed))
    seen.counters = seen.counters or observed["counters"]
    seen.samples_seconds.append(seconds)
    seen.flags += flags
    if not flags:
        getattr(seen, stage).append(math.log(fastest_quarter(seconds)))


def _flags(measurement: Measurement, record: Record, of_round: Round) -> list[str]:
    """What bars a process: by the rules for a record, as if this round were all of one; calibrations apart."""
    alone = dataclasses.replace(record, measurements=[measurement], rounds=[of_round], calibrations=[])
    flags = [flag.name for flag in judged(alone).measurements[0].flags if flag.name not in HARMLESS]
    same_torch = record.environment["software"].get("torch") == facts.version("torch")  # another has a pace of its own
    return [*flags, "apart"] if same_torch and is_team(measurement) and elsewhere(of_round.beside, record) else flags


def _time_calibrations(
    worker: Conversation, cases: Sequence[Case], calibrations: dict[tuple[str, str], list[float]]
) -> None:
    for device in dict.fromkeys(case.device for case in cases):
        here = [case for case in cases if case.device == device]
        precisions, threads = sorted({case.precision for case in here}), max(case.threads for case in here)
        timed = worker.ask("calibrate", devices=[device], threads=threads, precisions={device: precisions})
        for calibration in timed:
            if samples := calibration["samples_seconds"]:
                value = math.log(fastest_quarter(samples) / calibration["work_per_repetition"])
                calibrations.setdefault((device, calibration["name"]), []).append(value)


def _count(id: str, record: Record, then: Measurement, seen: Remeasured, accepted: list[dict[str, Any]]) -> Outcome:
    if then.counters is None or not seen.counters:
        return Outcome("counts", id, ERROR, "nothing was counted")
    sides = {"reference": dataclasses.asdict(then.counters), "candidate": dict(seen.counters)}
    if then.counters.growth_bytes is None:  # a quick run does not look for it
        sides["candidate"]["growth_bytes"] = None
    outcome = check.judge_counts(id, sides, accepted)
    return dataclasses.replace(outcome, lines=[*outcome.lines, *_other_torch([record])])


def _other_torch(records: Sequence[Record]) -> list[str]:
    """What else than the program has changed: to be said, for it may be the very question."""
    now = facts.version("torch")
    then = dict.fromkeys(record.environment["software"].get("torch") for record in records)
    return [f"torch {version} then and {now} now" for version in then if version != now]


def _judge(
    id: str,
    records: Sequence[Record],
    baseline: Sequence[Measurement],
    seen: Remeasured,
    calibrations: dict[tuple[str, str], list[float]],
    rule: decide.TimingRule,
) -> Outcome:
    then = [_undisturbed(m, record) for m, record in zip(baseline, records, strict=True)]
    decision = unpaired.decide(then, seen.screening, seen.confirmation, rule)
    barred = ", ".join(sorted(set(seen.flags)))
    if len(seen.screening) + len(seen.confirmation) < FEWEST_PROCESSES:
        decision = dataclasses.replace(
            decision, verdict=decide.INCONCLUSIVE, reason=f"nearly every process was flagged: {barred}"
        )
    elif moved := _machine_moved(records, baseline, calibrations):
        decision = dataclasses.replace(decision, verdict=decide.INCONCLUSIVE, reason=moved)
    lines = [f"{counted(len(seen.flags), 'flag')} barred processes from the test: {barred}"] if barred else []
    lines += _other_torch(records)
    raw = {**dataclasses.asdict(decision), "baseline_seconds": [m.samples_seconds for m in baseline]}
    return Outcome(
        "timing", id, decision.verdict, decision.reason, lines, {**raw, "candidate_seconds": seen.samples_seconds}
    )


def _undisturbed(measurement: Measurement, record: Record) -> float:
    """Log seconds of a record's case: the mean over its processes, since one of the candidate's is set against it."""
    return statistics.fmean(math.log(fastest_quarter(samples)) for samples in by_process(measurement, record).values())


def _machine_moved(
    records: Sequence[Record], baseline: Sequence[Measurement], calibrations: dict[tuple[str, str], list[float]]
) -> str | None:
    """Which calibration of the case is another than in the records, by how much; also if there is none to tell by."""
    then: dict[tuple[str, str], list[float]] = {}
    for record, measurement in zip(records, baseline, strict=True):
        for calibration in concerning(measurement, record):
            for samples in (calibration.samples_seconds, calibration.after_samples_seconds):
                if samples:
                    value = math.log(fastest_quarter(samples) / calibration.work_per_repetition)
                    then.setdefault((calibration.device, calibration.name), []).append(value)
    if not then:
        return "the records have no calibration: whether the machine has changed cannot be told"
    for key, values in then.items():
        if not calibrations.get(key):
            return f"calibration probe {key[1]} was not timed: whether the machine has changed cannot be told"
        distance, _, _ = unpaired.two_samples(values, calibrations[key])
        if abs(distance) > math.log1p(unpaired.MACHINE_FRACTION):
            return (
                f"this machine has changed: calibration probe {key[1]} {math.expm1(distance):+.1%} since the baseline"
            )
    return None

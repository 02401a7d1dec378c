"""The account of a time: terms that add up to it, the last of them what nothing explains.

How: the same operators on next to nothing take what does not depend on any size (`bench.measure.breakdown`). What a
step takes beyond that is work. A profile divides it, by what is more there in the step than in the empty one: time in
matrix products, in other operators, which mostly move bytes, and outside of all operators, which nothing explains. So
what the profiler costs, and how fast the machine was at that moment, cancel. An epoch is its waiting for batches, and
steps that are divided as the same step alone is. That overhead is what remains where the work goes towards nothing is
the definition of the framework tax, too (Fernandez et al., The framework tax: disparities between inference efficiency
in NLP research and deployment, EMNLP 2023).

On an accelerator the host runs ahead: while the device works, overhead costs nothing. So the account is the device's
there: what it computes and copies, and of the rest, in which it waits, what the host needs for data and overhead. But
a copy from memory that is not pinned keeps the host in its call, first until the device has done all before it, then
until it has been read: behind that no overhead is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.analyse.levels import time_of
from bench.analyse.once import once_a_record
from bench.analyse.pace import core_pace, mostly_apart
from bench.analyse.rounds import counting, rounds_of
from bench.axes.workloads import workload
from bench.record.measurement import Breakdown, Measurement
from bench.record.model import Record

DATA, COPIES, OVERHEAD, ARITHMETIC, MEMORY, UNEXPLAINED = TERMS = (
    "data",
    "copies",
    "overhead",
    "arithmetic",
    "memory",
    "unexplained",
)
CALL = "copy_call"  # of a breakdown's kinds of work, the one that is the host's


@dataclass(frozen=True)
class Account:
    """Where the time of a repetition goes.

    Attributes:
        seconds: Of each of `TERMS`; together they are the time. Unexplained is below 0 where terms overlap.
        host_seconds: What the host has to do for a repetition, whether or not the device waits for it.
        device_seconds: In which the device works; None on the CPU.
        overhead_by_part: The shares of the overhead by part of the step; empty where it has no parts.
    """

    seconds: Mapping[str, float]
    host_seconds: float
    device_seconds: float | None
    overhead_by_part: Mapping[str, float]

    @property
    def total_seconds(self) -> float:
        """The time."""
        return math.fsum(self.seconds.values())

    def share(self, term: str) -> float:
        """The term's fraction of the time."""
        return self.seconds[term] / self.total_seconds

    @property
    def largest(self) -> str:
        """The term that takes the most."""
        return max(TERMS, key=lambda term: self.seconds[term])


@once_a_record
def account(measurement: Measurement, record: Record) -> Account | None:
    """The account of a case's time; None if it was not taken apart."""
    breakdown, phases = measurement.breakdown, measurement.phases
    if breakdown is None or not breakdown.work_seconds:
        return None
    time = time_of(measurement, record).value
    whole = workload(measurement.case.workload).repetition != "step"
    if whole and phases is None:
        return None
    fetching = 0.0
    if whole and phases:  # by its share of a block that was marked
        fetching = time * phases.host_seconds.get("fetch", 0.0) / phases.sum_seconds
    steps, of_full_size = _steps(measurement)
    parts = math.fsum(breakdown.empty_parts_seconds.values())
    by_part = {name: one / parts for name, one in breakdown.empty_parts_seconds.items()}
    if measurement.case.device == "cpu":
        rounds = [rounds_of(record)[number] for number in counting(measurement.rounds, record)]
        slow = mostly_apart(rounds, record)
        overhead, seconds = _on_the_cpu(breakdown, time - fetching, steps, core_pace(record), slow=slow)
        return _account(time, {DATA: fetching, **seconds}, fetching + overhead, None, by_part)
    scale = time / (phases.sum_seconds if whole and phases else breakdown.step_seconds)
    host = fetching + steps * breakdown.empty_step_seconds * scale
    work = {kind: one * of_full_size * scale for kind, one in breakdown.work_seconds.items()}
    called = max(0.0, work.pop(CALL, 0.0) - steps * scale * breakdown.empty_work_seconds.get(CALL, 0.0))
    busy = min(time, math.fsum(work.values()))
    terms = _on_a_device(work, called, time, fetching, host - fetching)
    return _account(time, terms, min(time, host), busy, by_part)


def _account(
    time: float, seconds: Mapping[str, float], host: float, device: float | None, by_part: Mapping[str, float]
) -> Account:
    left = time - math.fsum(seconds.values())
    return Account({term: seconds.get(term, 0.0) for term in TERMS} | {UNEXPLAINED: left}, host, device, by_part)


def _steps(measurement: Measurement) -> tuple[int, float]:
    """The steps of a repetition, and how many of the full size do the same work."""
    if measurement.steps_per_epoch is None:
        return 1, 1.0
    images = measurement.images_per_repetition or measurement.steps_per_epoch * measurement.case.batch_size
    return measurement.steps_per_epoch, images / measurement.case.batch_size


def _on_the_cpu(
    breakdown: Breakdown, time: float, steps: int, core_pace: float | None, *, slow: bool
) -> tuple[float, dict[str, float]]:
    """The overhead, and the terms of so much time in so many steps.

    It is known in two ways: by its share of the step that took turns with the empty one, and by what the empty step
    took itself, at the pace of a core then and in the rounds. What disturbs the one step or the other makes that share
    too small: threads that took longer to hand work over made 46% of what was 63% in the next run, and a step in rounds
    beside a busy process, too. So the larger one counts, but for a time of rounds whose own threads were slow to hand
    work over: of that, overhead has no more than it has otherwise.
    """
    overhead = time * breakdown.empty_step_seconds / breakdown.step_seconds
    if core_pace and breakdown.core_seconds:  # older records have none
        alone = steps * breakdown.empty_step_seconds * core_pace / breakdown.core_seconds
        overhead = alone if slow else max(overhead, alone)
    overhead = min(time, overhead)
    more = {
        kind: max(0.0, seconds - breakdown.empty_work_seconds.get(kind, 0.0))
        for kind, seconds in breakdown.work_seconds.items()
    }
    each = (time - overhead) / total if (total := math.fsum(more.values())) else 0.0
    work = {ARITHMETIC: each * more["product"], MEMORY: each * more["other"]}
    return overhead, {OVERHEAD: overhead, **work}


def _on_a_device(
    work: Mapping[str, float], called: float, time: float, fetching: float, overhead: float
) -> dict[str, float]:
    """What the device does, and what it waits for: the host's overhead as far as it is more than the device's work.

    The host is in calls that copy for `called` seconds, in which it waits for what is left of the other work, too.
    """
    copying = work.get("copy", 0.0)
    beside = max(0.0, copying - called)  # while the host goes on
    busy = math.fsum(work.values()) - copying + beside
    copies = beside + max(0.0, called - max(0.0, busy - overhead - fetching))
    waiting = max(0.0, time - (busy - beside) - copies)
    data = min(fetching, waiting)
    return {
        DATA: data,
        COPIES: copies,
        OVERHEAD: min(max(0.0, overhead - busy), waiting - data),
        ARITHMETIC: work.get("product", 0.0),
        MEMORY: work.get("other", 0.0),
    }

"""The account of a time: terms that add up to it, the last of them what nothing explains.

How: the same operators on next to nothing take what does not depend on any size (`bench.measure.breakdown`). What a
step takes beyond that is work: by the operators' own times, less those of the empty step, that of matrix products, or
of the others, which mostly move bytes. An epoch is its waiting for batches and so many of its steps. That overhead is
what remains where the work goes towards nothing is the definition of the framework tax, too (Fernandez et al., The
framework tax: disparities between inference efficiency in NLP research and deployment, EMNLP 2023).

On an accelerator the host runs ahead: while the device works, overhead costs nothing. So the account is the device's
there: what it computes and copies, and of the rest, in which it waits, what the host needs for data and overhead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bench.analyse.levels import time_of
from bench.analyse.once import once_a_record
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

    @property
    def is_launch_bound(self) -> bool:
        """Whether a device waits for the host for more than half of the time."""
        return self.device_seconds is not None and self.device_seconds < self.total_seconds / 2


@once_a_record
def account(measurement: Measurement, record: Record) -> Account | None:
    """The account of a case's time; None if it was not taken apart."""
    found, phases = measurement.breakdown, measurement.phases
    if found is None or not found.work_seconds:
        return None
    time = time_of(measurement, record).value
    steps, of_full_size = _steps(measurement)
    whole = workload(measurement.case.workload).repetition != "step"
    if whole and phases is None:
        return None
    # Both were seen in another process than the time was: by their shares of what it took there.
    scale = time / (phases.sum_seconds if whole and phases else found.step_seconds)
    fetching = phases.host_seconds.get("fetch", 0.0) * scale if whole and phases else 0.0
    overhead = steps * found.empty_step_seconds * scale
    terms = _on_a_device if measurement.case.device != "cpu" else _on_the_cpu
    seconds = terms(found, time, fetching, overhead, of_full_size * scale)
    explained = math.fsum(seconds.values())
    busy = math.fsum(found.work_seconds.values()) * of_full_size * scale
    parts = math.fsum(found.empty_parts_seconds.values())
    return Account(
        {term: seconds.get(term, 0.0) for term in TERMS} | {UNEXPLAINED: time - explained},
        host_seconds=fetching + overhead,
        device_seconds=None if measurement.case.device == "cpu" else min(busy, time),
        overhead_by_part={name: one / parts for name, one in found.empty_parts_seconds.items()},
    )


def _steps(measurement: Measurement) -> tuple[int, float]:
    """The steps of a repetition, and how many of the full size do the same work."""
    if measurement.steps_per_epoch is None:
        return 1, 1.0
    images = measurement.images_per_repetition or measurement.steps_per_epoch * measurement.case.batch_size
    return measurement.steps_per_epoch, images / measurement.case.batch_size


def _on_the_cpu(found: Breakdown, time: float, fetching: float, overhead: float, times: float) -> dict[str, float]:
    work = {
        kind: max(0.0, found.work_seconds[kind] - found.empty_work_seconds.get(kind, 0.0)) * times
        for kind in ("product", "other")
    }
    return {DATA: fetching, OVERHEAD: overhead, ARITHMETIC: work["product"], MEMORY: work["other"]}


def _on_a_device(found: Breakdown, time: float, fetching: float, overhead: float, times: float) -> dict[str, float]:
    """What the device does, and what it waits for: the host's overhead as far as it is more than the device's work."""
    work = {kind: seconds * times for kind, seconds in found.work_seconds.items()}
    busy = math.fsum(work.values())
    waiting = max(0.0, time - busy)
    data = min(fetching, waiting)
    return {
        DATA: data,
        COPIES: work.get("copy", 0.0),
        OVERHEAD: min(max(0.0, overhead - busy), waiting - data),
        ARITHMETIC: work.get("product", 0.0),
        MEMORY: work.get("other", 0.0),
    }

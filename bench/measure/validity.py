"""The flags that the environment and the case itself raise, where the case runs: one row a way to be fooled.

What the samples and the surroundings of their rounds say is derived from the record, in `bench.analyse.trust`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.axes.case import Case
from bench.measure import settings
from bench.measure.claims import Fed, why_not_as_claimed
from bench.record.measurement import Counters, Flag
from bench.text import counted
from fcnn.train import Training


@dataclass(frozen=True)
class Observation:
    """What was observed around a case, for the rows to judge.

    Attributes:
        block_seconds: How long a timed block takes.
        clock_resolution_seconds: The smallest step of the clock.
        counters: What one repetition, or one step of an epoch, was counted to do.
        fed: What an epoch was given.
    """

    case: Case
    training: Training | None = None
    counters: Counters | None = None
    fed: Fed | None = None
    block_seconds: float = 5e-3
    clock_resolution_seconds: float = 0.0


def _not_as_claimed(seen: Observation) -> str | None:
    return None if seen.training is None else why_not_as_claimed(seen.case, seen.training, seen.counters, seen.fed)


def _oversubscribed(seen: Observation) -> str | None:
    quota, threads = settings.cpu_quota_cores(), seen.case.threads
    if quota is not None and threads > quota:
        return f"{counted(threads, 'thread')}, and the control group grants the time of {quota:g} cores"
    usable = settings.usable_cores()
    return f"{threads} threads on {usable} usable cores" if threads > usable else None


def _launch_blocking(seen: Observation) -> str | None:
    value = os.environ.get("CUDA_LAUNCH_BLOCKING", "")
    return "CUDA_LAUNCH_BLOCKING makes every kernel wait" if value not in ("", "0") else None


def _anomaly_mode(seen: Observation) -> str | None:
    return "autograd's anomaly mode checks every operator for NaN" if torch.is_anomaly_enabled() else None


def _profiled(seen: Observation) -> str | None:
    if torch.autograd.profiler._is_profiler_enabled:
        return "torch's profiler was recording"
    if sys.gettrace() or sys.getprofile() or _monitors():
        return "a Python tracer or profiler (debugger, coverage) was active"
    return None


def _monitors() -> bool:
    """Whether one of the six tools of `sys.monitoring` is in use: from Python 3.12 on, cProfile is."""
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and any(map(monitoring.get_tool, range(6)))


def _debug_build(seen: Observation) -> str | None:
    return "this is a debug build of torch" if torch.version.debug else None


def _coarse_clock(seen: Observation) -> str | None:
    if seen.clock_resolution_seconds > seen.block_seconds / 1000:
        return f"the clock's step of {seen.clock_resolution_seconds:.1e} s is over 0.1% of a block"
    return None


CHECKS: dict[str, Callable[[Observation], str | None]] = {
    "not-as-claimed": _not_as_claimed,
    "oversubscribed": _oversubscribed,
    "launch-blocking": _launch_blocking,
    "anomaly-mode": _anomaly_mode,
    "profiled": _profiled,
    "debug-build": _debug_build,
    "coarse-clock": _coarse_clock,
}


def flags(seen: Observation) -> list[Flag]:
    """Every row's objection to what was seen."""
    return [Flag(name, reason) for name, check in CHECKS.items() if (reason := check(seen))]

"""The flags that the environment and the case itself raise: one row a way to be fooled.

What the samples say against themselves (`wide`, `unsteady`, `bimodal`) is in `bench.measure.sampling`; what needs the
whole record (`drift`, `impossible`) is in `bench.analyse.trust`.
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
from bench.measure.sampling import Rule, Samples
from bench.record.model import Counters, Flag
from bench.text import counted
from fcnn.train import Training

CONTENDED_CORES = 0.15
STOPPED_FRACTION = 0.01
THROTTLED = 0x8 | 0x20 | 0x40 | 0x80  # NVML: hardware slowdown, software and hardware thermal, power brake


@dataclass(frozen=True)
class Seen:
    """What was observed around a case, for the rows to judge.

    Attributes:
        others_cores: Cores that other processes (and the hypervisor's steal) kept busy meanwhile.
        graphs_compiled: Graphs that torch.compile made while samples were taken.
        clock_resolution_seconds: The smallest step of the clock.
        throttle_reasons: NVML's bit mask of why the GPU's clocks are lowered; 0 without a GPU.
        gpu_others: Other processes with work on the GPU.
        counters: What one repetition, or one step of an epoch, was counted to do.
        fed: What an epoch was given.
        stopped_fraction: Of the time, in which the control group let the process wait for its quota.
    """

    case: Case
    samples: Samples
    rule: Rule
    training: Training | None = None
    others_cores: float = 0.0
    graphs_compiled: int = 0
    clock_resolution_seconds: float = 0.0
    throttle_reasons: int = 0
    gpu_others: int = 0
    counters: Counters | None = None
    fed: Fed | None = None
    stopped_fraction: float = 0.0


def _unsynchronised(seen: Seen) -> str | None:
    device = seen.samples.device_seconds
    if device is None:
        return None
    # Events cannot say that the device worked longer than the host waited, unless the host did not wait.
    short = sum(host < 0.95 * busy for host, busy in zip(seen.samples.seconds, device, strict=True))
    return f"in {short} blocks the device was still busy when the clock was read" if short > len(device) // 10 else None


def _cold(seen: Seen) -> str | None:
    first, rest = seen.samples.seconds[0], sorted(seen.samples.seconds[1:])
    # Twice the others' median and above all of them: lazy initialisation, and no blip of a shared machine.
    if len(rest) < 2 or first <= max(rest[-1], 2 * rest[len(rest) // 2]):
        return None
    return f"no warm-up: the first sample took {first / rest[len(rest) // 2]:.1f} times as long as the others"


def _recompiled(seen: Seen) -> str | None:
    count = seen.graphs_compiled
    return f"torch.compile made {count} new graph{'s' * (count > 1)} while samples were taken" if count else None


def _not_as_claimed(seen: Seen) -> str | None:
    return None if seen.training is None else why_not_as_claimed(seen.case, seen.training, seen.counters, seen.fed)


def _oversubscribed(seen: Seen) -> str | None:
    quota, threads = settings.cpu_quota_cores(), seen.case.threads
    if quota is not None and threads > quota:
        return f"{counted(threads, 'thread')}, and the control group grants the time of {quota:g} cores"
    usable = settings.usable_cores()
    return f"{threads} threads on {usable} usable cores" if threads > usable else None


def contended(others_cores: float) -> str | None:
    """What others' load does to a measurement, as a reason; None if it is too small to matter."""
    return f"other processes kept {others_cores:.1f} cores busy meanwhile" if others_cores > CONTENDED_CORES else None


def shared(gpu_others: int) -> str | None:
    """That others use the GPU, as a reason; None if nobody does."""
    if not gpu_others:
        return None
    return f"{gpu_others} other {'process uses' if gpu_others == 1 else 'processes use'} the GPU"


def throttled(throttle_reasons: int, stopped_fraction: float) -> str | None:
    """How the machine was held back, by NVML's bit mask and the core-seconds without quota per second; None if not."""
    if reasons := throttle_reasons & THROTTLED:
        return f"the GPU has lowered its clocks (NVML reasons {reasons:#x})"
    if stopped_fraction > STOPPED_FRACTION:
        # Added up over cores: more than one second per second where several threads wait.
        return f"the control group made it wait for its quota, {stopped_fraction:.2g} core-seconds per second"
    return None


def _launch_blocking(seen: Seen) -> str | None:
    value = os.environ.get("CUDA_LAUNCH_BLOCKING", "")
    return "CUDA_LAUNCH_BLOCKING makes every kernel wait" if value not in ("", "0") else None


def _anomaly_mode(seen: Seen) -> str | None:
    return "autograd's anomaly mode checks every operator for NaN" if torch.is_anomaly_enabled() else None


def _profiled(seen: Seen) -> str | None:
    if torch.autograd.profiler._is_profiler_enabled:
        return "torch's profiler was recording"
    if sys.gettrace() or sys.getprofile() or _monitors():
        return "a Python tracer or profiler (debugger, coverage) was active"
    return None


def _monitors() -> bool:
    """Whether one of the six tools of `sys.monitoring` is in use: from Python 3.12 on, cProfile is."""
    monitoring = getattr(sys, "monitoring", None)
    return monitoring is not None and any(map(monitoring.get_tool, range(6)))


def _debug_build(seen: Seen) -> str | None:
    return "this is a debug build of torch" if torch.version.debug else None


def _coarse_clock(seen: Seen) -> str | None:
    block = min(seen.samples.seconds) * seen.samples.block_repetitions
    if seen.clock_resolution_seconds > block / 1000:
        return f"the clock's step of {seen.clock_resolution_seconds:.1e} s is over 0.1% of a block"
    return None


CHECKS: dict[str, Callable[[Seen], str | None]] = {
    "unsynchronised": _unsynchronised,
    "cold": _cold,
    "recompiled": _recompiled,
    "not-as-claimed": _not_as_claimed,
    "oversubscribed": _oversubscribed,
    "contended": lambda seen: contended(seen.others_cores),
    "gpu-shared": lambda seen: shared(seen.gpu_others),
    "throttled": lambda seen: throttled(seen.throttle_reasons, seen.stopped_fraction),
    "launch-blocking": _launch_blocking,
    "anomaly-mode": _anomaly_mode,
    "profiled": _profiled,
    "debug-build": _debug_build,
    "coarse-clock": _coarse_clock,
}


def flags(seen: Seen) -> list[Flag]:
    """Every row's objection to what was seen."""
    return [Flag(name, reason) for name, check in CHECKS.items() if (reason := check(seen))]

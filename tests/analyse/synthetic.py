"""Records of round numbers, so that a test can work out by hand what must be derived from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from bench.record.measurement import Counters, Flag, Measurement, Phases
from bench.record.model import Beside, Calibration, Record, Round
from tests.data.measurements import case, measured
from tests.data.records import CPU_RECORD

COUNTERS = Counters(
    aten_calls={"aten::addmm float32": 2, "aten::mm float32": 3, "aten::add_ float32": 95},
    flops=10_000_000,
    parameter_bytes=160_000,
    gradient_bytes=160_000,
    optimizer_state_bytes=320_000,
    saved_tensor_bytes=200_000,
    allocations=20,
    peak_allocated_bytes=500_000,
    host_synchronisations=0,
    host_device_copies=0,
    host_device_copied_bytes=0,
    growth_bytes=0,
)
# 100 GFLOP/s; 10 GB/s outside of the caches and 40 GB/s inside; 1 µs a call.
RATES = {"matmul_fp32": ("flop", 1e11), "copy": ("byte", 1e10), "copy_cached": ("byte", 4e10)}


def steady(seconds: float, n: int = 40) -> list[float]:
    """Samples whose fastest quarter has the mean `seconds`, and of which eight have that median."""
    some = [0.9995, 1.001, 1.002, 1.001, 1.0005, 1.001, 1.002, 1.001] if n > 8 else [0.999, 1.0, 1.001, 1.0] * 2
    return [seconds * factor for factor in (some * n)[:n]]


def calibration(name: str, device: str = "cpu", after: float | None = 1.0, **changes: Any) -> Calibration:
    """A calibration that takes `after` times as long after the run as before; None has no after."""
    unit, rate = RATES.get(name, ("call", 1e6))
    work = 1.0 if unit == "call" else rate / 1000
    before = steady(work / rate)
    later = None if after is None else [after * seconds for seconds in before]
    return Calibration(**{**dataclasses.asdict(Calibration(name, device, unit, work, before, later)), **changes})


def latencies(**seconds: float) -> list[Calibration]:
    """How long a GPU takes for one of `graph_node` or `grid_barrier`, timed a thousand at once."""
    return [Calibration(name, "cuda", "node", 1000.0, steady(1000 * each)) for name, each in seconds.items()]


def calibrations(device: str = "cpu", **after: float) -> list[Calibration]:
    """All that a device has, with how some of them moved."""
    call = "dispatch" if device == "cpu" else "launch"
    return [calibration(name, device, after.get(name, 1.0)) for name in (*RATES, call)]


def step(
    seconds: float = 1e-3, *, counters: Counters | None = COUNTERS, device: str = "cpu", **changes: Any
) -> Measurement:
    """A step of 64 images."""
    fields = {"counters": counters, "phases": None, "samples_seconds": steady(seconds), "flags": [], **changes}
    return measured(case("step", device), seconds, **fields)


def epoch(
    seconds: float = 1.0, *, counters: Counters | None = COUNTERS, device: str = "cpu", **changes: Any
) -> Measurement:
    """An epoch of 60,000 images in 938 steps."""
    fields = {"counters": counters, "phases": None, "samples_seconds": steady(seconds, 8), "flags": [], **changes}
    return measured(case("epoch", device), seconds, **fields)


def phases(**host_seconds: float) -> Phases:
    """Parts that take so long."""
    total = sum(host_seconds.values())
    return Phases(dict(host_seconds), total, total, None)


def record(*measurements: Measurement, sticks: Sequence[Calibration] | None = None) -> Record:
    """A run on one CPU, or on what the calibrations are of."""
    sticks = calibrations() if sticks is None else sticks
    return dataclasses.replace(CPU_RECORD, measurements=list(measurements), unmeasured=[], calibrations=list(sticks))


def names(flags: Sequence[Flag]) -> list[str]:
    """Of the flags, in order."""
    return [flag.name for flag in flags]


def made(
    times: Any,
    disturbed: Container[int] = (),
    processes: Sequence[int] | None = None,
    near: Container[int] | None = None,
) -> Record:
    """A record of steps with the logarithms [process, round, case] of their times, and some rounds disturbed.

    Where it is given in which rounds the cores lay near, they lay apart in all others.
    """
    logs = np.asarray(times, dtype=float)
    everything = range(logs.shape[0] * logs.shape[1])
    beside = [Beside(team_seconds=None if near is None else 2e-6 if n in near else 4e-6) for n in everything]
    rounds = [
        Round(n, "steps", n // logs.shape[1], 0.2, beside[n], "others were busy" if n in disturbed else None)
        for n in everything
    ]
    numbers = list(range(len(rounds)))
    if processes is not None:  # how many rounds each process has
        numbers = [n for n in numbers if n % logs.shape[1] < processes[n // logs.shape[1]]]
    flat = np.exp(logs.reshape(-1, logs.shape[2]))
    more = (case("step", batch=1 + size) for size in range(logs.shape[2] - 2))
    cases = (case("step"), case("step", optimizer="fused"), *more)
    found = [
        measured(c, 1.0, samples_seconds=[float(flat[n, i]) for n in numbers], flags=[]) for i, c in enumerate(cases)
    ]
    found = [dataclasses.replace(m, rounds=numbers) for m in found]
    return dataclasses.replace(record(*found), rounds=rounds)

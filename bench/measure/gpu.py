"""The state of the GPU as NVML tells it: clocks, power, temperature, what held its clocks back, who works on it.

Imports no torch. Every fact is asked for by itself: a driver, a MIG instance or missing rights refuse single ones, and
what is refused is None with the reason, never 0. Source: NVIDIA's NVML API reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.measure import nvml

# NVML's performance policies that hold clocks back, by the names of its constants. Low utilisation is none of them.
POLICIES = {
    "POWER": "power limit",
    "THERMAL": "temperature",
    "SYNC_BOOST": "sync boost",
    "BOARD_LIMIT": "board limit",
    "RELIABILITY": "voltage",
}

# Why clocks are not at their highest, by the bits of NVML's mask ("clocks event reasons").
REASONS = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "power limit",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "temperature (software)",
    0x40: "temperature (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
}
THROTTLED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80  # those that make kernels slower than the GPU can


@dataclass(frozen=True)
class GpuState:
    """What NVML tells at a moment; None where it does not.

    Attributes:
        sm_hertz: Clock rate of the multiprocessors.
        power_watts: Drawn by the whole board.
        temperature_celsius: Of the chip.
        throttle_reasons: NVML's bit mask of why the clocks are lowered now.
        held_back_seconds: By policy, for how long the clocks have been held back since the driver was loaded.
        processes: Numbers of the processes that have work on the GPU.
        not_known: By fact that is None or incomplete, why.
    """

    sm_hertz: float | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None
    throttle_reasons: int | None = None
    held_back_seconds: dict[str, float] = field(default_factory=dict)
    processes: tuple[int, ...] | None = None
    not_known: dict[str, str] = field(default_factory=dict)


def state(uuid: str | None = None) -> GpuState:
    """The state of the GPU with this uuid; of torch's first one, if none is given."""
    not_known: dict[str, str] = {}

    def known(name: str, question: Callable[[Any, Any], Any]) -> Any:
        try:
            return nvml.ask(question, uuid)
        except nvml.NvmlError as error:
            not_known[name] = str(error)
            return None

    held_back = {}
    for policy, called in POLICIES.items():
        seconds = known("held_back_seconds", _held_back(policy))
        if seconds is not None:
            held_back[called] = seconds
    if held_back:  # no GPU has all of them
        not_known.pop("held_back_seconds", None)
    return GpuState(
        sm_hertz=known("sm_hertz", lambda p, gpu: 1e6 * p.nvmlDeviceGetClockInfo(gpu, p.NVML_CLOCK_SM)),
        power_watts=known("power_watts", lambda p, gpu: p.nvmlDeviceGetPowerUsage(gpu) / 1e3),
        temperature_celsius=known(
            "temperature_celsius", lambda p, gpu: float(p.nvmlDeviceGetTemperature(gpu, p.NVML_TEMPERATURE_GPU))
        ),
        throttle_reasons=known("throttle_reasons", lambda p, gpu: int(p.nvmlDeviceGetCurrentClocksEventReasons(gpu))),
        held_back_seconds=held_back,
        processes=known("processes", lambda p, gpu: tuple(_pids(p.nvmlDeviceGetComputeRunningProcesses(gpu)))),
        not_known=not_known,
    )


def _held_back(policy: str) -> Callable[[Any, Any], float]:
    def question(pynvml: Any, gpu: Any) -> float:
        status = pynvml.nvmlDeviceGetViolationStatus(gpu, getattr(pynvml, f"NVML_PERF_POLICY_{policy}"))
        return int(status.violationTime) / 1e9  # in nanoseconds; the time of reading, `referenceTime`, in microseconds

    return question


def _pids(processes: Any) -> list[int]:
    return [int(process.pid) for process in processes]


def reasons(mask: int) -> list[str]:
    """The names of a mask's reasons; of those that have none here, the bits."""
    named = [name for bit, name in REASONS.items() if mask & bit]
    rest = mask & ~sum(REASONS)
    return [*named, *([f"NVML reason {rest:#x}"] if rest else [])]


def held_back(before: GpuState, after: GpuState, seconds: float) -> tuple[float, str] | None:
    """The largest share of the time between two states in which a policy held the clocks back, and the policy.

    None where NVML keeps no such counters.
    """
    shares = [
        (max(0.0, now - before.held_back_seconds[policy]) / max(seconds, 1e-9), policy)
        for policy, now in after.held_back_seconds.items()
        if policy in before.held_back_seconds
    ]
    return max(shares, default=None)


def exclusive() -> str | None:
    """Why several processes cannot use torch's first GPU at a time; None if they can, or NVML does not tell."""
    try:
        alone = nvml.ask(lambda p, gpu: p.nvmlDeviceGetComputeMode(gpu) == p.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS)
    except nvml.NvmlError:
        return None
    reason = "it takes one process at a time, and several are to take turns: sudo nvidia-smi --compute-mode=DEFAULT"
    return reason if alone else None


def others(seen: GpuState, own: set[int]) -> tuple[int | None, str | None]:
    """How many other processes have work on the GPU, or why that is not known.

    A container may show processes under numbers that are not its own. Then a single one is the own one; of several,
    nobody can say how many are: the run may have more than one process there.

    Args:
        seen: While a process of `own` has work there.
        own: The numbers of the run's own processes.
    """
    if seen.processes is None:
        return None, seen.not_known["processes"]
    if not seen.processes:
        # As on MIG instances, under some containers, and without the rights: the own one is missing as well.
        return None, "NVML lists no process on the GPU, not even this run's own"
    strangers = [pid for pid in seen.processes if pid not in own]
    if len(strangers) < len(seen.processes):
        return len(strangers), None
    if len(strangers) == 1:
        return 0, None
    count = f"{len(strangers)} processes on the GPU"
    return None, f"NVML lists {count} under numbers of another namespace, which do not tell this run's own"

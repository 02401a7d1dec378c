"""What goes on around what is measured: other processes, the hypervisor, the control group's quota, the GPU's state.

Imports no torch: the process that asks the workers looks around for them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench.measure import cgroup, gpu, processes
from bench.measure.processes import compiles
from bench.record import model

SHORTEST_SPAN_SECONDS = 0.2
CONTENDED_CORES = 0.15
STOPPED_FRACTION = 0.01
LEAST_SECONDS = 0.03
FREQUENCIES = Path("/sys/devices/system/cpu")
HELD_BACK_FRACTION = 0.01  # of the time, by a policy of the GPU's


def contended(others_cores: float) -> str | None:
    """What others' load does to a measurement, as a reason; None if it is too small to matter."""
    return f"other processes kept {others_cores:.1f} cores busy meanwhile" if others_cores > CONTENDED_CORES else None


def shared(gpu_others: int) -> str | None:
    """That others use the GPU, as a reason; None if nobody does."""
    if not gpu_others:
        return None
    return f"{gpu_others} other {'process uses' if gpu_others == 1 else 'processes use'} the GPU"


def compiling(compile_cores: float, waited_cores: float | None) -> str | None:
    """That the run's own compile workers took the case's cores, as a reason; None if it had its cores all the same."""
    if compile_cores <= CONTENDED_CORES or (waited_cores is not None and waited_cores <= CONTENDED_CORES):
        return None
    return f"the run's own compile workers kept {compile_cores:.1f} cores busy meanwhile"


def throttled(throttle_reasons: int, stopped_fraction: float, held_back: tuple[float, str] | None = None) -> str | None:
    """How the machine was held back, as a reason; None if it was not.

    Args:
        throttle_reasons: NVML's bit mask.
        stopped_fraction: Core-seconds without quota per second.
        held_back: As `bench.measure.gpu.held_back` tells it.
    """
    if held_back and held_back[0] > HELD_BACK_FRACTION:
        return f"the GPU's clocks were held back {held_back[0]:.0%} of the time ({held_back[1]})"
    if mask := throttle_reasons & gpu.THROTTLED:
        return f"the GPU has lowered its clocks ({', '.join(gpu.reasons(mask))})"
    if stopped_fraction > STOPPED_FRACTION:
        # Added up over cores: more than one second per second where several threads wait.
        return f"the control group made it wait for its quota, {stopped_fraction:.2g} core-seconds per second"
    return None


class OtherLoad:
    """Cores that other processes keep busy, from construction to `cores`; the hypervisor's steal included."""

    def __init__(self) -> None:
        self._begin = self._read()

    @staticmethod
    def _read() -> tuple[float, float, float]:
        busy = _busy_seconds()
        return time.monotonic(), busy, sum(processes.cpu_seconds(processes.own()).values())

    def cores(self) -> float | None:
        """The average since construction; None after a short span: the kernel counts in hundredths of a second."""
        seconds, busy, own = (now - before for now, before in zip(self._read(), self._begin, strict=True))
        return max(0.0, (busy - own) / seconds) if seconds > SHORTEST_SPAN_SECONDS else None


class Surroundings:
    """What goes on around a command from construction on: others' load, and waiting for the control group's quota.

    Args:
        device: Where this very process computes; of a GPU, also who else does, and whether its clocks are lowered.
    """

    def __init__(self, device: str = "cpu") -> None:
        self._load, self._begin, self._stopped = OtherLoad(), time.monotonic(), cgroup.stopped_seconds()
        self._gpu_before = gpu.state() if device == "cuda" else None

    def disturbance(self) -> str | None:
        """What disturbed it so far, as a sentence's beginning without its subject; None if nothing did."""
        now = gpu.state() if self._gpu_before else gpu.GpuState()
        company = gpu.others(now, processes.own())[0] if self._gpu_before else None
        seconds = time.monotonic() - self._begin
        held_back = gpu.held_back(self._gpu_before, now, seconds) if self._gpu_before else None
        reasons = (
            contended(self._load.cores() or 0.0),
            shared(company or 0),
            throttled(now.throttle_reasons or 0, self.stopped_fraction(), held_back),
        )
        return " and ".join(reason for reason in reasons if reason) or None

    def stopped_fraction(self) -> float:
        """Of the time, in which the control group let the process wait."""
        return (cgroup.stopped_seconds() - self._stopped) / max(time.monotonic() - self._begin, 1e-9)


class Watch:
    """Looks at what goes on beside a round, from construction to `seen`.

    What disturbs is told by the surroundings alone: a rule that looked at the samples would choose those it likes.

    Args:
        process: The number of the process that the round runs in.
        uuid: That of the GPU that it uses; None without one.
        clocks: Whether it disturbs that the GPU's clocks are lowered.
    """

    def __init__(self, process: int, uuid: str | None = None, *, clocks: bool = True) -> None:
        self._process, self._uuid, self._clocks = process, uuid, clocks
        self._begin = self._read()

    def _read(self) -> _Reading:
        pids = processes.own(self._process)
        return _Reading(
            now=time.monotonic(),
            busy=_busy_seconds(),
            own=processes.cpu_seconds(pids),
            pids=pids,
            waited=_waited_seconds(self._process),
            stopped=cgroup.stopped_seconds(),
            board=gpu.state(self._uuid) if self._uuid else None,
        )

    def seen(self) -> tuple[model.Beside, str | None]:
        """What went on, and why that disturbed the round; None if it did not."""
        end, begin = self._read(), self._begin
        seconds = max(end.now - begin.now, 1e-9)
        own = sum(end.own.values()) - sum(begin.own.values())
        others = max(0.0, (end.busy - begin.busy) - own)
        compile_seconds = self._compile_seconds(begin.own, end.own)
        waited = None
        if end.waited is not None and begin.waited is not None:
            waited = max(0.0, end.waited - begin.waited) / seconds
        beside = model.Beside(
            others_cores=others / seconds,
            waited_cores=waited,
            stopped_cores=max(0.0, end.stopped - begin.stopped) / seconds,
            cpu_hertz=_cpu_hertz(),
            compile_cores=compile_seconds / seconds if compile_seconds else None,
        )
        held_back = None
        if begin.board and end.board:
            held_back = gpu.held_back(begin.board, end.board, seconds)
            beside = _with_gpu(beside, begin, end, held_back)
        # The kernel counts in hundredths: a few of them may be anybody's.
        load = contended(others / seconds) if others > LEAST_SECONDS else None
        return beside, (
            load
            or (compiling(compile_seconds / seconds, waited) if compile_seconds > LEAST_SECONDS else None)
            or shared(beside.gpu_others or 0)
            or throttled(
                beside.gpu_throttle_reasons or 0 if self._clocks else 0,
                beside.stopped_cores or 0.0,
                held_back if self._clocks else None,
            )
        )

    def _compile_seconds(self, before: dict[int, float], now: dict[int, float]) -> float:
        """For how long the own compile workers have computed; a process that appeared meanwhile counts whole."""
        spent = {pid: seconds - before.get(pid, 0.0) for pid, seconds in now.items()}
        here = (os.getpid(), self._process)
        return sum(seconds for pid, seconds in spent.items() if seconds > 0 and pid not in here and compiles(pid))


@dataclass(frozen=True)
class _Reading:
    """What counts up, in seconds, at a moment; `own` by process, of those of `pids` that are still there."""

    now: float
    busy: float
    own: dict[int, float]
    pids: set[int]
    waited: float | None
    stopped: float
    board: gpu.GpuState | None


def _with_gpu(
    beside: model.Beside, begin: _Reading, end: _Reading, held_back: tuple[float, str] | None
) -> model.Beside:
    assert begin.board is not None
    assert end.board is not None
    company, why_not = gpu.others(end.board, end.pids)
    not_known = dict(end.board.not_known)
    if why_not:
        not_known["processes"] = why_not
    return dataclasses.replace(
        beside,
        gpu_throttle_reasons=end.board.throttle_reasons,
        gpu_others=company,
        # A GPU on which the round's last turn was not goes to sleep before the round is over.
        gpu_sm_hertz=_higher(begin.board.sm_hertz, end.board.sm_hertz),
        gpu_power_watts=_higher(begin.board.power_watts, end.board.power_watts),
        gpu_temperature_celsius=end.board.temperature_celsius,
        gpu_held_back_fraction=held_back[0] if held_back else None,
        gpu_not_known="; ".join(f"{name}: {reason}" for name, reason in not_known.items()) or None,
    )


def _higher(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _busy_seconds() -> float:
    """For how long the cores that this process may use have been busy, also for other guests of the machine below."""
    return sum(map(_busy, _times_of_cores()))


def _times_of_cores() -> list[Any]:
    """The system's times of these cores: together if they are all there are, since each is counted in hundredths."""
    if hasattr(os, "sched_getaffinity"):
        each, cores = psutil.cpu_times(percpu=True), os.sched_getaffinity(0)
        # One that is offline is not listed, and then the numbers say nothing.
        if len(cores) < len(each) and max(cores) < len(each):
            return [each[core] for core in cores]
    return [psutil.cpu_times()]


def _busy(system: Any) -> float:
    busy = sum(system) - system.idle - getattr(system, "iowait", 0.0)
    # Linux counts a guest's time in user time as well.
    return float(busy - getattr(system, "guest", 0.0) - getattr(system, "guest_nice", 0.0))


def _waited_seconds(pid: int) -> float | None:
    """For how long a process's threads could have run and had no core; None where the system does not tell.

    The second number of `/proc/<pid>/task/<thread>/schedstat`, in nanoseconds (the kernel's scheduler/sched-stats.rst).
    """
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[1]) for thread in threads) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _cpu_hertz() -> float | None:
    """The clock rate of the processor, mean over its cores; None where the system does not tell, as in most guests."""
    rates = []
    for file in FREQUENCIES.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"):
        with contextlib.suppress(OSError, ValueError):
            rates.append(1e3 * int(file.read_text()))
    return sum(rates) / len(rates) if rates else None

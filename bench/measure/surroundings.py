"""What goes on around what is measured: other processes, the hypervisor, the control group's quota, the GPU's state.

Imports no torch: the process that asks the workers looks around for them.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psutil

from bench.measure import cgroup, nvml
from bench.record import model

SHORTEST_SPAN_SECONDS = 0.2
CONTENDED_CORES = 0.15
STOPPED_FRACTION = 0.01
LEAST_SECONDS = 0.03
FREQUENCIES = Path("/sys/devices/system/cpu")
THROTTLED = 0x8 | 0x20 | 0x40 | 0x80  # NVML: hardware slowdown, software and hardware thermal, power brake


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


class OtherLoad:
    """Cores that other processes keep busy, from construction to `cores`; the hypervisor's steal included."""

    def __init__(self) -> None:
        self._begin = self._read()

    @staticmethod
    def _read() -> tuple[float, float, float]:
        busy = _busy_seconds()
        process, own = psutil.Process(), 0.0
        for p in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was listed
                # Its user and system time, and those of its children that have ended, such as an epoch's workers.
                own += sum(p.cpu_times()[:4])
        return time.monotonic(), busy, own

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
        self._device = device

    def disturbance(self) -> str | None:
        """What disturbed it so far, as a sentence's beginning without its subject; None if nothing did."""
        throttle_reasons, gpu_others = _gpu_state() if self._device == "cuda" else (0, 0)
        reasons = (
            contended(self._load.cores() or 0.0),
            shared(gpu_others),
            throttled(throttle_reasons, self.stopped_fraction()),
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
        gpu: The uuid of the GPU that it uses; None without one.
    """

    def __init__(self, process: int, gpu: str | None = None) -> None:
        self._process, self._gpu = process, gpu
        self._begin = self._read()

    def _read(self) -> tuple[float, float, float, float | None, float]:
        return (
            time.monotonic(),
            _busy_seconds(),
            sum(sum(_cpu_times(pid)[:4]) for pid in (os.getpid(), self._process)),
            _waited_seconds(self._process),
            cgroup.stopped_seconds(),
        )

    def seen(self) -> tuple[model.Beside, str | None]:
        """What went on, and why that disturbed the round; None if it did not."""
        now, busy, own, waited, stopped = self._read()
        begin, busy_before, own_before, waited_before, stopped_before = self._begin
        seconds = max(now - begin, 1e-9)
        others = max(0.0, (busy - busy_before) - (own - own_before))
        reasons, company = _gpu_state(self._gpu) if self._gpu else (None, None)
        beside = model.Beside(
            others_cores=others / seconds,
            waited_cores=(waited - waited_before) / seconds
            if waited is not None and waited_before is not None
            else None,
            stopped_cores=max(0.0, stopped - stopped_before) / seconds,
            cpu_hertz=_cpu_hertz(),
            gpu_throttle_reasons=reasons,
            gpu_others=company,
        )
        # The kernel counts in hundredths: a few of them may be anybody's.
        load = contended(others / seconds) if others > LEAST_SECONDS else None
        return beside, load or shared(company or 0) or throttled(reasons or 0, beside.stopped_cores or 0.0)


def _busy_seconds() -> float:
    """For how long all cores have been busy, also for other guests of the machine below."""
    system = psutil.cpu_times()
    busy = sum(system) - system.idle - getattr(system, "iowait", 0.0)
    # Linux counts a guest's time in user time as well.
    return float(busy - getattr(system, "guest", 0.0) - getattr(system, "guest_nice", 0.0))


def _cpu_times(pid: int) -> tuple[float, ...]:
    """User and system time of a process, and of its children that have ended; zeros if it is gone."""
    try:
        return tuple(psutil.Process(pid).cpu_times())
    except psutil.Error:
        return (0.0,) * 4


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


def _gpu_state(uuid: str | None = None) -> tuple[int, int]:
    """NVML's throttle reasons and the number of other processes on the GPU; zeros where NVML cannot tell."""
    try:
        return nvml.ask(
            lambda pynvml, gpu: (
                int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu)),
                # One of them is this process, which a container shows under a number that is not its own.
                max(0, len(pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)) - 1),
            ),
            uuid,
        )
    except nvml.NvmlError:
        return 0, 0

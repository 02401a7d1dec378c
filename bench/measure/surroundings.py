"""What goes on around a case while it is measured: other processes, the compiler, the clock, the GPU's state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psutil

from bench.axes.case import Case
from bench.measure import nvml, settings
from bench.measure.compilation import graphs_compiled
from bench.measure.honesty import Seen
from bench.measure.sampling import Rule, Samples
from fcnn.train import Training


def clock_resolution_seconds(now: Callable[[], float] = time.perf_counter) -> float:
    """The smallest step that the clock was seen to make, in seconds."""
    steps = []
    for _ in range(50):
        begin = end = now()
        while end == begin:
            end = now()
        steps.append(end - begin)
    return min(steps)


def stopped_seconds() -> float:
    """For how long the control group has let its processes wait for their quota so far; 0 without one."""
    # Version 2 of control groups counts in microseconds, version 1 in nanoseconds.
    for file, name, per_second in (("cpu.stat", "throttled_usec", 1e6), ("cpu/cpu.stat", "throttled_time", 1e9)):
        with contextlib.suppress(OSError):
            found = dict(line.partition(" ")[::2] for line in (settings.CGROUP / file).read_text().splitlines())
            return int(found.get(name, 0)) / per_second
    return 0.0


class OtherLoad:
    """Cores that other processes keep busy, from construction to `cores`; the hypervisor's steal included."""

    def __init__(self) -> None:
        self._begin = self._read()

    @staticmethod
    def _read() -> tuple[float, float, float]:
        system = psutil.cpu_times()
        busy = sum(system) - system.idle - getattr(system, "iowait", 0.0)
        # Linux counts a guest's time in user time as well.
        busy -= getattr(system, "guest", 0.0) + getattr(system, "guest_nice", 0.0)
        process, own = psutil.Process(), 0.0
        for p in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has ended since it was listed
                # Its user and system time, and those of its children that have ended, such as an epoch's workers.
                own += sum(p.cpu_times()[:4])
        return time.monotonic(), busy, own

    def cores(self) -> float:
        """The average since construction. The kernel counts in hundredths of a second: short spans say little."""
        seconds, busy, own = (now - before for now, before in zip(self._read(), self._begin, strict=True))
        return max(0.0, (busy - own) / seconds) if seconds > 0.2 else 0.0


class Watch:
    """Keeps an eye on the surroundings while samples are taken: `start` when warm, `seen` at the end."""

    def start(self) -> None:
        """Begins to watch."""
        self._load = OtherLoad()
        self._begin, self._stopped = time.monotonic(), stopped_seconds()
        self._graphs = graphs_compiled()

    def seen(self, case: Case, samples: Samples, rule: Rule, training: Training | None) -> Seen:
        """What was to be seen since `start`."""
        throttle_reasons, gpu_others = _gpu_state() if case.device == "cuda" else (0, 0)
        return Seen(
            case=case,
            samples=samples,
            rule=rule,
            training=training,
            others_cores=self._load.cores(),
            graphs_compiled=graphs_compiled() - self._graphs,
            clock_resolution_seconds=clock_resolution_seconds(),
            throttle_reasons=throttle_reasons,
            gpu_others=gpu_others,
            stopped_fraction=(stopped_seconds() - self._stopped) / max(time.monotonic() - self._begin, 1e-9),
        )


def _gpu_state() -> tuple[int, int]:
    """NVML's throttle reasons and the number of other processes on the GPU; zeros where NVML cannot tell."""
    try:
        return nvml.ask(
            lambda pynvml, gpu: (
                int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(gpu)),
                # One of them is this process, which a container shows under a number that is not its own.
                max(0, len(pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)) - 1),
            )
        )
    except nvml.NvmlError:
        return 0, 0

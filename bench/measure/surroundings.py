"""What goes on around a case while it is measured: other processes, the compiler, the clock, the GPU's state."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psutil

from bench.axes.case import Case
from bench.measure import cgroup, honesty, nvml
from bench.measure.compilation import graphs_compiled
from bench.measure.honesty import Seen
from bench.measure.sampling import Rule, Samples
from fcnn.train import Training

SHORTEST_SPAN_SECONDS = 0.2


def clock_resolution_seconds(now: Callable[[], float] = time.perf_counter) -> float:
    """The smallest step that the clock was seen to make, in seconds."""
    steps = []
    for _ in range(50):
        begin = end = now()
        while end == begin:
            end = now()
        steps.append(end - begin)
    return min(steps)


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
            honesty.contended(self._load.cores() or 0.0),
            honesty.shared(gpu_others),
            honesty.throttled(throttle_reasons, self.stopped_fraction()),
        )
        return " and ".join(reason for reason in reasons if reason) or None

    def stopped_fraction(self) -> float:
        """Of the time, in which the control group let the process wait."""
        return (cgroup.stopped_seconds() - self._stopped) / max(time.monotonic() - self._begin, 1e-9)


class Watch:
    """Keeps an eye on the surroundings while samples are taken: `start` when warm, `seen` at the end."""

    def __init__(self) -> None:
        self._early = OtherLoad()

    def start(self) -> None:
        """Begins to watch."""
        self._load, self._around = OtherLoad(), Surroundings()
        self._graphs = graphs_compiled()

    def seen(self, case: Case, samples: Samples, rule: Rule, training: Training | None) -> Seen:
        """What was to be seen since `start`."""
        cores = self._load.cores()
        throttle_reasons, gpu_others = _gpu_state() if case.device == "cuda" else (0, 0)
        return Seen(
            case=case,
            samples=samples,
            rule=rule,
            training=training,
            # Of samples that are taken in no time, what was there while they were prepared.
            others_cores=(self._early.cores() or 0.0) if cores is None else cores,
            graphs_compiled=graphs_compiled() - self._graphs,
            clock_resolution_seconds=clock_resolution_seconds(),
            throttle_reasons=throttle_reasons,
            gpu_others=gpu_others,
            stopped_fraction=self._around.stopped_fraction(),
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

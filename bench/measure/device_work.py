"""What a CUDA device does in one repetition, read off a profile taken outside of all timed blocks."""

from __future__ import annotations

import functools
import math
import os
import re
import statistics
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from bench.measure.clock import Clock

ON_DEVICE = "DeviceType.CUDA"
GRAPH_LAUNCH = "cudaGraphLaunch"  # what its event begins with: CUPTI may add a version, as in cudaGraphLaunch_v10000
COPY_CALL = "cudaMemcpy"  # and what its event begins with: cudaMemcpyAsync, or with a version
NOT_KERNELS = ("Memcpy", "Memset")
# Why nothing is known where the profiler is blind.
NOT_SEEN = (
    "torch's profiler sees nothing of the GPU: CUPTI is missing, unsupported or not allowed, or another tool has it"
)
PRODUCT, OTHER, COPY = KINDS = ("product", "other", "copy")
# In the names of kernels for products of matrices, of cuBLAS, CUTLASS, cuDNN and Triton.
PRODUCT_KERNELS = re.compile("gemm|gemv|cutlass|cublas|nvjet|splitk|wgrad|dgrad|convolve|_mm_|addmm", re.IGNORECASE)


@dataclass(frozen=True)
class DeviceWork:
    """Of one repetition: seconds in which the device ran kernels or copies, kernels, replayed CUDA graphs.

    The kernels are None where the profiler has lost some, which shows when they are no multiple of the repetitions.

    Attributes:
        seconds_by_kind: Of the busy seconds those in products of matrices, in other kernels, and in copies.
        copy_call_seconds: Of the host, in calls that copy. From memory that is not pinned, such a call waits for all
            that the device has to do before, and then for the copy (CUDA's documentation of its synchronous behavior).
    """

    kernels_launched: int | None
    cuda_graph_launches: int
    seconds_by_kind: dict[str, float]
    copy_call_seconds: float = 0.0

    @property
    def busy_seconds(self) -> float:
        """All of them."""
        return math.fsum(self.seconds_by_kind.values())


def device_work(repeat: Callable[[], object], clock: Clock, repetitions: int = 20) -> DeviceWork | None:
    """What the device does; None on devices other than CUDA, and where the profiler sees nothing of it (`NOT_SEEN`).

    Not from events around a block: what passes between two events includes the device's waiting for the host.
    """
    if clock.device.torch_name != "cuda":
        return None
    with quiet_profiler(torch.profiler.ProfilerActivity.CUDA) as profile:
        clock.time_block(repeat, repetitions)
    events = list(profile.events() or [])
    return work_of(events, repetitions) if any(map(_on_device, events)) or _sees_the_device() else None


@functools.cache
def _sees_the_device() -> bool:
    """Whether the profiler shows a kernel that surely ran: a repetition without any may only not have been seen."""
    with quiet_profiler(torch.profiler.ProfilerActivity.CUDA) as profile:
        _run_a_kernel()
    return any(map(_on_device, profile.events() or []))


def _run_a_kernel() -> None:
    torch.ones((), device="cuda").add_(1.0)
    torch.cuda.synchronize()


def _on_device(event: Any) -> bool:
    return str(event.device_type) == ON_DEVICE


def silence_profilers() -> None:
    """Keeps what torch profiles with from writing to the terminal."""
    # Read when the first profile begins; above all of its levels, the highest of which marks begin and end.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")


def quiet_profiler(*activities: torch.profiler.ProfilerActivity) -> torch.profiler.profile:
    """A profiler that writes nothing to the terminal, whatever it finds missing.

    Not one that accumulates events: it makes a Python object of each as it ends, which takes 0.1 ms, wanted or not.
    """
    silence_profilers()
    # So warns torch 2.11 of events of earlier cycles, of which there are none.
    warnings.filterwarnings("ignore", "Warning: Profiler clears events", UserWarning)
    return torch.profiler.profile(activities=list(activities))


def work_of(events: Iterable[Any], repetitions: int) -> DeviceWork:
    """Sums up the events of a profile; `device_type`, `name` and times (in µs) are looked at."""
    seconds, kernels, graphs, calls = dict.fromkeys(KINDS, 0.0), 0, 0, list[float]()
    for event in events:
        if _on_device(event):
            seconds[_kind(event.name)] += event.self_device_time_total / 1e6 / repetitions
            kernels += not event.name.startswith(NOT_KERNELS)
        elif event.name.startswith(COPY_CALL):
            calls.append(event.cpu_time_total / 1e6)
        graphs += event.name.startswith(GRAPH_LAUNCH)
    each, lost = divmod(kernels, repetitions)
    return DeviceWork(None if lost else each, round(graphs / repetitions), seconds, _of_one(calls, repetitions))


def _of_one(seconds: list[float], repetitions: int) -> float:
    """The medians of a repetition's calls, since the first calls under a profiler are slow; their mean if some lack."""
    each, lack = divmod(len(seconds), repetitions)
    if lack:
        return math.fsum(seconds) / repetitions
    return math.fsum(statistics.median(seconds[number::each]) for number in range(each))


def _kind(name: str) -> str:
    if name.startswith("Memcpy"):
        return COPY
    return PRODUCT if PRODUCT_KERNELS.search(name) else OTHER

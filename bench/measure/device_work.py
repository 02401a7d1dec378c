"""What a CUDA device does in one repetition, read off a profile taken outside of all timed blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from bench.measure.clock import Clock

ON_DEVICE = "DeviceType.CUDA"
GRAPH_LAUNCH = "cudaGraphLaunch"  # what its event begins with: CUPTI may add a version, as in cudaGraphLaunch_v10000
NOT_KERNELS = ("Memcpy", "Memset")


@dataclass(frozen=True)
class DeviceWork:
    """Of one repetition: seconds in which the device ran kernels or copies, kernels, replayed CUDA graphs.

    The kernels are None where the profiler has lost some, which shows when they are no multiple of the repetitions.
    """

    busy_seconds: float
    kernels_launched: int | None
    cuda_graph_launches: int


def device_work(repeat: Callable[[], object], clock: Clock, repetitions: int = 20) -> DeviceWork | None:
    """What the device does; None on devices other than CUDA.

    Not from events around a block: what passes between two events includes the device's waiting for the host.
    """
    if clock.device.torch_name != "cuda":
        return None
    with quiet_profiler(torch.profiler.ProfilerActivity.CUDA) as profile:
        clock.time_block(repeat, repetitions)
    return work_of(profile.events() or [], repetitions)


def quiet_profiler(*activities: torch.profiler.ProfilerActivity) -> torch.profiler.profile:
    """A profiler that writes nothing to the terminal, whatever it finds missing."""
    # Read when the first profile begins; above all of its levels, the highest of which marks begin and end.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    # Without the last word, torch 2.11 warns that it forgets a cycle's events when another begins; there is one.
    return torch.profiler.profile(activities=list(activities), acc_events=True)


def work_of(events: Iterable[Any], repetitions: int) -> DeviceWork:
    """Sums up the events of a profile; `device_type`, `name` and `self_device_time_total` (in µs) are looked at."""
    busy, kernels, graphs = 0.0, 0, 0
    for event in events:
        if str(event.device_type) == ON_DEVICE:
            busy += event.self_device_time_total / 1e6
            kernels += not event.name.startswith(NOT_KERNELS)
        graphs += event.name.startswith(GRAPH_LAUNCH)
    each, lost = divmod(kernels, repetitions)
    return DeviceWork(busy / repetitions, None if lost else each, round(graphs / repetitions))

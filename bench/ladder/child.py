"""What a worker is asked for a ladder: one ladder step in a process of its own, cold at the start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.workers.serve import State

STEP, ROOFLINE = "the ladder step", "the roofline bound"


def one_epoch(make: Any, images: Any, seed: int, device: Any) -> dict[str, float]:
    """Seconds of an epoch of a fresh training and what it has reached.

    `with_all_seconds` also has what the program prepares: images as tensors, compiled code, graphs. In a process that
    has just begun, that is the first epoch from cold.
    """
    import torch

    from bench.ladder.program import accuracy
    from bench.measure.clock import Clock

    clock = Clock(device)
    begin = clock.now()
    program = make(images, seed, torch.device(device.torch_name))
    seconds = clock.time_block(program.epoch, 1).host_seconds
    with_all = clock.now() - begin
    reached = accuracy(images, program.weights())
    return {"seconds": seconds, "with_all_seconds": with_all, "test_accuracy_fraction": reached}


def roofline_of_an_epoch(images: Any, device: Any) -> dict[str, Any]:
    """The least that an epoch can take, by calibrations timed here and now.

    Returns:
        `seconds`, by which `bound`, and why some bound is `unknown`, None if none is.

    Raises:
        BenchError: Calibrations without which there is no roofline bound could not be timed.
    """
    from bench.analyse.roofline import roofline_of, why_no_latency
    from bench.axes.case import Case
    from bench.errors import BenchError
    from bench.measure import calibration, settings
    from bench.measure.clock import Clock
    from bench.measure.counters import count
    from bench.workers import workloads

    feed = "resident" if device.name == "cpu" else "device"
    case = Case(workload="epoch", device=device.name, feed=feed, threads=settings.default_threads())
    prepared = workloads.epoch(case, images)
    counters = count(prepared.counted, prepared.training, Clock(device), growth=False)
    calibrations = calibration.run(device.name, case.threads, {"fp32"})
    limit = roofline_of(case, counters, len(images.train), math.ceil(len(images.train) / case.batch_size), calibrations)
    if limit is None:
        raise BenchError("; ".join(f"{one.name}: {one.reason}" for one in calibrations if one.reason))
    return {"seconds": limit.seconds, "bound": limit.bound, "unknown": why_no_latency(calibrations, device.name)}


def prepare(state: State, device: str, dataset: str, data: str, step: str | None = None) -> None:
    """Imports what it takes, and takes the images; `epoch` is then of the step of that name, `bound` of the device."""
    from bench.axes.devices import DEVICES
    from bench.ladder.table import rows
    from bench.measure import settings
    from bench.workers.images import find

    settings.use_threads(settings.default_threads())
    images, row = find(dataset, data), DEVICES[device]
    state.cases[ROOFLINE] = lambda: roofline_of_an_epoch(images, row)
    for one in rows(device):
        if one.name == step:
            state.cases[STEP] = lambda seed, make=one.make: one_epoch(make, images, seed, row)


def bound(state: State) -> dict[str, Any]:
    """`roofline_of_an_epoch` of the device that was prepared."""
    limit: dict[str, Any] = state.cases[ROOFLINE]()
    return limit


def epoch(state: State, seed: int) -> dict[str, float]:
    """`one_epoch` of the step that was prepared."""
    answer: dict[str, float] = state.cases[STEP](seed)
    return answer

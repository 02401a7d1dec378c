"""What a worker is asked for a ladder: one rung in a process of its own, cold at the start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.workers.serve import State

RUNG, FLOOR = "the ladder step", "the roofline bound"


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


def floor_of_an_epoch(images: Any, device: Any) -> dict[str, Any]:
    """The least that an epoch can take, by yardsticks timed here and now.

    Returns:
        `seconds`, by which `bound`, and why some bound is `unknown`, None if none is.

    Raises:
        BenchError: Yardsticks without which there is no floor could not be timed.
    """
    from bench.analyse.floor import floor_of, why_no_latency
    from bench.axes.case import Case
    from bench.errors import BenchError
    from bench.measure import settings, yardsticks
    from bench.measure.clock import Clock
    from bench.measure.counters import count
    from bench.workers import workloads

    feed = "resident" if device.name == "cpu" else "device"
    case = Case(workload="epoch", device=device.name, feed=feed, threads=settings.default_threads())
    prepared = workloads.epoch(case, images)
    counters = count(prepared.counted, prepared.training, Clock(device), growth=False)
    calibration = yardsticks.run(device.name, case.threads, {"fp32"})
    floor = floor_of(case, counters, len(images.train), math.ceil(len(images.train) / case.batch_size), calibration)
    if floor is None:
        raise BenchError("; ".join(f"{one.name}: {one.reason}" for one in calibration if one.reason))
    return {"seconds": floor.seconds, "bound": floor.bound, "unknown": why_no_latency(calibration, device.name)}


def prepare(state: State, device: str, dataset: str, data: str, rung: str | None = None) -> None:
    """Imports what it takes, and takes the images; `epoch` is then of the rung of that name, `bound` of the device."""
    from bench.axes.devices import DEVICES
    from bench.ladder.table import rows
    from bench.measure import settings
    from bench.workers.images import find

    settings.use_threads(settings.default_threads())
    images, row = find(dataset, data), DEVICES[device]
    state.cases[FLOOR] = lambda: floor_of_an_epoch(images, row)
    for one in rows(device):
        if one.name == rung:
            state.cases[RUNG] = lambda seed, make=one.make: one_epoch(make, images, seed, row)


def bound(state: State) -> dict[str, Any]:
    """`floor_of_an_epoch` of the device that was prepared."""
    floor: dict[str, Any] = state.cases[FLOOR]()
    return floor


def epoch(state: State, seed: int) -> dict[str, float]:
    """`one_epoch` of the rung that was prepared."""
    answer: dict[str, float] = state.cases[RUNG](seed)
    return answer

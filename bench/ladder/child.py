"""What a worker is asked for a ladder: one rung in a process of its own, cold at the start."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.workers.serve import State

RUNG = "the rung"


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


def floor_seconds(images: Any, device: Any) -> dict[str, float]:
    """The least that an epoch's arithmetic and bytes allow, by yardsticks timed here and now."""
    from bench.analyse.floor import floor_of
    from bench.axes.case import Case
    from bench.measure import settings, yardsticks
    from bench.measure.clock import Clock
    from bench.measure.counters import count
    from bench.workers import workloads

    feed = "resident" if device.name == "cpu" else "device"
    case = Case("epoch", device.name, 64, "fp32", "off", "adam", feed, threads=settings.default_threads())
    prepared = workloads.epoch(case, images)
    counters = count(prepared.counted, prepared.training, Clock(device), growth=False)
    calibration = yardsticks.run(device.name, case.threads, {"fp32"})
    floor = floor_of(case, counters, len(images.train), math.ceil(len(images.train) / case.batch_size), calibration)
    assert floor is not None
    return {"seconds": floor.seconds, "compute_seconds": floor.compute_seconds, "memory_seconds": floor.memory_seconds}


def bound(state: State, device: str, dataset: str, data: str) -> dict[str, float]:
    """The floor's seconds."""
    return floor_seconds(*_found(device, dataset, data))


def prepare(state: State, device: str, rung: str, dataset: str, data: str) -> None:
    """Takes the images; `epoch` is then of the rung of that name."""
    from bench.ladder.table import rows

    images, row = _found(device, dataset, data)
    (chosen,) = (one for one in rows(device) if one.name == rung)
    state.cases[RUNG] = lambda seed: one_epoch(chosen.make, images, seed, row)


def epoch(state: State, seed: int) -> dict[str, float]:
    """`one_epoch` of the rung that was prepared."""
    found: dict[str, float] = state.cases[RUNG](seed)
    return found


def _found(device: str, dataset: str, data: str) -> tuple[Any, Any]:
    from bench.axes.devices import DEVICES
    from bench.measure import settings
    from bench.workers.images import find

    settings.use_threads(settings.default_threads())
    return find(dataset, data), DEVICES[device]

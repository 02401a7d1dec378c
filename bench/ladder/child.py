"""One rung in a process of its own, cold at the start: `python -m bench.ladder.child`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


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
    from bench.suite import workloads

    feed = "resident" if device.name == "cpu" else "device"
    case = Case("epoch", device.name, 64, "fp32", "off", "adam", feed, threads=settings.default_threads())
    prepared = workloads.epoch(case, images)
    counters = count(prepared.counted, prepared.training, Clock(device), growth=False)
    calibration = yardsticks.run(device.name, case.threads, {"fp32"})
    floor = floor_of(case, counters, len(images.train), math.ceil(len(images.train) / case.batch_size), calibration)
    assert floor is not None
    return {"seconds": floor.seconds, "compute_seconds": floor.compute_seconds, "memory_seconds": floor.memory_seconds}


class Child:
    """Answers `{"device", "name", "dataset", "data"}` first, then `{"seed"}` for every epoch."""

    def __init__(self) -> None:
        self._epoch: Callable[[int], dict[str, float]] | None = None

    def __call__(self, asked: dict[str, Any]) -> dict[str, float] | None:
        """The floor's seconds, nothing when a rung is ready, and then its epochs."""
        if self._epoch:
            return self._epoch(asked["seed"])
        from bench.axes.devices import DEVICES
        from bench.ladder.table import rows
        from bench.measure import settings
        from bench.suite.images import load

        settings.use_threads(settings.default_threads())
        images, device = load(asked["dataset"], asked["data"]), DEVICES[asked["device"]]
        if asked["name"] == "floor":
            return floor_seconds(images, device)
        (rung,) = (row for row in rows(device.name) if row.name == asked["name"])
        self._epoch = lambda seed: one_epoch(rung.make, images, seed, device)
        return None


if __name__ == "__main__":
    from bench.workers.process import answer_requests

    answer_requests(Child())

"""One rung in a process of its own, cold at the start: `python -m bench.ladder.child`, a request on standard input."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

MOST_EPOCHS, ENOUGH_SECONDS = 12, 15.0  # more than were asked for, as long as they are quick


def climb(make: Any, images: Any, epochs: int, device: Any) -> dict[str, Any]:
    """Seconds of epochs, each of a fresh training from another seed, and what each has reached.

    The first is from cold: whatever the program prepares (images as tensors, compiled code) is in it.
    """
    import torch

    from bench.ladder.program import accuracy
    from bench.measure.clock import Clock

    clock, where = Clock(device), torch.device(device.torch_name)
    begin = clock.now()
    program = make(images, 0, where)
    program.epoch()
    device.synchronize()
    cold = clock.now() - begin
    accuracies = [accuracy(images, program.weights())]
    seconds: list[float] = []
    for seed in range(1, max(MOST_EPOCHS, epochs) + 1):
        if seed > epochs and sum(seconds) > ENOUGH_SECONDS:
            break
        program = make(images, seed, where)
        seconds.append(clock.time_block(program.epoch, 1).host_seconds)
        accuracies.append(accuracy(images, program.weights()))
    return {"cold_seconds": cold, "seconds": seconds, "test_accuracy_fraction": accuracies}


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
    found = yardsticks.run(device.name, case.threads, {"fp32"})
    floor = floor_of(case, counters, len(images.train), math.ceil(len(images.train) / case.batch_size), found)
    assert floor is not None
    return {"seconds": floor.seconds, "compute_seconds": floor.compute_seconds, "memory_seconds": floor.memory_seconds}


def main() -> None:
    """Answers one request: `{"device", "name", "epochs", "dataset", "data"}`."""
    asked = json.loads(sys.stdin.read())
    from bench.axes.devices import DEVICES
    from bench.ladder.table import rows
    from bench.measure import settings
    from bench.suite.fresh import load

    settings.use_threads(settings.default_threads())
    images, device = load(asked["dataset"], asked["data"]), DEVICES[asked["device"]]
    if asked["name"] == "floor":
        answer = floor_seconds(images, device)
    else:
        (rung,) = (row for row in rows(device.name) if row.name == asked["name"])
        answer = climb(rung.make, images, asked["epochs"], device)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

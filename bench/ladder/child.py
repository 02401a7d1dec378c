"""One rung in a process of its own, cold at the start: `python -m bench.ladder.child`, a request on standard input."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

MOST_EPOCHS, ENOUGH_SECONDS = 12, 15.0  # more than were asked for, as long as they are quick


def climb(make: Any, images: Any, epochs: int, clock: Any) -> dict[str, Any]:
    """Seconds of epochs, each of a fresh training from another seed, and what each has reached.

    The first is from cold: whatever the program prepares (images as tensors, compiled code) is in it.
    """
    from bench.ladder.program import accuracy

    begin = clock.now()
    program = make(images, 0)
    program.epoch()
    cold = clock.now() - begin
    accuracies = [accuracy(images, program.weights())]
    seconds: list[float] = []
    for seed in range(1, max(MOST_EPOCHS, epochs) + 1):
        if seed > epochs and sum(seconds) > ENOUGH_SECONDS:
            break
        program = make(images, seed)
        seconds.append(clock.time_block(program.epoch, 1).host_seconds)
        accuracies.append(accuracy(images, program.weights()))
    return {"cold_seconds": cold, "seconds": seconds, "test_accuracy_fraction": accuracies}


def floor_seconds(images: Any) -> dict[str, float]:
    """The least that an epoch's arithmetic and bytes allow, by yardsticks timed here and now."""
    from bench.analyse.floor import floor_of
    from bench.axes.case import Case
    from bench.measure import settings, yardsticks
    from bench.measure.clock import Clock
    from bench.measure.counters import count
    from bench.suite import workloads

    case = Case("epoch", "cpu", 64, "fp32", "off", "adam", "resident", threads=settings.default_threads())
    prepared = workloads.epoch(case, images)
    counters = count(prepared.counted, prepared.training, Clock(), growth=False)
    found = yardsticks.run("cpu", case.threads, {"fp32"})
    steps = math.ceil(len(images.train) / case.batch_size)
    floor = floor_of(case, counters, len(images.train), steps, found)
    assert floor is not None
    return {"seconds": floor.seconds, "compute_seconds": floor.compute_seconds, "memory_seconds": floor.memory_seconds}


def main() -> None:
    """Answers one request: `{"name", "epochs", "dataset", "data"}`."""
    asked = json.loads(sys.stdin.read())
    from bench.ladder.table import ROWS
    from bench.measure import settings
    from bench.measure.clock import Clock
    from bench.suite.fresh import load

    settings.use_threads(settings.default_threads())
    images = load(asked["dataset"], asked["data"])
    if asked["name"] == "floor":
        answer = floor_seconds(images)
    else:
        answer = climb(ROWS[asked["name"]].make, images, asked["epochs"], Clock())
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

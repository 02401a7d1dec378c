"""Where a step's time goes, part by part, with parts that add up to the whole.

How: `train_step` calls `mark` after each of its seven parts (and `train_epoch` after fetching a batch). The time
between two marks is the part before the second one; what is left of the block's wall time, the loop and the marks
themselves, is `rest`. So the parts add up to the marked block by construction. That the marks do not change what
they measure is shown by `closure_fraction`: marked blocks alternate with unmarked ones, and it is the ratio of their
medians less 1. On an asynchronous device the marks see what the host does; the device's busy time is told apart.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.measure.clock import Clock, garbage_collector_off
from bench.measure.device_work import device_work
from bench.record.measurement import Phases
from fcnn.train import PARTS, Mark, unmarked

FEW_ROUNDS = 4  # of what takes long
EPOCH_PARTS = ("fetch", *PARTS)
REPLAY = "replay"  # of a step that is captured: all that follows `to_device`, in one call


class _Marks:
    """Adds up seconds by part. Kept small: its call is inside the time that it measures."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.seconds = dict.fromkeys((*EPOCH_PARTS, REPLAY), 0.0)
        self.last = 0.0

    def __call__(self, part: str) -> None:
        now = self.now()
        self.seconds[part] += now - self.last
        self.last = now


def part_seconds(repeat: Callable[[Mark], object], clock: Clock, repetitions: int) -> dict[str, float]:
    """Host seconds per repetition for every part, in one block; those that do not occur have none, `rest` is last."""
    marks = _Marks(clock.now)

    def one() -> None:
        # What happened since the last mark, the loop around the repetitions, belongs to none of the parts.
        marks.last = marks.now()
        repeat(marks)

    wall = clock.time_block(one, repetitions).host_seconds
    parts = {**marks.seconds, "rest": wall - sum(marks.seconds.values())}
    return {part: seconds / repetitions for part, seconds in parts.items()}


def measure_phases(
    repeat: Callable[[Mark], object],
    clock: Clock,
    *,
    repetitions: int,
    rounds: int = 20,
    share: float = 1.0,
    device: bool = True,
) -> Phases:
    """Times the parts of `repeat` in blocks of `repetitions` that alternate with unmarked blocks.

    Args:
        repeat: One step or epoch, given the mark to call after each part.
        clock: The device to wait for and the time source.
        repetitions: Repetitions a block, as in the timed blocks of the case.
        rounds: Pairs of a marked and an unmarked block; medians over them are returned.
        share: The fraction of a repetition that `repeat` is, if it is only the beginning of a long one; the parts are
            scaled up by it.
        device: Whether to see how long the device is busy, too.

    Returns:
        Host seconds per repetition for every part that occurs, `rest` last.
    """
    marked: dict[str, list[float]] = {part: [] for part in (*EPOCH_PARTS, REPLAY, "rest")}
    plain = []
    with garbage_collector_off():
        for _ in range(rounds):
            for part, seconds in part_seconds(repeat, clock, repetitions).items():
                marked[part].append(seconds / share)
            wall = clock.time_block(lambda: repeat(unmarked), repetitions).host_seconds
            plain.append(wall / repetitions / share)
    medians = {part: statistics.median(seconds) for part, seconds in marked.items() if any(seconds)}
    work = device_work(lambda: repeat(unmarked), clock, 20 if rounds > FEW_ROUNDS else 1) if device else None
    return Phases(
        host_seconds=medians,
        sum_seconds=sum(medians.values()),
        unmarked_seconds=statistics.median(plain),
        device_busy_seconds=work.busy_seconds / share if work else None,
    )

"""Two callables that take turns in one process: how many times as long the one takes as the other.

What changes slowly on the machine (clock rate, a neighbour) meets both alike, since the ratio is made within rounds.
What a process does to both, such as how its memory is laid out, is no part of the interval: `fcnn-bench check` compares
programs over processes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from bench.analyse.statistics import Ratio, hodges_lehmann
from bench.measure.clock import Clock, garbage_collector_off

BLOCK_SECONDS = 5e-3
WARM_SECONDS = 0.2  # of each, at most a tenth of the comparison's
FEWEST_ROUNDS = 12
ORDERS = ("ABBA", "BAAB")


@dataclass(frozen=True)
class Comparison:
    """How long two callables took, in seconds per call, an entry per round, of the blocks of that round together."""

    reference_seconds: list[float]
    candidate_seconds: list[float]

    @property
    def ratio(self) -> Ratio:
        """The candidate's time as a multiple of the reference's; above 1 it is the slower.

        The Hodges-Lehmann middle of the rounds' ratios with its 95% interval (see
        `bench.analyse.statistics.hodges_lehmann`): a round that a neighbour has hit hardly moves it.
        """
        logs = [math.log(b / a) for a, b in zip(self.reference_seconds, self.candidate_seconds, strict=True)]
        return Ratio(*map(math.exp, hodges_lehmann(logs)))


def compare(
    reference: Callable[[], object],
    candidate: Callable[[], object],
    clock: Clock = Clock(),  # noqa: B008 - frozen
    seconds: float = 2.0,
    rng: random.Random | None = None,
) -> Comparison:
    """Lets blocks of two callables take turns, `ABBA` or `BAAB` by chance.

    Args:
        reference: Called with no arguments, its result ignored. It may queue work on `clock.device`.
        candidate: The same.
        clock: The device to wait for and the time source.
        seconds: For how long; at least twelve rounds.
        rng: Draws the orders.

    Raises:
        Whatever the callables raise.
    """
    rng = rng or random.Random()
    sides = {"A": reference, "B": candidate}
    samples: dict[str, list[float]] = {"A": [], "B": []}
    with garbage_collector_off():
        sizes = {name: _repetitions(side, clock, min(WARM_SECONDS, seconds / 10)) for name, side in sides.items()}
        begin = clock.now()
        while len(samples["A"]) < FEWEST_ROUNDS or clock.now() - begin < seconds:
            took = {"A": 0.0, "B": 0.0}
            for name in rng.choice(ORDERS):
                sides[name]()  # the caches are the other's
                took[name] += clock.time_block(sides[name], sizes[name]).host_seconds
            for name, size in sizes.items():
                samples[name].append(took[name] / size / 2)
    return Comparison(samples["A"], samples["B"])


def _repetitions(step: Callable[[], object], clock: Clock, warm_seconds: float) -> int:
    """Warms it up; how many calls fill a block, by the quickest."""
    begin, quickest = clock.now(), math.inf
    while quickest == math.inf or clock.now() - begin < warm_seconds:
        quickest = min(quickest, clock.time_block(step, 1).host_seconds)
    return max(1, math.ceil(BLOCK_SECONDS / max(quickest, 1e-9)))

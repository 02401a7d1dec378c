"""Two callables that take turns in one process: how many times as long the one takes as the other.

What changes slowly on the machine (clock rate, a neighbour) meets both alike, since the ratio is made within rounds,
and so does what each does to the other's caches, since their turns alternate.
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

BLOCK_SECONDS = 2e-3  # the shorter, the more of what changes on the machine is slow
WARM_SECONDS = 0.2  # of each, at most a tenth of the comparison's
FEWEST_ROUNDS, MOST_ROUNDS = 12, 250  # of as many turns as that takes; the interval's work grows with their cube


@dataclass(frozen=True)
class Comparison:
    """How long two callables took, in seconds per call, an entry per round, of the blocks of that round together."""

    reference_seconds: list[float]
    candidate_seconds: list[float]

    def __repr__(self) -> str:
        return f"Comparison({len(self.reference_seconds)} rounds, ratio={self.ratio})"

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
    """Lets blocks of two callables take turns; which begins is chance.

    Args:
        reference: Called with no arguments, its result ignored. It may queue work on `clock.device`.
        candidate: The same.
        clock: The device to wait for and the time source.
        seconds: For how long; at least twelve rounds.
        rng: Draws who begins.

    Raises:
        Whatever the callables raise.
    """
    rng = rng or random.Random()
    sides = {"A": reference, "B": candidate}
    samples: dict[str, list[float]] = {"A": [], "B": []}
    with garbage_collector_off():
        quickest = {name: _quickest(side, clock, min(WARM_SECONDS, seconds / 10)) for name, side in sides.items()}
        sizes = {name: max(1, math.ceil(BLOCK_SECONDS / took)) for name, took in quickest.items()}
        both_seconds = sum(took * (sizes[name] + 1) for name, took in quickest.items())
        turns = max(1, math.ceil(seconds / MOST_ROUNDS / both_seconds))
        order = rng.choice(("AB", "BA"))
        begin = clock.now()
        while len(samples["A"]) < FEWEST_ROUNDS or clock.now() - begin < seconds:
            took = {"A": 0.0, "B": 0.0}
            for name in order * turns:
                sides[name]()  # the caches are the other's
                took[name] += clock.time_block(sides[name], sizes[name]).host_seconds
            for name, size in sizes.items():
                samples[name].append(took[name] / size / turns)
    return Comparison(samples["A"], samples["B"])


def _quickest(step: Callable[[], object], clock: Clock, warm_seconds: float) -> float:
    """Warms it up; the seconds of its quickest call."""
    begin, quickest = clock.now(), math.inf
    while quickest == math.inf or clock.now() - begin < warm_seconds:
        quickest = min(quickest, clock.time_block(step, 1).host_seconds)
    return max(quickest, 1e-9)

"""What has come of every step so far, and what is left of a ladder: in which order, how often, and about how long."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.analyse.ladder import LadderStep
from bench.ladder.table import LadderRow

# More epochs than were asked for, as long as they are quick. The slow ones are those that need no third digit.
MOST_EPOCHS, ENOUGH_SECONDS = 12, 8.0
INTERRUPTED = "interrupted"
# For the expected time of what has not been measured: the first step's epoch, how much of an epoch the next step takes
# of the one before, a process until its first epoch, and torch.compile with its search for the fastest kernels. Steps
# that have been measured correct the guess of those after them.
FIRST_SECONDS, NEXT_FRACTION, START_SECONDS, COMPILE_SECONDS = 7.0, 0.6, 1.5, 40.0


@dataclass
class Climbed:
    """What has come of a step so far, after `LadderStep`; `earlier` is what an interrupted ladder had of it."""

    row: LadderRow
    reason: str | None = None
    cold_seconds: float | None = None
    seconds: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    started: bool = False
    turns: int = 0  # epochs timed in rounds since it was started

    @classmethod
    def begin(cls, row: LadderRow, earlier: LadderStep | None) -> Climbed:
        """Nothing yet, or what the ladder that is gone on with had measured; a step that failed has failed."""
        if earlier is None:
            return cls(row, row.why_not())
        reason = None if earlier.reason == INTERRUPTED else earlier.reason
        of_rounds = [*earlier.seconds], [*earlier.rounds]
        return cls(row, reason, earlier.cold_seconds, *of_rounds, [*earlier.test_accuracy_fraction])

    def wants(self, epochs: int) -> bool:
        """Whether the step has not been timed enough."""
        if self.reason or len(self.seconds) >= max(MOST_EPOCHS, epochs):
            return False
        return len(self.seconds) < epochs or sum(self.seconds) <= ENOUGH_SECONDS


def in_order(climbed: Mapping[str, Climbed], epochs: int) -> list[str]:
    """The steps to be started: those that are not done, and the first, by which all others are told.

    Those that compile come last: should the ladder be ended early, the others have been measured.
    """
    first, *others = climbed
    wanting = [name for name in others if climbed[name].wants(epochs)]
    if climbed[first].wants(epochs) or (wanting and not climbed[first].reason):
        wanting = [first, *wanting]
    return sorted(wanting, key=lambda name: climbed[name].row.compiles)


def in_round(climbed: Mapping[str, Climbed], epochs: int) -> list[str]:
    """The steps of the next round; the first is with all others for so many, also where it had been done before."""
    first = next(iter(climbed))
    started = [name for name, one in climbed.items() if one.started and not one.reason]
    wanting = [name for name in started if climbed[name].wants(epochs)]
    joins = first in started and first not in wanting and climbed[first].turns < epochs - 1
    return [first, *wanting] if wanting and joins else wanting


def seconds_left(climbed: Mapping[str, Climbed], names: Sequence[str], epochs: int) -> float:
    """About how long it takes to start those of the names that have not been, and to time all that want it."""
    left, guess = 0.0, FIRST_SECONDS / NEXT_FRACTION
    for name, one in climbed.items():
        guess = statistics.median(one.seconds) if one.seconds else guess * NEXT_FRACTION
        if name not in names or one.reason:
            continue
        timed, spent = len(one.seconds), sum(one.seconds)
        if not one.started:
            left += START_SECONDS + 2 * guess + (COMPILE_SECONDS if one.row.compiles else 0.0)
            timed, spent = timed + 1, spent + guess
        more = max(epochs - timed, math.ceil((ENOUGH_SECONDS - spent) / guess))
        left += guess * max(0, min(more, max(MOST_EPOCHS, epochs) - timed))
    return left

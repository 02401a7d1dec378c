"""One pair: reference and candidate in two fresh processes that take turns in short chunks.

Each turn is set beside the ones before and after it, which are the other side's: what changes slowly on the machine
(clock rate, a neighbour) meets both alike. The pair's ratio is the middle of all these ratios.

The shorter the turns, the more of what changes on the machine is slow. On a 2-core virtual machine whose host changes
its speed by 10 to 20% within milliseconds and within seconds, pairs of one program scatter by 6.9% with 24 turns of
15 ms and the mean of each side's fastest quarter (0.6 s a pair), and by 1.1% with 160 turns of 2 ms, so (0.9 s); beside
two processes that keep both cores busy, with turns of 15 ms by 8.2%, and with those of 2 ms by 1.8%: who has just slept
is seldom interrupted so soon. Turns in the order ABBA or BAAB, with the ratios of these rounds, make it 1.8 instead of
1.1%: of two turns of a side in a row, the second takes 6 to 10% less, for its caches and predictors are still its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.analyse.statistics import middle_mean
from bench.axes.case import Case
from bench.gate.sides import Side
from bench.record.journal import digits
from bench.workers.conversation import WorkerError
from bench.workers.rounds import Turn, TurnFailed

RULE_VERSION = 5  # of what a pair is and what is made of it; gates under another rule are not counted together
ROUNDS, FEWEST_ROUNDS = 80, 12  # of a turn of each side
PAIR_SECONDS = 1.2  # of turns, at most; of long repetitions, a pair has fewer rounds
CHUNK_SECONDS = 2e-3
WARM_SECONDS = 0.02
# Before each chunk, as the caches are the other side's: one repetition, but for those that are long beside that. A
# device that waited for its turn may have lowered its clocks: it works a little longer.
LEAD_SECONDS, DEVICE_LEAD_SECONDS = 1e-9, 5e-3
LONG_SECONDS = 15e-3
CASE = "the case"
T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """What was seen of a pair; seconds per repetition of every chunk, in the order taken, one of each side a round.

    On a device that has events also the time between two of them on the device, in which it waits for the host or not.

    Attributes:
        candidate_first: Which of them a round begins with.
    """

    reference_seconds: list[float]
    candidate_seconds: list[float]
    reference_device_seconds: list[float] | None = None
    candidate_device_seconds: list[float] | None = None
    candidate_first: bool = False

    @property
    def log_ratio(self) -> float:
        """By the host's clock: above 0 where the candidate is slower."""
        return self._middle(self.reference_seconds, self.candidate_seconds)

    @property
    def device_log_ratio(self) -> float | None:
        """By the device's events; None where there are none."""
        if self.reference_device_seconds is None or self.candidate_device_seconds is None:
            return None
        return self._middle(self.reference_device_seconds, self.candidate_device_seconds)

    def _middle(self, reference: Sequence[float], candidate: Sequence[float]) -> float:
        """The middle of the ratios of turns side by side: a quarter of them at either end may be anything."""
        earlier, later = (candidate, reference) if self.candidate_first else (reference, candidate)
        turns = [math.log(seconds) for of_round in zip(earlier, later, strict=True) for seconds in of_round]
        # From a turn to the next it is, by turns, from the one side to the other and back.
        signs = itertools.cycle((-1, 1) if self.candidate_first else (1, -1))
        return middle_mean([sign * (b - a) for sign, (a, b) in zip(signs, itertools.pairwise(turns), strict=False)])


def _core(case: Case, rng: random.Random) -> int | None:
    """One core for both sides: on two, a neighbour of one core would be taken for a difference of the programs.

    Not on an accelerator, which has threads of its own, for the backward pass and for the driver.
    """
    if case.threads > 1 or case.device != "cpu" or not hasattr(os, "sched_getaffinity"):
        return None
    return rng.choice(sorted(os.sched_getaffinity(0)))


def named(called: str, ask: Callable[[], T]) -> T:
    """What `ask` answers; the reason of a worker that fails gets the name of its side, unless it says so itself."""
    try:
        return ask()
    except WorkerError as raised:
        error = raised.error if isinstance(raised, TurnFailed) else raised
        raise type(error)(str(error) if str(error).startswith(called) else f"{called}: {error}") from raised


@dataclass(frozen=True)
class TurnSizes:
    """How a pair takes its turns."""

    rounds: int
    repetitions: int
    lead_seconds: float

    @classmethod
    def of(cls, repetition_seconds: float, *, on_device: bool) -> TurnSizes:
        """For repetitions that take so long, on an accelerator or not."""
        lead = DEVICE_LEAD_SECONDS if on_device else LEAD_SECONDS if repetition_seconds < LONG_SECONDS else 0.0
        repetitions = max(1, math.ceil(max(CHUNK_SECONDS, lead) / repetition_seconds))
        turn = repetitions * repetition_seconds + (max(lead, repetition_seconds) if lead else 0.0)
        return cls(min(ROUNDS, max(FEWEST_ROUNDS, round(PAIR_SECONDS / (2 * turn)))), repetitions, lead)


def measure_pair(reference: Side, candidate: Side, case: Case, rng: random.Random, *, one_core: bool = True) -> Pair:
    """Runs one pair of workers; raises bench.workers.conversation.WorkerError if either fails.

    Args:
        reference: The one side.
        candidate: The other.
        case: What they run.
        rng: Draws who begins, and the core.
        one_core: Whether both run on one core, if the case has one thread.
    """
    core = _core(case, rng) if one_core else None
    with contextlib.ExitStack() as stack:
        sides = [("A", reference), ("B", candidate)]
        if rng.random() < 0.5:  # which is forked first must not matter, and is not left to find out
            sides.reverse()
        workers = {name: stack.enter_context(side.worker()) for name, side in sides}
        if core is not None:
            for worker in workers.values():
                worker.ask("pin", core=core)
        called = {name: side.called for name, side in sides}
        for worker in workers.values():
            worker.begin("prepare", id=CASE, case=dataclasses.asdict(case), warm_seconds=WARM_SECONDS)
        prepared = {name: named(called[name], worker.end) for name, worker in workers.items()}
        quickest = min(answer["repetition_seconds"] for answer in prepared.values())
        sizes = TurnSizes.of(quickest, on_device=case.device != "cpu")
        spinning = case.threads > 1
        asked = {"id": CASE, "repetitions": sizes.repetitions, "lead_seconds": sizes.lead_seconds}
        turns = {name: Turn(name, worker, "turn", asked, stops=spinning) for name, worker in workers.items()}
        if spinning:
            for worker in workers.values():
                worker.stop()
        order = rng.choice(("AB", "BA")) * sizes.rounds
        answers = [named(called[name], turns[name].take) for name in order]
    seconds: dict[str, list[float]] = {"A": [], "B": []}
    on_device: dict[str, list[float]] = {"A": [], "B": []}
    for name, (host, device, _) in zip(order, answers, strict=True):
        seconds[name].append(digits(host))
        if device is not None:
            on_device[name].append(digits(device))
    return Pair(seconds["A"], seconds["B"], on_device["A"] or None, on_device["B"] or None, order[0] == "B")

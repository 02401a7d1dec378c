"""One pair: reference and candidate in two fresh processes that take turns in short chunks.

Within a round the order is ABBA or BAAB by chance, so that whatever changes slowly on the machine (clock rate, a
neighbour) meets both alike.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.axes.case import Case
from bench.gate.sides import Side
from bench.measure.comparison import ORDERS
from bench.workers.rounds import Turn, take

RULE_VERSION = 3  # of what a pair is and what is made of it; gates under another rule are not counted together
# Processes differ by more than a process's chunks do: from 8 chunks a side on, more of them tell nothing more.
ROUNDS = 6
CHUNK_SECONDS = 0.015
WARM_SECONDS = 0.02
CASE = "the case"
QUIET_SHARE = 0.25


@dataclass(frozen=True)
class Pair:
    """What was seen of a pair; seconds a repetition of every chunk, in the order taken."""

    reference_seconds: list[float]
    candidate_seconds: list[float]

    @property
    def log_ratio(self) -> float:
        """Above 0 where the candidate is slower."""
        return math.log(undisturbed(self.candidate_seconds) / undisturbed(self.reference_seconds))


def _core(case: Case, rng: random.Random) -> int | None:
    """One core for both sides: on two, a neighbour of one core would be taken for a difference of the programs."""
    if case.threads > 1 or not hasattr(os, "sched_getaffinity"):
        return None
    return rng.choice(sorted(os.sched_getaffinity(0)))


def undisturbed(seconds: Sequence[float]) -> float:
    """The mean of the fastest quarter: a neighbour only ever adds time.

    Over pairs of the same program it scatters half as much as the median (1.1% and 2.1% on a shared host of 2 cores).
    """
    return statistics.fmean(sorted(seconds)[: max(1, round(QUIET_SHARE * len(seconds)))])


def orders(rounds: int, rng: random.Random) -> list[str]:
    """The turns of each round: `ABBA` or `BAAB`."""
    return [rng.choice(ORDERS) for _ in range(rounds)]


def measure_pair(reference: Side, candidate: Side, case: Case, rng: random.Random, *, one_core: bool = True) -> Pair:
    """Runs one pair of workers; raises bench.workers.conversation.WorkerError if either fails.

    Args:
        reference: The one side.
        candidate: The other.
        case: What they run.
        rng: Draws the orders and the core.
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
        for worker in workers.values():
            worker.begin("prepare", id=CASE, case=dataclasses.asdict(case), warm_seconds=WARM_SECONDS)
        prepared = {name: worker.end() for name, worker in workers.items()}
        repetitions = max(1, math.ceil(CHUNK_SECONDS / prepared["A"]["repetition_seconds"]))
        spinning = case.threads > 1
        turns = {
            name: Turn(name, worker, "turn", {"id": CASE, "repetitions": repetitions}, stops=spinning)
            for name, worker in workers.items()
        }
        if spinning:
            for worker in workers.values():
                worker.stop()
        order = "".join(orders(ROUNDS, rng))
        answers = take([turns[name] for name in order])
    seconds: dict[str, list[float]] = {"A": [], "B": []}
    for name, (one, *_) in zip(order, answers, strict=True):
        seconds[name].append(one)
    return Pair(seconds["A"], seconds["B"])

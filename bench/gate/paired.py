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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.axes.case import Case
from bench.gate.sides import Side
from bench.measure.comparison import ORDERS
from bench.workers.conversation import WorkerError
from bench.workers.rounds import Turn, TurnFailed

RULE_VERSION = 4  # of what a pair is and what is made of it; gates under another rule are not counted together
# Processes differ by more than a process's chunks do: from 8 chunks a side on, more of them tell nothing more.
ROUNDS = 6
CHUNK_SECONDS = 0.015
WARM_SECONDS = 0.02
CASE = "the case"
T = TypeVar("T")
LEAD_SECONDS = 5e-3
QUIET_SHARE = 0.25


@dataclass(frozen=True)
class Pair:
    """What was seen of a pair; seconds per repetition of every chunk, in the order taken.

    On a device that has events also the time between two of them on the device, in which it waits for the host or not.
    """

    reference_seconds: list[float]
    candidate_seconds: list[float]
    reference_device_seconds: list[float] | None = None
    candidate_device_seconds: list[float] | None = None

    @property
    def log_ratio(self) -> float:
        """By the host's clock: above 0 where the candidate is slower."""
        return _log_ratio(self.reference_seconds, self.candidate_seconds)

    @property
    def device_log_ratio(self) -> float | None:
        """By the device's events; None where there are none."""
        if self.reference_device_seconds is None or self.candidate_device_seconds is None:
            return None
        return _log_ratio(self.reference_device_seconds, self.candidate_device_seconds)


def _log_ratio(reference: Sequence[float], candidate: Sequence[float]) -> float:
    return math.log(undisturbed(candidate) / undisturbed(reference))


def _core(case: Case, rng: random.Random) -> int | None:
    """One core for both sides: on two, a neighbour of one core would be taken for a difference of the programs.

    Not on an accelerator, which has threads of its own, for the backward pass and for the driver.
    """
    if case.threads > 1 or case.device != "cpu" or not hasattr(os, "sched_getaffinity"):
        return None
    return rng.choice(sorted(os.sched_getaffinity(0)))


def undisturbed(seconds: Sequence[float]) -> float:
    """The mean of the fastest quarter: a neighbour only ever adds time.

    Over pairs of the same program it scatters half as much as the median (1.1% and 2.1% on a shared host of 2 cores).
    """
    return statistics.fmean(sorted(seconds)[: max(1, round(QUIET_SHARE * len(seconds)))])


def named(called: str, ask: Callable[[], T]) -> T:
    """What `ask` answers; the reason of a worker that fails gets the name of its side, unless it says so itself."""
    try:
        return ask()
    except WorkerError as raised:
        error = raised.error if isinstance(raised, TurnFailed) else raised
        raise type(error)(str(error) if str(error).startswith(called) else f"{called}: {error}") from raised


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
        called = {name: side.called for name, side in sides}
        for worker in workers.values():
            worker.begin("prepare", id=CASE, case=dataclasses.asdict(case), warm_seconds=WARM_SECONDS)
        prepared = {name: named(called[name], worker.end) for name, worker in workers.items()}
        repetitions = max(1, math.ceil(CHUNK_SECONDS / prepared["A"]["repetition_seconds"]))
        spinning = case.threads > 1
        # A device that waited for its turn may have lowered its clocks: it works a little before what is timed.
        lead = LEAD_SECONDS if case.device != "cpu" else 0.0
        asked = {"id": CASE, "repetitions": repetitions, "lead_seconds": lead}
        turns = {name: Turn(name, worker, "turn", asked, stops=spinning) for name, worker in workers.items()}
        if spinning:
            for worker in workers.values():
                worker.stop()
        order = "".join(orders(ROUNDS, rng))
        answers = [named(called[name], turns[name].take) for name in order]
    seconds: dict[str, list[float]] = {"A": [], "B": []}
    on_device: dict[str, list[float]] = {"A": [], "B": []}
    for name, (host, device, _) in zip(order, answers, strict=True):
        seconds[name].append(host)
        if device is not None:
            on_device[name].append(device)
    return Pair(seconds["A"], seconds["B"], on_device["A"] or None, on_device["B"] or None)

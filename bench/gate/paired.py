"""One pair: reference and candidate in two fresh processes that take turns in short chunks.

Within a round the order is ABBA or BAAB by chance, so that whatever changes slowly on the machine (clock rate, a
neighbour) meets both alike. A pair's log ratio is of the medians over its chunks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

from bench.axes.case import Case
from bench.gate.fork import Forge

ROUNDS = 16
CHUNK_SECONDS = 0.015


@dataclass(frozen=True)
class Pair:
    """What was seen of a pair; seconds a repetition of every chunk, in the order taken."""

    reference_seconds: list[float]
    candidate_seconds: list[float]

    @property
    def log_ratio(self) -> float:
        """Above 0 where the candidate is slower."""
        return math.log(statistics.median(self.candidate_seconds) / statistics.median(self.reference_seconds))


def orders(rounds: int, rng: random.Random) -> list[str]:
    """The turns of each round: `ABBA` or `BAAB`."""
    return [rng.choice(("ABBA", "BAAB")) for _ in range(rounds)]


def measure_pair(forge: Forge, reference: Path, candidate: Path, case: Case, rng: random.Random) -> Pair:
    """Runs one pair of workers; raises bench.gate.fork.WorkerError if either fails."""
    with contextlib.ExitStack() as stack:
        trees = [("A", reference), ("B", candidate)]
        if rng.random() < 0.5:  # which is forked first must not matter, and is not left to find out
            trees.reverse()
        workers = {name: stack.enter_context(forge.worker(tree)) for name, tree in trees}
        for worker in workers.values():
            worker.begin("prepare", case=dataclasses.asdict(case))
        for worker in workers.values():
            worker.end()
        spinning = case.threads > 1
        first = workers["A"].ask("chunk", repetitions=5) / 5
        repetitions = max(1, math.ceil(CHUNK_SECONDS / first))
        seconds: dict[str, list[float]] = {"A": [], "B": []}
        if spinning:
            for worker in workers.values():
                worker.stop()
        for turn in "".join(orders(ROUNDS, rng)):
            if spinning:
                workers[turn].go_on()
            seconds[turn].append(workers[turn].ask("chunk", repetitions=repetitions) / repetitions)
            if spinning:
                workers[turn].stop()
    return Pair(seconds["A"], seconds["B"])

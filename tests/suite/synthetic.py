"""Simulated workers, for the rounds without a program: each process has a luck of its own, and time that is made up."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

from bench.record.journal import Journal
from bench.record.model import Beside
from bench.suite.engine import Group, Rounds
from bench.suite.plan import Share
from bench.workers.conversation import NoAnswer, WorkerDied, WorkerError
from tests.data.measurements import case
from tests.record.test_journal import header

BASE, FUSED, BATCH = "step[cpu-b64-fp32]", "step[cpu-b64-fp32-fused]", "step[cpu-b1-fp32]"
SECONDS = {BASE: 5e-4, FUSED: 3e-4, BATCH: 2e-4}
CASES = {BASE: case(), FUSED: case(optimizer="fused"), BATCH: case(batch=1)}
STEPS = 938  # an epoch
FAILURES = {
    "fails": WorkerError("RuntimeError: CUDA out of memory"),
    "dies": WorkerDied("the worker died while it was timed: it was killed by SIGKILL, as for lack of memory"),
    "hangs": NoAnswer("the worker, while it was timed, gave no answer within 30 s, and its process was ended"),
}


class Machine:
    """Makes workers; remembers what they are asked.

    Args:
        seed: Of its chance.
        between, within: Standard deviations of a process's and of a block's log time.
        fault: (request, id, how often it went well before, one of `FAILURES`).
        disturbed: Whether a round of that number is disturbed.
    """

    def __init__(
        self,
        seed: int = 0,
        between: float = 0.02,
        within: float = 0.02,
        fault: tuple[str, str, int, str] | None = None,
        disturbed: Callable[[int], bool] = lambda number: False,
    ) -> None:
        self.rng, self.between, self.within = random.Random(seed), between, within
        self.fault, self.disturbed = fault, disturbed
        self.asked: list[tuple[int, str, dict[str, Any]]] = []
        self.epoch = 4.0
        self.slow: Callable[[], float] = lambda: 1.0  # times as long as usual
        self.looks = 0
        self.team: Callable[[int], float] = lambda number: 2e-6  # of a round, discarded ones apart
        self.paced = itertools.count()
        self.processes, self.looked, self.alive = 0, itertools.count(), 0

    @contextlib.contextmanager
    def start(self) -> Iterator[Worker]:
        """A worker, of which there is one at a time."""
        assert self.alive == 0
        self.alive, self.processes = 1, self.processes + 1
        try:
            yield Worker(self, self.processes - 1)
        finally:
            self.alive = 0

    def watch(self, pid: int, gpu: str | None) -> Watch:
        """Looks around during the next round."""
        self.looks += 1
        return Watch("others were busy" if self.disturbed(next(self.looked)) else None)


class Watch:
    """What a round was beside."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason

    def seen(self) -> tuple[Beside, str | None]:
        """As `bench.measure.surroundings.Watch` has it."""
        return Beside(others_cores=1.0 if self.reason else 0.0), self.reason


class Worker:
    """One process of a `Machine`."""

    def __init__(self, machine: Machine, number: int) -> None:
        self.machine, self.number, self.pid = machine, number, 1000 + number
        self.luck = {id: machine.rng.gauss(0, machine.between) for id in SECONDS}

    def ask(self, name: str, limit_seconds: float, **arguments: Any) -> Any:
        """As a real worker answers."""
        if name == "pace":
            return {"core_seconds": 1e-4, "team_seconds": self.machine.team(next(self.machine.paced))}
        machine, id = self.machine, arguments["id"]
        machine.asked.append((self.number, name, arguments))
        before = sum(what == name and told["id"] == id for _, what, told in machine.asked) - 1
        if machine.fault and (name, id) == machine.fault[:2] and before >= machine.fault[2]:
            raise FAILURES[machine.fault[3]]
        if name == "prepare":
            steps = arguments["part_seconds"] and math.ceil(STEPS * arguments["part_seconds"] / self.machine.epoch)
            seconds = SECONDS.get(id, 0.4) * machine.slow()
            return {"first_call_seconds": 0.01, "warmup_seconds": 0.1, "repetition_seconds": seconds,
                    "steps": steps}  # fmt: skip
        if name == "train_seed":
            return {"seconds": 0.4, "test_accuracy_fraction": 0.93, "train_accuracy_fraction": 0.94,
                    "seconds_to_target": 0.3}  # fmt: skip
        seconds = (
            machine.slow()
            * SECONDS.get(id, 0.4)
            * math.exp(self.luck.get(id, 0.0) + machine.rng.gauss(0, machine.within))
        )
        return [seconds, None, 0]


def journal(folder: Any, cases: Any = None) -> Journal:
    """A new journal of these cases."""
    planned = {
        id: {"case": vars(one), "command": "measure", "impossible": None} for id, one in (cases or CASES).items()
    }
    return Journal.create(folder, header(cases=planned))


def measured(
    machine: Machine,
    to: Journal,
    share: Share = Share(4, 3, 1.0),
    cases: Any = None,
    name: str = "steps",
    part_seconds: float | None = None,
) -> Journal:
    """The journal after the group's rounds."""
    group = Group(name, cases or CASES, share, {}, part_seconds=part_seconds)
    Rounds(group, machine.start, to, random.Random(1), watch=machine.watch).measure()
    return to

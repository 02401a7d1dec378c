"""The measuring itself: processes one after the other, in each of them every case of a group, in rounds.

What a process is like, by where its memory lies and how it has started, shows in all that it measures: two processes
of one program differ by more than the blocks within one. So a run has several, each with its cases prepared in an
order of its own, and the intervals are over them (`bench.analyse.levels`). They run one after the other: none waits
while another works, and what changes on the machine meanwhile is part of what the processes differ by.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import interruption
from bench.analyse.pace import apart
from bench.axes.case import Case
from bench.measure.surroundings import Watch
from bench.record.journal import Journal, digits, failures, of_kind
from bench.suite.costs import BLOCK_SECONDS, LEAD_SECONDS
from bench.suite.plan import Share
from bench.workers.conversation import LONG_LIMIT_SECONDS
from bench.workers.rounds import Turn, TurnFailed, shuffled, take

Start = Callable[[], contextlib.AbstractContextManager[Any]]
SayProgress = Callable[[str, float], None]

LONG_SECONDS = 0.1  # of a repetition that does not mind what was in the caches before
# At the beginning of a process, when nothing is warm, a round of steps is discarded. On one thread of an EPYC, over 64
# processes of 18 cases, the first took 7% longer than the later ones (standard error 1.9), the next three 3% (1.3);
# ratios had no trend. In the first process there are more until one is undisturbed, at most so many.
MOST_SIZING_ROUNDS = 6
REPEATED_SHARE = 0.5  # of a process's rounds, at most so many more for those that were disturbed
TURN_LIMIT_SECONDS = 30.0  # at least, of a turn that takes a hundredth of a second
TIMES_AS_LONG = 30  # as expected, and a turn hangs


@dataclass
class Group:
    """Cases that share their rounds.

    Attributes:
        name: `steps`, `epochs` or `trainings`.
        cases: By id, their threads resolved.
        share: How many processes and rounds it gets.
        caches: By id of a compiled case, the folder with what compilers have made of it.
        gpu: The uuid of the GPU, if one is used.
        part_seconds: Of an epoch that takes more than twice that, so much is timed; None for all of it.
    """

    name: str
    cases: Mapping[str, Case]
    share: Share
    caches: Mapping[str, str]
    gpu: str | None = None
    part_seconds: float | None = None


class Rounds:
    """Measures a group into a journal.

    Args:
        group: What to measure.
        start: Starts a fresh worker; a context.
        journal: What has been measured of the group before stays and counts.
        rng: The orders' chance.
        say: Told what is under way and the seconds that the group has taken.
        watch: Looks around during a round.
    """

    def __init__(
        self,
        group: Group,
        start: Start,
        journal: Journal,
        rng: random.Random,
        say: SayProgress = lambda what, seconds: None,
        watch: Callable[[int, str | None], Any] = Watch,
    ) -> None:
        self._group, self._start, self._journal, self._rng, self._say = group, start, journal, rng, say
        self._watch = watch
        self._ids = list(journal.lines[0]["cases"])
        self._repetitions: dict[str, int] = {}
        self._seconds: dict[str, float] = {}  # a repetition's, roughly
        self._steps: dict[str, int] = {}  # timed, of an epoch of which not all are
        self._begin = time.monotonic()
        for line in of_kind(journal.lines, "sizes"):
            self._repetitions |= line["repetitions"]
            self._seconds |= line["seconds"]
            self._steps |= line.get("steps", {})

    def measure(self) -> None:
        """Goes on until the group has all its rounds, or no case is left."""
        while (process := self._next_process()) is not None and self._left():
            interruption.check()
            self._process(process)

    def _left(self) -> dict[str, Case]:
        """The cases that have not failed."""
        failed = failures(self._journal.lines)
        return {id: case for id, case in self._group.cases.items() if id not in failed}

    def _whole(self) -> int:
        """Processes that have their rounds; one that ended before it had half of them counts for none."""
        rounds = collections.Counter(
            line["process"] for line in of_kind(self._journal.lines, "round") if line["group"] == self._group.name
        )
        return sum(count >= math.ceil(self._group.share.rounds / 2) for count in rounds.values())

    def _next_process(self) -> int | None:
        """The number of the next process; None if the group has as many as it gets."""
        if self._whole() >= self._group.share.processes:
            return None
        numbers = [line["process"] for line in of_kind(self._journal.lines, "process")]
        return max(numbers, default=-1) + 1

    def _process(self, number: int) -> None:
        """One process from its start to its end; a case that fails ends it, and is out."""
        self._journal.write("process", process=number, group=self._group.name)
        called = f"{self._group.name}: process {self._whole() + 1} of {self._group.share.processes}"
        self._say(called, self._taken())
        with self._start() as worker:
            try:
                self._prepare(worker, number)
                self._take_rounds(worker, number, called)
            except TurnFailed as failure:
                self._journal.write("failed", id=failure.key, reason=str(failure.error))

    def _taken(self) -> float:
        return time.monotonic() - self._begin

    def _prepare(self, worker: Any, process: int) -> None:
        left = self._left()
        for id in shuffled(list(left), self._rng):
            interruption.check()
            arguments = {
                "id": id,
                "case": dataclasses.asdict(left[id]),
                "sized": id in self._repetitions,
                "cache": self._group.caches.get(id),
                "part_seconds": None if id in self._repetitions else self._group.part_seconds,
            }
            turn = Turn(id, worker, "prepare", arguments, LONG_LIMIT_SECONDS)
            answer = turn.take()
            repetition, steps = answer.pop("repetition_seconds"), answer.pop("steps")
            if id not in self._repetitions:
                self._seconds[id] = repetition
                self._steps |= {id: steps} if steps else {}
            self._journal.write("prepared", process=process, id=id, **{n: digits(s) for n, s in answer.items()})

    def _take_rounds(self, worker: Any, process: int, called: str) -> None:
        share = self._group.share
        if new := [id for id in self._left() if id not in self._repetitions]:
            try:
                self._size(worker, new)
            except TurnFailed:
                for id in new:  # the next process sizes them
                    del self._repetitions[id]
                raise
        elif self._group.name == "steps":
            take(self._turns(worker, 0))
        # A training is of a seed of its own, and its accuracy minds no neighbour.
        repeated = 0 if self._group.name == "trainings" else math.ceil(REPEATED_SHARE * share.rounds)
        quiet = 0
        for _ in range(share.rounds + repeated):
            interruption.check()
            if quiet == share.rounds:
                return
            self._say(f"{called}, round {min(quiet + 1, share.rounds)} of {share.rounds}", self._taken())
            quiet += self._round(worker, process)

    def _size(self, worker: Any, new: Sequence[str]) -> None:
        """How many repetitions a block has, the same in all of a run: by rounds that are discarded, the last in peace.

        What takes 0.5 ms in peace takes 10 where others need the core. Blocks of one repetition, sized so, made the
        ratios of a run on two threads 35% other than those of the runs before and after it.
        """
        steps = self._group.name == "steps"
        self._repetitions |= dict.fromkeys(new, 1)
        if steps:
            self._repetitions |= {id: self._repetitions_of(id) for id in new}
            for _ in range(MOST_SIZING_ROUNDS):
                turns, watch = self._turns(worker, 0), self._watch(worker.pid, self._group.gpu)
                for turn, (seconds, *_) in zip(turns, take(turns), strict=True):
                    self._seconds[turn.key] = min(seconds, self._seconds[turn.key])
                if watch.seen()[1] is None:
                    break
            self._repetitions |= {id: self._repetitions_of(id) for id in new}
        for id in new:
            self._journal.write(
                "sizes",
                repetitions={id: self._repetitions[id]},
                seconds={id: digits(self._seconds[id])},
                **({"steps": {id: self._steps[id]}} if id in self._steps else {}),
            )

    def _repetitions_of(self, id: str) -> int:
        return max(1, math.ceil(BLOCK_SECONDS / max(self._seconds[id], 1e-9)))

    def _turns(self, worker: Any, seed: int) -> list[Turn]:
        left = self._left()
        turns = []
        for id in shuffled(list(left), self._rng, [case.device for case in left.values()]):
            repetitions = self._repetitions[id]
            if self._group.name == "trainings":
                turns.append(Turn(id, worker, "train_seed", {"id": id, "seed": seed}, LONG_LIMIT_SECONDS))
            elif self._group.name == "epochs":
                arguments = {"id": id, "repetitions": repetitions, "steps": self._steps.get(id)}
                turns.append(Turn(id, worker, "turn", arguments, LONG_LIMIT_SECONDS))
            else:
                lead = LEAD_SECONDS if self._seconds[id] < LONG_SECONDS else 0.0
                arguments = {"id": id, "repetitions": repetitions, "lead_seconds": lead}
                limit = max(TURN_LIMIT_SECONDS, TIMES_AS_LONG * repetitions * self._seconds[id])
                turns.append(Turn(id, worker, "turn", arguments, limit))
        return turns

    def _pace(self, worker: Any, first: str) -> Turn:
        """How fast the machine is beside a round; what goes wrong is laid to the round's first case."""
        threads = max((case.threads for case in self._left().values() if case.device == "cpu"), default=1)
        return Turn(first, worker, "pace", {"threads": threads}, TURN_LIMIT_SECONDS)

    def _round(self, worker: Any, process: int) -> bool:
        """One round into the journal; whether it was quiet."""
        done = of_kind(self._journal.lines, "round")
        seed = sum(line["group"] == "trainings" for line in done)
        turns = self._turns(worker, seed)
        watch, begin = self._watch(worker.pid, self._group.gpu), time.monotonic()
        pace = self._pace(worker, turns[0].key)
        before, *answers, after = take([pace, *turns, pace])
        took = time.monotonic() - begin
        beside, disturbed = watch.seen()
        beside = dataclasses.replace(beside, **_slower(before, after))
        if self._group.name == "trainings":
            fields: dict[str, Any] = {
                "seconds": [digits(answer["seconds"]) for answer in answers],
                "trained": [{"seed": seed, **answer} for answer in answers],
            }
        else:
            seconds, device, graphs = zip(*answers, strict=True)
            fields = {"seconds": [digits(one) for one in seconds]}
            if any(one is not None for one in device):
                fields["device_seconds"] = [one if one is None else digits(one) for one in device]
            if any(graphs):
                fields["graphs"] = list(graphs)
        self._journal.write(
            "round",
            number=len(done),
            group=self._group.name,
            process=process,
            order=[self._ids.index(turn.key) for turn in turns],
            took=digits(took),
            beside={
                name: digits(value) if isinstance(value, float) else value
                for name, value in dataclasses.asdict(beside).items()
                if value is not None
            },
            **({"disturbed": disturbed} if disturbed else {}),
            **fields,
        )
        team = [line["beside"].get("team_seconds", math.inf) for line in done]
        return disturbed is None and not apart(beside, min(team, default=None))


def _slower(before: dict[str, float | None], after: dict[str, float | None]) -> dict[str, float | None]:
    """The slower of two paces: a round of epochs lasts seconds, and meanwhile a host may move the cores."""
    paces = {name: [one[name] for one in (before, after)] for name in before}
    return {name: max((one for one in both if one is not None), default=None) for name, both in paces.items()}

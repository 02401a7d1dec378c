"""`fcnn-bench check --program FILE.py`: the gates for a program of the user's own, in whatever repository it lies.

The reference is that repository's ref, the candidate its working tree. Learning is judged by pairs of trainings from
the same seeds: there is no distribution of correct code to judge by, but there is the reference.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analyse.statistics import hodges_lehmann
from bench.axes.case import Case
from bench.axes.matrix import program_file
from bench.errors import BenchError, not_comparable
from bench.gate import check, decide
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS, sign_flip_p
from bench.gate.outcome import SHOWN, Check, Outcome
from bench.gate.paired import named
from bench.gate.sides import Side, Sides, sides
from bench.gate.trees import Trees, trees, working_tree
from bench.gate.whole import Gate, Request, Say, run
from bench.measure import git
from bench.workers.conversation import LONG_LIMIT_SECONDS

GROWTH_SECONDS = 0.1  # of a step, 100 of which still take seconds
LEARN_SECONDS = 2.0  # of steps of a training
FEWEST_STEPS, MOST_STEPS = 50, 2000
SAME_SEEDS = 3  # whose accuracies are the same to the last digit: it is the same training
LOOKS = (12, 24)  # seeds at each; 12 of one sign are one chance in 4,096
DROP = 0.005  # of the accuracy, that must not pass: half a point
FAIL_ALPHA, PASS_ALPHA = 0.001, 0.01  # over both looks


@dataclass(frozen=True)
class OwnProgram:
    """A program of the user's own.

    Attributes:
        root: The checkout that it lies in.
        file: Its path in there.
        device: Where it computes.
        batch_size: What it is given.
    """

    root: Path
    file: str
    device: str = "cpu"
    batch_size: int = 64

    @property
    def case(self) -> Case:
        """What a worker is told; one thread, whose time varies least."""
        return Case(workload="program", device=self.device, batch_size=self.batch_size, threads=1)

    @property
    def id(self) -> str:
        """`train.py[cpu-b64-t1]`."""
        return f"{Path(self.file).name}[{self.device}-b{self.batch_size}-t1]"


def find(path: Path, batch_size: int = 64, device: str = "cpu") -> OwnProgram:
    """The program in a file, whose links are followed.

    Raises:
        BenchError: There is no such file, it is no Python, or it lies in no git repository.
    """
    real = program_file(path)
    try:
        root = git.top(real.parent).resolve()
    except BenchError as error:
        if "not a git repository" in str(error):
            why = f"{path} lies in no git repository, whose commits it is compared with: git init there, and commit it"
            raise not_comparable(why) from error
        raise
    return OwnProgram(root, real.relative_to(root).as_posix(), device, batch_size)


def check_program(request: Request, program: OwnProgram, say: Say = lambda line: None) -> Check:
    """Runs the gates on a program of the user's own; raises BenchError for what the user can mend."""
    root, ref, file = program.root, request.ref, program.file

    def sides_of(gate: str, programs: Trees) -> contextlib.AbstractContextManager[Sides]:
        return sides(programs, None, request.environment, timed=gate == "timing")

    laid_out = trees(root, ref, file) if ref else working_tree(root, file)
    return run(request, laid_out, GATES, program, file, sides_of, say)


def _ask(side: Side, request: str, program: OwnProgram, **more: Any) -> Any:
    """What a fresh worker answers, its reason with the side's name; raises WorkerError."""
    with side.worker() as worker:
        case = dataclasses.asdict(program.case)
        return named(side.called, functools.partial(worker.ask, request, LONG_LIMIT_SECONDS, case=case, **more))


def _counts(of: Sides, request: Request, program: OwnProgram, accepted: list[dict[str, Any]]) -> Iterator[Outcome]:
    def count(id: str, asked: str, **more: Any) -> Outcome:
        counters = {
            "reference": _ask(of.reference, asked, program, **more),
            "candidate": _ask(of.candidate, asked, program, **more),
        }
        return check.judge_counts(id, counters, accepted)

    known: dict[str, Any] = {}

    def steps() -> Outcome:
        known.update(_ask(of.reference, "own_facts", program))
        return count(program.id, "own_count", growth=known["repetition_seconds"] <= GROWTH_SECONDS)

    outcomes = [check.timed("counts", program.id, steps)]
    if known and "evaluate" not in known["lacks"]:
        id = f"evaluation of {program.id}"
        outcomes.append(check.timed("counts", id, functools.partial(count, id, "own_count_evaluation")))
    yield from outcomes if request.judges_counts else map(check.shown, outcomes)


def _timing(of: Sides, request: Request, program: OwnProgram, accepted: list[dict[str, Any]]) -> Iterator[Outcome]:
    if of.same:
        reason = "the repository's files are the same on both sides: there is one program and not two"
        yield Outcome("timing", program.id, PASS, reason)
        return
    rule = decide.TimingRule(bound_fraction=request.bound_fraction, cases=check.clocks_of(program.device))

    def ask() -> Outcome:
        return dataclasses.replace(check.time_case(of, program.case, rule, random.Random()), case=program.id)

    yield check.timed("timing", program.id, ask)


def _accuracy(of: Sides, request: Request, program: OwnProgram, accepted: list[dict[str, Any]]) -> Iterator[Outcome]:
    yield check.timed("accuracy", program.id, functools.partial(_learning, of, program))


def _learning(of: Sides, program: OwnProgram) -> Outcome:
    known = _ask(of.reference, "own_facts", program)
    if "evaluate" in known["lacks"]:
        return Outcome("accuracy", program.id, SHOWN, "it has no evaluate(), so what it learns is not judged")
    steps = min(MOST_STEPS, max(FEWEST_STEPS, round(LEARN_SECONDS / known["repetition_seconds"])))
    accuracies: dict[str, list[float]] = {"reference": [], "candidate": []}

    def train(until: int) -> None:
        for seed in range(len(accuracies["reference"]), until):
            for name, side in (("reference", of.reference), ("candidate", of.candidate)):
                accuracies[name].append(_ask(side, "own_learn", program, seed=seed, steps=steps))

    train(SAME_SEEDS)
    if accuracies["reference"] == accuracies["candidate"]:
        verdict, reason = PASS, f"the same to the last digit from {SAME_SEEDS} seeds, along {steps:,} steps"
        return Outcome("accuracy", program.id, verdict, reason, raw=accuracies)
    for look in LOOKS:
        train(look)
        verdict, reason = judge(accuracies["reference"], accuracies["candidate"])
        if verdict != INCONCLUSIVE:
            break
    return Outcome("accuracy", program.id, verdict, f"{reason}, along {steps:,} steps", raw=accuracies)


def judge(reference: Sequence[float], candidate: Sequence[float]) -> tuple[str, str]:
    """The verdict on accuracies from the same seeds, and a sentence: a drop fails, a better one does not.

    By sign flips of the differences, as timing is judged: FAIL if a drop is shown, PASS if one of `DROP` is refuted.
    """
    drops = [a - b for a, b in zip(reference, candidate, strict=True)]
    middle, low, high = hodges_lehmann(drops)
    shown = f"{-100 * middle:+.2f} points ({-100 * high:+.2f} to {-100 * low:+.2f}) over {len(drops)} seeds"
    if sign_flip_p(drops) <= FAIL_ALPHA / len(LOOKS):
        return FAIL, f"less accurate: {shown}"
    if sign_flip_p([DROP - drop for drop in drops]) <= PASS_ALPHA / len(LOOKS):
        return PASS, f"a drop of {100 * DROP:g} points is refuted: {shown}"
    return INCONCLUSIVE, f"neither a drop is shown nor one of {100 * DROP:g} points refuted: {shown}"


GATES: dict[str, Gate] = {"counts": _counts, "timing": _timing, "accuracy": _accuracy}

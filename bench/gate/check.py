"""`fcnn-bench check`: counts, timing and accuracy of the working tree against a git ref."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import interruption
from bench.axes.case import Case, case_id
from bench.errors import BenchError
from bench.gate import accuracy, counts, decide
from bench.gate.outcome import ERROR, Check, Outcome
from bench.gate.paired import Pair, measure_pair, side
from bench.gate.trees import Trees, trees
from bench.measure import facts
from bench.measure.surroundings import Surroundings
from bench.record import files
from bench.text import counted
from bench.workers.conversation import LIMIT_SECONDS, Conversation, NoAnswer, WorkerError
from bench.workers.forge import Forge
from bench.workers.images import images as load_images
from fcnn.data import Images

PAIRS_A_CONTROL = 3  # after so many pairs, one of the reference against itself
STEP_IMAGES = 8192  # enough different batches for a worker's few thousand steps


def gate_case(**changes: Any) -> Case:
    """The eager step at batch 64 on one thread, whose time varies least, or what differs from it."""
    return dataclasses.replace(Case(threads=1), **changes)


DEFAULT_TIMED = (gate_case(),)
ALL_TIMED = (
    *DEFAULT_TIMED,
    gate_case(batch_size=1),
    gate_case(batch_size=1024),
    gate_case(optimizer="fused"),
    gate_case(workload="forward"),
)
# What is counted: an id, the worker's request, and the case.
COUNTED = (
    *((case_id(case), "count", case) for case in (gate_case(), gate_case(optimizer="fused"))),
    ("evaluation[cpu-fp32-t1]", "count_evaluation", gate_case()),
    (case_id(gate_case(compiler="default")), "count_compilations", gate_case(compiler="default")),
)


@dataclass(frozen=True)
class Request:
    """What to check.

    Attributes:
        root: The checkout, whose working tree is the candidate.
        ref: The reference.
        timed: Cases whose time is compared.
        bound_fraction: The slowdown that must not pass.
        gates: Which of `counts`, `timing`, `accuracy`.
        data: Data root, or None for the usual one.
    """

    root: Path
    ref: str
    timed: Sequence[Case] = DEFAULT_TIMED
    bound_fraction: float = 0.05
    gates: Sequence[str] = ("counts", "timing", "accuracy")
    data: Path | None = None


Say = Callable[[str], None]


def check(request: Request, say: Say = lambda line: None) -> Check:
    """Runs the gates; raises BenchError for what the user can mend. Interrupted, it says which gates are missing."""
    begin = time.monotonic()
    with interruption.allowed():
        images = load_images("MNIST", request.data)
    # What is missing is said before minutes are spent.
    accepted = counts.read_accepted(request.root / counts.ACCEPTED_FILE)
    if "accuracy" in request.gates:
        reference_of(request, images)
    label, around = facts.machine().label, Surroundings()
    outcomes: list[Outcome] = []
    with files.scratch() as scratch, trees(request.root, request.ref) as sides, missing_noted(outcomes, request):
        for gate in (gate for gate in GATES if gate in request.gates):
            say(gate)
            with forge_with(images, scratch, whole=gate == "accuracy") as forge:
                for outcome in GATES[gate](forge, sides, request, images, accepted):
                    outcomes.append(outcome)
    beside, seconds = around.disturbance(), time.monotonic() - begin
    return Check(sides.ref_id, label, images.label, request.bound_fraction, outcomes, seconds, beside)


@contextlib.contextmanager
def missing_noted(outcomes: list[Outcome], request: Request) -> Iterator[None]:
    """Ends a check that was interrupted, or whose program hangs, with an error for each gate that was not finished."""
    reason = "interrupted"
    try:
        with interruption.allowed():
            yield
        return
    except KeyboardInterrupt:
        pass
    except NoAnswer as error:  # nor will it answer the next question
        reason = str(error)
    begun = [outcome.gate for outcome in outcomes]
    for gate in (gate for gate in GATES if gate in request.gates):
        if gate not in begun or gate == begun[-1]:
            outcomes.append(Outcome(gate, "the rest of it" if gate in begun else "all of it", ERROR, reason))


@contextlib.contextmanager
def forge_with(images: Images, scratch: Path, *, whole: bool) -> Iterator[Forge]:
    """A forge whose workers have the images: all of them, or as many training images as a timed case needs."""
    file = save_images(images, scratch, len(images.train) if whole else STEP_IMAGES)
    with Forge(passive=True, file=str(file)) as forge:
        yield forge


def save_images(images: Images, folder: Path, kept: int) -> Path:
    """A file for workers, with so many of the training images and all test images.

    Raises:
        BenchError: It does not fit into the temporary folder.
    """
    import torch

    file = folder / "images.pt"
    tensors = (images.train.data[:kept], images.train.targets[:kept], images.test.data, images.test.targets)
    buffer = io.BytesIO()
    torch.save(tuple(tensor.clone() for tensor in tensors), buffer)
    try:
        file.write_bytes(buffer.getvalue())
    except OSError as error:
        remedy = "free some space or name another folder with TMPDIR"
        raise BenchError(f"{file} cannot be written: {files.why(error)}; {remedy}") from error
    return file


def timed(gate: str, case: str, ask: Callable[[], Outcome]) -> Outcome:
    """The outcome of `ask` with its seconds; what a worker raises is an ERROR and no pass. Raises NoAnswer."""
    begin = time.monotonic()
    try:
        outcome = ask()
    except NoAnswer:
        raise
    except WorkerError as error:
        outcome = Outcome(gate, case, ERROR, str(error))
    return dataclasses.replace(outcome, seconds=time.monotonic() - begin)


def _counts(
    forge: Forge, sides: Trees, request: Request, images: Images, accepted: list[dict[str, Any]]
) -> Iterator[Outcome]:
    for asked in COUNTED:
        yield timed("counts", asked[0], functools.partial(_count, forge, sides, accepted, *asked))


def _count(forge: Forge, sides: Trees, accepted: list[dict[str, Any]], id: str, request: str, case: Case) -> Outcome:
    found = {}
    for name, tree in (("reference", sides.reference), ("candidate", sides.candidate)):
        with side(forge, tree, f"the {name}") as worker:
            try:
                found[name] = worker.ask(request, case=dataclasses.asdict(case))
            except NoAnswer:
                raise
            except WorkerError as error:
                raise WorkerError(f"the {name} cannot be counted: {error}") from error
    return judge_counts(id, found, accepted)


def judge_counts(id: str, found: dict[str, Any], accepted: list[dict[str, Any]]) -> Outcome:
    """The outcome of the counters of `reference` and `candidate`."""
    different = counts.differences(id, found["reference"], found["candidate"], accepted)
    lines = [d.sentence + (f" (accepted: {d.accepted})" if d.accepted else "") for d in different]
    lines += [f"reason: {reason}" for reason in found["candidate"].get("reasons", []) if different]
    unaccepted = [d for d in different if not d.accepted]
    if unaccepted:
        return Outcome("counts", id, decide.FAIL, unaccepted[0].sentence, lines, found)
    total = len(counts.flat(found["candidate"]))
    if total == 0:
        return Outcome("counts", id, ERROR, "nothing was counted", raw=found)
    said = f"{counted(total, 'count')} {'is' if total == 1 else 'are'} the same"
    if different:
        said = f"{counted(len(different), 'changed count')} {'is' if len(different) == 1 else 'are'} accepted"
    return Outcome("counts", id, decide.PASS, said, lines, found)


def _timing(
    forge: Forge, sides: Trees, request: Request, images: Images, accepted: list[dict[str, Any]]
) -> Iterator[Outcome]:
    rule = decide.TimingRule(bound_fraction=request.bound_fraction, cases=len(request.timed))
    rng, same = random.Random(), same_source(sides)
    for case in request.timed:
        if same:
            reason = "fcnn is the same on both sides: there is one program and not two"
            yield Outcome("timing", case_id(case), decide.PASS, reason)
        else:
            yield timed("timing", case_id(case), functools.partial(time_case, forge, sides, case, rule, rng))


def same_source(sides: Trees) -> bool:
    """Whether both sides' `fcnn` hold the same files with the same content, whatever their lines end in."""

    def contents(tree: Path) -> dict[Path, bytes]:
        found = (path for path in (tree / "fcnn").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(tree): path.read_bytes().replace(b"\r\n", b"\n") for path in found}

    return contents(sides.candidate) == contents(sides.reference)


def time_case(forge: Forge, sides: Trees, case: Case, rule: decide.TimingRule, rng: random.Random) -> Outcome:
    """Screening, and confirmation where the screening does not pass, with controls in between."""
    pairs: dict[str, list[Pair]] = {"screening": [], "confirmation": [], "control": []}

    def run(stage: str, count: int) -> None:
        for number in range(count):
            if number % PAIRS_A_CONTROL == 0:
                pairs["control"].append(measure_pair(forge, sides.reference, sides.reference, case, rng))
            pairs[stage].append(measure_pair(forge, sides.reference, sides.candidate, case, rng))

    def decision() -> decide.Decision:
        screening, confirmation, control = ([pair.log_ratio for pair in pairs[stage]] for stage in pairs)
        return decide.decide(screening, confirmation, control, rule)

    run("screening", rule.screening_pairs)
    found = decision()
    for pairs_by_then in rule.confirmation_looks:
        if found.verdict == decide.INCONCLUSIVE:
            run("confirmation", pairs_by_then - len(pairs["confirmation"]))
            found = decision()
    raw = {stage: [dataclasses.asdict(pair) for pair in of_stage] for stage, of_stage in pairs.items()}
    return Outcome("timing", case_id(case), found.verdict, found.reason, raw={**dataclasses.asdict(found), **raw})


def reference_of(request: Request, images: Images) -> accuracy.Reference:
    """The committed accuracies on these images; raises BenchError."""
    return accuracy.read_reference(images.name, images.sha256, request.root / accuracy.REFERENCE_FOLDER)


def _accuracy(
    forge: Forge, sides: Trees, request: Request, images: Images, accepted: list[dict[str, Any]]
) -> Iterator[Outcome]:
    candidate = functools.partial(side, forge, sides.candidate, "the candidate")
    yield train_and_judge(candidate, reference_of(request, images), images)


def train_and_judge(
    candidate: Callable[[], contextlib.AbstractContextManager[Conversation]],
    reference: accuracy.Reference,
    images: Images,
) -> Outcome:
    """Trains the candidate from as many seeds as it takes and sets its accuracies against the reference's."""
    rule = accuracy.AccuracyRule()
    seeds = list(range(accuracy.seeds_needed(reference, rule)))

    def ask() -> Outcome:
        with candidate() as worker:
            found = [accuracy_of(worker, seed, reference.epochs) for seed in seeds]
        judged = accuracy.judge(found, reference, rule)
        verdict = decide.PASS if judged.passed else decide.FAIL
        return Outcome("accuracy", images.name, verdict, judged.reason, raw={"test_accuracy_fraction": found})

    return timed("accuracy", images.name, ask)


def accuracy_of(worker: Conversation, seed: int, epochs: int) -> float:
    """The test accuracy from one seed; raises WorkerError, also if it takes longer than the limit an epoch allows."""
    answer = worker.ask("train", epochs * LIMIT_SECONDS, seeds=[seed], batch_size=64, epochs=epochs, threads=1)
    return float(answer[0])


GATES: dict[str, Callable[..., Iterator[Outcome]]] = {"counts": _counts, "timing": _timing, "accuracy": _accuracy}

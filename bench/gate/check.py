"""`fcnn-bench check`: counts, timing and accuracy of the working tree against a git ref."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import interruption
from bench.axes.case import Case, case_id
from bench.axes.devices import DEVICES
from bench.errors import BenchError
from bench.gate import accuracy, counts, decide
from bench.gate.outcome import ERROR, SHOWN, Check, Outcome
from bench.gate.paired import Pair, measure_pair
from bench.gate.sides import Environment, Sides, sides
from bench.gate.trees import Trees, one_program, trees
from bench.gate.whole import Gate, Request, Say, run
from bench.record import files
from bench.text import counted
from bench.workers.conversation import LIMIT_SECONDS, Conversation, NoAnswer, WorkerError
from bench.workers.images import images as load_images
from fcnn.data import Images

PAIRS_A_CONTROL = 3  # after so many pairs, one of the reference against itself
SEVERITY = (decide.FAIL, decide.INCONCLUSIVE, decide.PASS)
STEP_IMAGES = 8192  # enough different batches for a worker's few thousand steps


def gate_case(**changes: Any) -> Case:
    """The eager step at batch 64 on one thread, whose time varies least, or what differs from it."""
    return dataclasses.replace(Case(threads=1), **changes)


def timed_on(device: str = "cpu", *, everything: bool = False) -> tuple[Case, ...]:
    """The cases whose time is compared; on an accelerator with the images in its own memory."""
    step = gate_case(device=device, feed="resident" if device == "cpu" else "device")
    if not everything:
        return (step,)
    others = [{"batch_size": 1}, {"batch_size": 1024}, {"optimizer": "fused"}, {"workload": "forward"}]
    return (step, *(dataclasses.replace(step, **one) for one in others))  # type: ignore[arg-type]


def counted_on(device: str = "cpu") -> tuple[tuple[str, str, Case], ...]:
    """What is counted: an id, the worker's request, and the case; on an accelerator also the copies to it."""
    (step,) = timed_on(device)
    steps = [step, dataclasses.replace(step, optimizer="fused")]
    if device != "cpu":
        steps.append(dataclasses.replace(step, feed="resident"))
    compiled = dataclasses.replace(step, compiler="default")
    return (
        *((case_id(case), "count", case) for case in steps),
        (f"evaluation[{device}-fp32-t1]", "count_evaluation", step),
        (case_id(compiled), "count_compilations", compiled),
    )


def clocks_of(device: str) -> int:
    """By how many clocks a case is judged: the host's, and a device's own events where it has them."""
    return 1 if DEVICES[device].timing_event is None else 2


def check(request: Request, say: Say = lambda line: None) -> Check:
    """Runs the gates on `fcnn`; raises BenchError for what the user can mend."""
    with interruption.allowed():
        images = load_images("MNIST", request.data)
    if "accuracy" in request.gates:  # what is missing is said before minutes are spent
        reference_of(request, images)
    with files.scratch() as scratch:

        def sides_of(gate: str, programs: Trees) -> contextlib.AbstractContextManager[Sides]:
            needs = {"whole": gate == "accuracy", "timed": gate == "timing"}
            return sides_with(images, scratch, programs, request.environment, **needs)

        return run(request, trees_of(request), GATES, images, images.label, sides_of, say)


def trees_of(request: Request) -> contextlib.AbstractContextManager[Trees]:
    """Both programs: of an environment without a ref, the one that is installed here."""
    return trees(request.root, request.ref) if request.ref else one_program(request.root)


@contextlib.contextmanager
def sides_with(
    images: Images,
    scratch: Path,
    programs: Trees,
    environment: Environment | None = None,
    *,
    whole: bool,
    timed: bool = True,
) -> Iterator[Sides]:
    """Sides whose workers have the images: all of them, or as many training images as a timed case needs."""
    file = save_images(images, scratch, len(images.train) if whole else STEP_IMAGES)
    with sides(programs, file, environment, timed=timed) as of:
        yield of


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


def _counts(of: Sides, request: Request, images: Images, accepted: list[dict[str, Any]]) -> Iterator[Outcome]:
    for asked in counted_on(request.device):
        outcome = timed("counts", asked[0], functools.partial(_count, of, accepted, *asked))
        yield outcome if request.judges_counts else shown(outcome)


def _count(of: Sides, accepted: list[dict[str, Any]], id: str, request: str, case: Case) -> Outcome:
    counters = {}
    for name, side in (("reference", of.reference), ("candidate", of.candidate)):
        with side.worker() as worker:
            try:
                counters[name] = worker.ask(request, case=dataclasses.asdict(case))
            except NoAnswer:
                raise
            except WorkerError as error:
                raise WorkerError(f"the {name} cannot be counted: {error}") from error
    return judge_counts(id, counters, accepted)


def shown(outcome: Outcome) -> Outcome:
    """The same of counts that are not judged: where one has changed, or cannot be had, that is told and is no fault."""
    if outcome.verdict == decide.PASS:
        return outcome
    changed = len(outcome.lines) and f"{counted(len(outcome.lines), 'count')} differ, which --gates counts would judge"
    return dataclasses.replace(outcome, verdict=SHOWN, reason=changed or outcome.reason)


def judge_counts(id: str, counters: dict[str, Any], accepted: list[dict[str, Any]]) -> Outcome:
    """The outcome of the counters of `reference` and `candidate`."""
    different = counts.differences(id, counters["reference"], counters["candidate"], accepted)
    lines = [d.sentence + (f" (accepted: {d.accepted})" if d.accepted else "") for d in different]
    lines += [f"reason: {reason}" for reason in counters["candidate"].get("reasons", []) if different]
    unaccepted = [d for d in different if not d.accepted]
    if unaccepted:
        return Outcome("counts", id, decide.FAIL, unaccepted[0].sentence, lines, counters)
    total = len(counts.flat(counters["candidate"]))
    if total == 0:
        return Outcome("counts", id, ERROR, "nothing was counted", raw=counters)
    reason = f"{counted(total, 'count')} {'is' if total == 1 else 'are'} the same"
    if different:
        reason = f"{counted(len(different), 'changed count')} {'is' if len(different) == 1 else 'are'} accepted"
    return Outcome("counts", id, decide.PASS, reason, lines, counters)


def _timing(of: Sides, request: Request, images: Images, accepted: list[dict[str, Any]]) -> Iterator[Outcome]:
    cases = len(request.timed) * clocks_of(request.device)
    rule = decide.TimingRule(bound_fraction=request.bound_fraction, cases=cases)
    rng, same = random.Random(), of.same
    for case in request.timed:
        if same:
            reason = "fcnn is the same on both sides: there is one program and not two"
            yield Outcome("timing", case_id(case), decide.PASS, reason)
        else:
            yield timed("timing", case_id(case), functools.partial(time_case, of, case, rule, rng))


def time_case(of: Sides, case: Case, rule: decide.TimingRule, rng: random.Random) -> Outcome:
    """Screening, and confirmation where the screening does not pass, with controls in between.

    By the host's clock and, where the device has events, by these, too: it passes if it does by both.
    """
    pairs: dict[str, list[Pair]] = {"screening": [], "confirmation": [], "control": []}

    def run(stage: str, count: int) -> None:
        for number in range(count):
            if number % PAIRS_A_CONTROL == 0:
                pairs["control"].append(measure_pair(of.reference, of.reference, case, rng))
            pairs[stage].append(measure_pair(of.reference, of.candidate, case, rng))

    def decided_by(ratio: Callable[[Pair], float | None]) -> decide.Decision | None:
        logs = {stage: [log for pair in pairs[stage] if (log := ratio(pair)) is not None] for stage in pairs}
        if not logs["screening"]:
            return None
        return decide.decide(logs["screening"], logs["confirmation"], logs["control"], rule)

    def decision() -> decide.Decision:
        by_host, on_device = decided_by(lambda pair: pair.log_ratio), decided_by(lambda pair: pair.device_log_ratio)
        assert by_host is not None
        if on_device is None:
            return by_host
        worse = min((by_host, on_device), key=lambda one: SEVERITY.index(one.verdict))
        clock = "by the device's events" if worse is on_device else "by the host's clock"
        return dataclasses.replace(worse, reason=f"{clock}: {worse.reason}")

    run("screening", rule.screening_pairs)
    decided = decision()
    for pairs_by_then in rule.confirmation_looks:
        if decided.verdict == decide.INCONCLUSIVE:
            run("confirmation", pairs_by_then - len(pairs["confirmation"]))
            decided = decision()
    raw = {stage: [dataclasses.asdict(pair) for pair in of_stage] for stage, of_stage in pairs.items()}
    return Outcome("timing", case_id(case), decided.verdict, decided.reason, raw={**dataclasses.asdict(decided), **raw})


def reference_of(request: Request, images: Images) -> accuracy.Reference:
    """The committed accuracies on these images; raises BenchError."""
    return accuracy.read_reference(images.name, images.sha256, request.root / accuracy.REFERENCE_FOLDER)


def _accuracy(of: Sides, request: Request, images: Images, accepted: list[dict[str, Any]]) -> Iterator[Outcome]:
    yield train_and_judge(of.candidate.worker, reference_of(request, images), images, request.device)


def train_and_judge(
    candidate: Callable[[], contextlib.AbstractContextManager[Conversation]],
    reference: accuracy.Reference,
    images: Images,
    device: str = "cpu",
) -> Outcome:
    """Trains the candidate from as many seeds as it takes and sets its accuracies against the reference's."""
    rule = accuracy.AccuracyRule()
    seeds = list(range(accuracy.seeds_needed(reference, rule)))

    def ask() -> Outcome:
        with candidate() as worker:
            accuracies = [accuracy_of(worker, seed, reference.epochs, device) for seed in seeds]
        judged = accuracy.judge(accuracies, reference, rule)
        verdict = decide.PASS if judged.passed else decide.FAIL
        return Outcome("accuracy", images.name, verdict, judged.reason, raw={"test_accuracy_fraction": accuracies})

    return timed("accuracy", images.name, ask)


def accuracy_of(worker: Conversation, seed: int, epochs: int, device: str = "cpu") -> float:
    """The test accuracy from one seed; raises WorkerError, also if it takes longer than the limit an epoch allows."""
    asked = {"seeds": [seed], "batch_size": 64, "epochs": epochs, "threads": 1, "device": device}
    answer = worker.ask("train", epochs * LIMIT_SECONDS, **asked)
    return float(answer[0])


GATES: dict[str, Gate] = {"counts": _counts, "timing": _timing, "accuracy": _accuracy}

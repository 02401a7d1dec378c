"""The ladder steps of a device, each in a process of its own, that take turns: an epoch of each, then the next of each.

One step after the other would not do: on a shared machine, what uses two cores takes half as long again for seconds or
minutes, and whichever step it meets looks slow. In a round all are met alike, and ratios are taken within rounds.

A ladder takes minutes, and whoever ends it early is to have what was measured. So a step is timed once as soon as its
process is warm, before the next one begins, and what has been measured is handed on after every step and every round.

Importing torch takes seconds and is no part of any number, so processes import side by side, as many as there are
cores, before any of them is asked for an epoch: nothing is imported beside what is measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bench import interruption
from bench.analyse.ladder import Ladder, LadderStep
from bench.errors import BenchError
from bench.gate import accuracy
from bench.ladder import progress
from bench.ladder.progress import INTERRUPTED, Climbed
from bench.ladder.table import PEERS, LadderRow, lines_changed
from bench.measure import facts, settings
from bench.measure.surroundings import Surroundings
from bench.profile.disturbed import joined
from bench.record import files
from bench.workers.process import HARNESS, Process, empty_compiler_caches
from bench.workers.rounds import Turn
from fcnn.data import Images

LIMIT_SECONDS = 600.0  # for each answer of a step; the slowest epoch seen took 9 s, the slowest compiler 60 s
ROOFLINE_SECONDS = 12.0  # about what the roofline bound takes
# JAX would take most of a GPU's memory at once, which the other processes need.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
SayProgress = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True)
class ClimbRequest:
    """What is climbed.

    Attributes:
        device: Its name.
        rows: In the order in which they are shown; all others are told by the first.
        images: That the processes load as well, by `request`.
        request: See `bench.workers.images.requested`.
        epochs: Fewest timed epochs per step, each of a fresh training.
    """

    device: str
    rows: Sequence[LadderRow]
    images: Images
    request: Mapping[str, str]
    epochs: int


def expected_seconds(request: ClimbRequest, earlier: Ladder | None = None) -> float:
    """About how long `climb` will take."""
    climbed = _begun(request, earlier)
    names = progress.in_order(climbed, request.epochs)
    return progress.seconds_left(climbed, names, request.epochs) + (ROOFLINE_SECONDS if names else 0.0)


def climb(
    request: ClimbRequest,
    earlier: Ladder | None = None,
    say: SayProgress = lambda what, left_seconds: None,
    save: Callable[[Ladder], None] = lambda ladder: None,
) -> Ladder:
    """All rows of a device; one that fails or cannot be climbed is kept with its reason, as is the roofline bound.

    After an interruption the ladder has what was measured by then.

    Args:
        request: What is climbed.
        earlier: What was measured of it before an interruption, to go on with.
        say: Told what is under way, and about how many seconds are left.
        save: Given the ladder as far as it is after every step and every round.

    Raises:
        KeyboardInterrupt: Nothing was measured by then.
    """
    return _Climb(request, earlier, say, save).climb()


class _Climb:
    def __init__(
        self, request: ClimbRequest, earlier: Ladder | None, say: SayProgress, save: Callable[[Ladder], None]
    ) -> None:
        self._request, self._say_left, self._save_ladder = request, say, save
        self._climbed = _begun(request, earlier)
        self._names = progress.in_order(self._climbed, request.epochs)
        self._roofline = _roofline_of(earlier)
        self._reference = _reference(request.images)
        self._disturbed_before = earlier.disturbed if earlier else None
        self._disturbances: dict[str, str] = {}
        self._machine = facts.machine().label
        self._torch = facts.version("torch") or "unknown"
        self._processes: dict[str, Process] = {}

    def climb(self) -> Ladder:
        interrupted = False
        try:
            with interruption.allowed():
                self._measure()
        except KeyboardInterrupt:
            if not any(one.accuracies for one in self._climbed.values()):
                raise
            interrupted = True
        return self._ladder(interrupted)

    def _measure(self) -> None:
        """Starts process after process for its epoch from cold and the first timed one; then the rounds."""
        with contextlib.ExitStack() as stack:
            roofline = stack.enter_context(contextlib.ExitStack())
            at_once = settings.default_threads()
            wanted = [*([] if self._roofline else [None]), *self._names]  # None is the roofline bound
            for first in range(0, len(wanted), at_once):
                wave = self._imported(wanted[first : first + at_once], stack, roofline)
                if None in wave:
                    with self._watched("roofline bound"):
                        self._take_roofline(wave.pop(None))
                roofline.close()  # it has done all it is for, and would keep memory of the device from the steps
                with self._watched("cold epochs"):
                    for name, process in wave.items():
                        self._start(str(name), process)
            with self._watched("rounds"):
                for number in itertools.count(
                    max((n for one in self._climbed.values() for n in one.rounds), default=0) + 1
                ):
                    names = progress.in_round(self._climbed, self._request.epochs)
                    if not names:
                        return
                    for name in names:
                        self._take(name, number)
                        self._climbed[name].turns += 1
                    self._save()

    def _imported(
        self, names: Sequence[str | None], stack: contextlib.ExitStack, roofline: contextlib.ExitStack
    ) -> dict[str | None, Process]:
        """Processes that are ready to be asked, by the step's name; all of them import at the same time.

        They end with `stack`, and the roofline bound's with one of its own.
        """
        self._say("importing")
        begun: dict[str | None, Process] = {}
        for name in names:
            with self._reason_kept(name):
                of_it = roofline if name is None else stack
                folder = of_it.enter_context(files.scratch())
                # What a process takes for the system's temporary folder: nothing is left of it when it is killed.
                variables = {**ENVIRONMENT, **empty_compiler_caches(folder), "TMPDIR": str(folder)}
                begun[name] = of_it.enter_context(Process(None, variables))
                begun[name].begin("ladder_prepare", **self._request.request, device=self._request.device, step=name)
        ready: dict[str | None, Process] = {}
        for name, process in begun.items():
            interruption.check()
            with self._reason_kept(name):
                process.end(LIMIT_SECONDS)
                ready[name] = process
        return ready

    def _take_roofline(self, process: Process) -> None:
        self._say("roofline bound")
        with self._reason_kept(None):
            answer = process.ask("ladder_bound", LIMIT_SECONDS)
            self._roofline = {
                "roofline_seconds": answer["seconds"],
                "roofline_bound": answer["bound"],
                "roofline_reason": answer["unknown"],
            }

    def _start(self, name: str, process: Process) -> None:
        """The epoch from cold, then the one that counts if there will be no round."""
        one = self._climbed[name]
        self._say(f"{name}, from cold")
        with self._reason_kept(name):
            first = self._epoch(name, process)
            one.cold_seconds = one.cold_seconds or first["with_all_seconds"]
            one.started, self._processes[name] = True, process
            self._take(name, 0)
        self._save()

    def _take(self, name: str, number: int) -> None:
        """A timed epoch of a fresh training."""
        one = self._climbed[name]
        self._say(f"{name}, epoch {len(one.seconds) + 1}")
        with self._reason_kept(name):
            answer = self._epoch(name, self._processes[name])
            one.seconds.append(answer["seconds"])
            one.rounds.append(number)

    def _epoch(self, name: str, process: Process) -> dict[str, Any]:
        """A step's turn, from a seed that it has not had; raises WorkerError."""
        interruption.check()
        reached = self._climbed[name].accuracies
        turn = Turn(name, process, "ladder_epoch", {"seed": len(reached)}, LIMIT_SECONDS)
        answer: dict[str, Any] = turn.take()
        reached.append(answer["test_accuracy_fraction"])
        return answer

    @contextlib.contextmanager
    def _watched(self, part: str) -> Iterator[None]:
        """Keeps what went on beside a part; ends while the processes are there, whose work is no other's."""
        surroundings = Surroundings(self._request.device)
        try:
            yield
        finally:
            if reason := surroundings.disturbance():
                self._disturbances[part] = reason

    @contextlib.contextmanager
    def _reason_kept(self, name: str | None) -> Iterator[None]:
        try:
            yield
        except BenchError as error:
            if name is None:
                self._roofline = {"roofline_seconds": None, "roofline_reason": str(error)}
            else:
                self._climbed[name].reason = str(error)

    def _say(self, what: str) -> None:
        left = progress.seconds_left(self._climbed, self._names, self._request.epochs)
        self._say_left(f"{self._request.device}: {what}", left + (0.0 if self._roofline else ROOFLINE_SECONDS))

    def _save(self) -> None:
        with interruption.deferred():
            self._save_ladder(self._ladder(interrupted=True))

    def _ladder(self, interrupted: bool) -> Ladder:
        return Ladder(
            device=self._request.device,
            machine=self._machine,
            dataset=self._request.images.label,
            torch=self._torch,
            steps=[_step(one, self._request, interrupted, self._reference) for one in self._climbed.values()],
            disturbed="; ".join(filter(None, (self._disturbed_before, joined(self._disturbances)))) or None,
            interrupted=interrupted,
            **(self._roofline or {"roofline_seconds": None, "roofline_reason": INTERRUPTED}),
        )


def _begun(request: ClimbRequest, earlier: Ladder | None) -> dict[str, Climbed]:
    before = {step.name: step for step in earlier.steps} if earlier else {}
    return {row.name: Climbed.begin(row, before.get(row.name)) for row in request.rows}


def _roofline_of(earlier: Ladder | None) -> dict[str, Any] | None:
    """What is known of the roofline bound; None if nothing is."""
    if earlier is None or (earlier.roofline_seconds is None and earlier.roofline_reason == INTERRUPTED):
        return None
    return {name: getattr(earlier, name) for name in ("roofline_seconds", "roofline_bound", "roofline_reason")}


def _step(one: Climbed, request: ClimbRequest, interrupted: bool, reference: accuracy.Reference | None) -> LadderStep:
    reason = one.reason or (INTERRUPTED if interrupted and not one.seconds else None)
    step = LadderStep(
        one.row.name, one.row.removed, lines_changed(one.row, request.device), one.row in PEERS, reason=reason
    )
    if one.reason:
        return step
    return dataclasses.replace(
        step,
        seconds=[*one.seconds],
        rounds=[*one.rounds],
        cold_seconds=one.cold_seconds,
        test_accuracy_fraction=[*one.accuracies],
        accuracy_p=_accuracy_p(one.accuracies, reference) if one.seconds else None,
    )


def _reference(images: Images) -> accuracy.Reference | None:
    """The accuracies of one epoch of the reference on these images; None where there are none."""
    try:
        reference = accuracy.read_reference(images.name, images.sha256, HARNESS / accuracy.REFERENCE_FOLDER)
    except BenchError:
        return None
    return reference if reference.epochs == 1 else None


def _accuracy_p(accuracies: list[float], reference: accuracy.Reference | None) -> float | None:
    return accuracy.judge(accuracies, reference, accuracy.AccuracyRule()).p if reference else None

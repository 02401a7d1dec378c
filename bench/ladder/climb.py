"""The rungs of a device, each in a process of its own, that take turns: an epoch of each, then the next of each.

One rung after the other would not do: on a shared machine, what uses two cores takes half as long again for seconds or
minutes, and whichever rung it meets looks slow. In a round all are met alike, and ratios are taken within rounds.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import interruption
from bench.errors import BenchError
from bench.gate import accuracy
from bench.ladder.model import Ladder, Step
from bench.ladder.table import PEERS, Rung, lines_changed
from bench.measure import facts
from bench.measure.surroundings import Surroundings
from bench.profile.disturbed import joined
from bench.record import files
from bench.workers.process import HARNESS, Process, ask_once, empty_compiler_caches
from bench.workers.rounds import Turn
from fcnn.data import Images

MOST_EPOCHS, ENOUGH_SECONDS = 12, 15.0  # more than were asked for, as long as they are quick
LIMIT_SECONDS = 600.0  # for each answer of a rung; the slowest epoch seen took 9 s, the slowest compiler 60 s
# JAX would take most of a GPU's memory at once, which the other processes need.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
INTERRUPTED = "interrupted"
Say = Callable[[str], None]


@dataclass
class _Climbed:
    """What has come of a rung so far."""

    cold_seconds: float | None = None
    seconds: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    reason: str | None = None

    def wants(self, number: int, epochs: int) -> bool:
        """Whether the rung is in the round of this number."""
        return not self.reason and (number <= epochs or sum(self.seconds) <= ENOUGH_SECONDS)


def climb(
    device: str, chosen: Sequence[Rung], images: Images, request: dict[str, str], epochs: int, say: Say
) -> Ladder:
    """All rows of a device; a rung that fails or cannot be climbed is kept with its reason.

    After an interruption the ladder has the epochs that were measured by then.

    Args:
        device: Its name.
        chosen: Rows in the order in which they are shown.
        images: That the processes load as well, by `request`.
        request: See `bench.workers.images.requested`.
        epochs: Fewest epochs a rung, each of a fresh training.
        say: Told what is under way.

    Raises:
        BenchError: The floor could not be measured.
        KeyboardInterrupt: Nothing was measured by then.
    """
    request = {**request, "device": device}
    machine, software = facts.machine().label, facts.environment([device])["software"]
    climbed = {rung.name: _Climbed(reason=rung.why_not()) for rung in chosen}
    disturbances: dict[str, str] = {}
    say(f"{device}: floor")
    with files.scratch() as folder, _watched("floor", disturbances), interruption.allowed():
        floor = ask_once("ladder_bound", LIMIT_SECONDS, "it", {"TMPDIR": str(folder)}, **request)
    interrupted = False
    try:
        with interruption.allowed():
            _measure(climbed, request, epochs, disturbances, say)
    except KeyboardInterrupt:
        if not any(one.accuracies for one in climbed.values()):
            raise
        interrupted = True
    for one in climbed.values():
        if interrupted and not one.seconds:
            one.reason = one.reason or INTERRUPTED
    return Ladder(
        device=device,
        machine=machine,
        dataset=images.label,
        torch=software.get("torch") or "unknown",
        floor_seconds=floor["seconds"],
        steps=[_step(rung, device, climbed[rung.name], images) for rung in chosen],
        disturbed=joined(disturbances),
        interrupted=interrupted,
    )


def _measure(
    climbed: Mapping[str, _Climbed], request: dict[str, str], epochs: int, disturbances: dict[str, str], say: Say
) -> None:
    """Starts every rung's process and its first epoch, from cold, one after the other; then the rounds."""
    with contextlib.ExitStack() as stack:
        processes: dict[str, Process] = {}
        with _watched("cold epochs", disturbances):
            for name, rung in climbed.items():
                if rung.reason:
                    continue
                interruption.check()
                say(f"{request['device']}: {name}, from cold")
                with _reason_kept(rung):
                    folder = stack.enter_context(files.scratch())
                    # What a process takes for the system's temporary folder: nothing is left of it when it is killed.
                    variables = {**ENVIRONMENT, **empty_compiler_caches(folder), "TMPDIR": str(folder)}
                    processes[name] = stack.enter_context(Process(None, variables))
                    processes[name].ask("ladder_prepare", LIMIT_SECONDS, **request, rung=name)
                    first = _epoch(name, processes[name], 0)
                    rung.cold_seconds = first["with_all_seconds"]
                    rung.accuracies.append(first["test_accuracy_fraction"])
        with _watched("rounds", disturbances):
            for number in range(1, max(MOST_EPOCHS, epochs) + 1):
                for name, process in processes.items():
                    if climbed[name].wants(number, epochs):
                        interruption.check()
                        say(f"{request['device']}: {name}, epoch {number}")
                        with _reason_kept(climbed[name]):
                            one = _epoch(name, process, number)
                            climbed[name].seconds.append(one["seconds"])
                            climbed[name].accuracies.append(one["test_accuracy_fraction"])


def _epoch(name: str, process: Process, seed: int) -> dict[str, Any]:
    """A rung's turn: an epoch of a fresh training; raises WorkerError."""
    answer: dict[str, Any] = Turn(name, process, "ladder_epoch", {"seed": seed}, LIMIT_SECONDS).take()
    return answer


@contextlib.contextmanager
def _watched(part: str, disturbances: dict[str, str]) -> Iterator[None]:
    """Keeps what went on beside a part of the ladder; ends while the processes are there, whose work is no other's."""
    surroundings = Surroundings()
    try:
        yield
    finally:
        if reason := surroundings.disturbance():
            disturbances[part] = reason


@contextlib.contextmanager
def _reason_kept(climbed: _Climbed) -> Iterator[None]:
    try:
        yield
    except BenchError as error:
        climbed.reason = str(error)


def _step(rung: Rung, device: str, climbed: _Climbed, images: Images) -> Step:
    step = Step(rung.name, rung.removed, lines_changed(rung, device), rung in PEERS, reason=climbed.reason)
    if climbed.reason and climbed.reason != INTERRUPTED:
        return step
    return dataclasses.replace(
        step,
        seconds=climbed.seconds,
        cold_seconds=climbed.cold_seconds,
        test_accuracy_fraction=climbed.accuracies,
        accuracy_p=_accuracy_p(climbed.accuracies, images) if climbed.seconds else None,
    )


def _accuracy_p(accuracies: list[float], images: Images) -> float | None:
    """Against the reference's distribution of one epoch on these images; None where there is none."""
    try:
        reference = accuracy.read_reference(images.name, images.sha256, HARNESS / accuracy.REFERENCE_FOLDER)
    except accuracy.ReferenceError:
        return None
    return accuracy.judge(accuracies, reference, accuracy.Rule()).p if reference.epochs == 1 else None

"""The rungs of a device, each in a process of its own, that take turns: an epoch of each, then the next of each.

One rung after the other would not do: on a shared machine, what uses two cores takes half as long again for seconds or
minutes, and whichever rung it meets looks slow. In a round all are met alike, and ratios are taken within rounds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gate import accuracy
from bench.ladder.show import Ladder, Step
from bench.ladder.table import PEERS, Rung, lines_changed
from bench.measure import facts
from bench.suite.fresh import HARNESS, Conversation, FreshError, ask, empty_compiler_caches
from fcnn.data import Images

MOST_EPOCHS, ENOUGH_SECONDS = 12, 15.0  # more than were asked for, as long as they are quick
CHILD = "bench.ladder.child"
# JAX would take most of a GPU's memory at once, which the other processes need.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


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
    device: str,
    chosen: Sequence[Rung],
    images: Images,
    request: dict[str, str],
    epochs: int,
    say: Callable[[str], None],
) -> Ladder:
    """All rows of a device; a rung that fails or cannot be climbed is kept with its reason.

    Args:
        device: Its name.
        chosen: Rows in the order in which they are shown.
        images: That the processes load as well, by `request`.
        request: See `bench.suite.fresh.requested`.
        epochs: Fewest epochs a rung, each of a fresh training.
        say: Told what is under way.

    Raises:
        FreshError: The floor could not be measured.
    """
    say("floor")
    floor = ask(CHILD, {**request, "device": device, "name": "floor"})
    found = {rung.name: _Climbed(reason=rung.why_not()) for rung in chosen}
    with contextlib.ExitStack() as stack:
        processes: dict[str, Conversation] = {}
        for name in found:
            if found[name].reason:
                continue
            say(f"{name}, from cold")
            cache = stack.enter_context(tempfile.TemporaryDirectory(prefix="fcnn-bench-", ignore_cleanup_errors=True))
            variables = ENVIRONMENT | empty_compiler_caches(Path(cache))
            processes[name] = stack.enter_context(Conversation(CHILD, **variables))
            with _reason_kept(found[name]):
                processes[name].ask({**request, "device": device, "name": name})
                first = processes[name].ask({"seed": 0})
                found[name].cold_seconds = first["with_all_seconds"]
                found[name].accuracies.append(first["test_accuracy_fraction"])
        for number in range(1, max(MOST_EPOCHS, epochs) + 1):
            for name, process in processes.items():
                if found[name].wants(number, epochs):
                    say(f"{name}, epoch {number}")
                    with _reason_kept(found[name]):
                        one = process.ask({"seed": number})
                        found[name].seconds.append(one["seconds"])
                        found[name].accuracies.append(one["test_accuracy_fraction"])
    return Ladder(
        device=device,
        machine=facts.machine([device]).label,
        dataset=images.label,
        torch=facts.environment([device])["software"].get("torch", "unknown"),
        floor_seconds=floor["seconds"],
        steps=[_step(rung, device, found[rung.name], images) for rung in chosen],
    )


@contextlib.contextmanager
def _reason_kept(climbed: _Climbed) -> Iterator[None]:
    try:
        yield
    except FreshError as error:
        climbed.reason = str(error)


def _step(rung: Rung, device: str, climbed: _Climbed, images: Images) -> Step:
    step = Step(rung.name, rung.removed, lines_changed(rung, device), rung in PEERS)
    if climbed.reason:
        return dataclasses.replace(step, reason=climbed.reason)
    return dataclasses.replace(
        step,
        seconds=climbed.seconds,
        cold_seconds=climbed.cold_seconds,
        test_accuracy_fraction=climbed.accuracies,
        accuracy_p=_accuracy_p(climbed.accuracies, images),
    )


def _accuracy_p(found: list[float], images: Images) -> float | None:
    """Against the reference's distribution of one epoch on these images; None where there is none."""
    try:
        reference = accuracy.read_reference(images.name, images.sha256, HARNESS / accuracy.REFERENCE_FOLDER)
    except accuracy.ReferenceError:
        return None
    return accuracy.judge(found, reference, accuracy.Rule()).p if reference.epochs == 1 else None

"""A whole check: the gates that were asked for, one after the other, and what is missing where it ends before."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import interruption
from bench.axes.case import Case
from bench.gate import counts
from bench.gate.outcome import ERROR, Check, Outcome
from bench.gate.sides import Environment, Sides, different
from bench.gate.trees import Trees
from bench.measure import facts
from bench.measure.surroundings import Surroundings
from bench.workers.conversation import NoAnswer

ALL_GATES = ("counts", "timing", "accuracy")
Say = Callable[[str], None]
# Of both sides, the request, what is checked and the accepted changes: what it says.
Gate = Callable[[Sides, "Request", Any, list[dict[str, Any]]], Iterator[Outcome]]


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
        environment: The reference's own; None where both sides have this process's.
        device: Where it computes.
        judges_counts: Whether a changed count fails. Of other libraries, other operators are no fault, and are shown.
    """

    root: Path
    ref: str
    timed: Sequence[Case] = ()
    bound_fraction: float = 0.05
    gates: Sequence[str] = ALL_GATES
    data: Path | None = None
    environment: Environment | None = None
    device: str = "cpu"
    judges_counts: bool = True


def run(
    request: Request,
    laid_out: contextlib.AbstractContextManager[Trees],
    gates: Mapping[str, Gate],
    subject: Any,
    called: str,
    sides_of: Callable[[str, Trees], contextlib.AbstractContextManager[Sides]],
    say: Say,
) -> Check:
    """Runs the gates; interrupted, it says which are missing. Raises BenchError for what the user can mend.

    Args:
        request: What to check.
        laid_out: Both programs.
        gates: By name, in their order.
        subject: What each of them is given: the images, or a program of the user's own.
        called: What it is called.
        sides_of: A gate's sides.
        say: Tells which gate runs.
    """
    begin = time.monotonic()
    accepted = counts.read_accepted(request.root / counts.ACCEPTED_FILE)
    label, around = facts.machine().label, Surroundings(request.device)
    outcomes: list[Outcome] = []
    differing: list[tuple[str, str, str]] = []
    with laid_out as programs, missing_noted(outcomes, request):
        for gate in (gate for gate in gates if gate in request.gates):
            say(gate)
            with sides_of(gate, programs) as of:
                differing = differing or (different(of, request.environment) if of.apart else [])
                for outcome in gates[gate](of, request, subject, accepted):
                    outcomes.append(outcome)
    beside, seconds = around.disturbance(), time.monotonic() - begin
    environment = request.environment.words if request.environment else ""
    return Check(
        programs.ref_id, label, called, request.bound_fraction, outcomes, seconds, beside, environment, differing
    )


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
    for gate in (gate for gate in ALL_GATES if gate in request.gates):
        if gate not in begun or gate == begun[-1]:
            outcomes.append(Outcome(gate, "the rest of it" if gate in begun else "all of it", ERROR, reason))

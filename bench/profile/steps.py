"""A case's steps as a profile runs them: so many of them, and with every part as a named range of the trace."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from bench.axes.case import Case
from bench.profile.events import STEP
from bench.workers.workloads import Prepared


class Marks:
    """Puts every step and every part of it into the trace as named ranges.

    `train_step` says when a part is done and not when one begins; their order is known, so a range begins where the one
    before it ends.
    """

    def __init__(self, parts: tuple[str, ...]) -> None:
        self._parts = parts
        self._steps = 0
        self._open: list[Any] = []

    def _begin(self, name: str) -> None:
        named = torch.profiler.record_function(name)
        named.__enter__()
        self._open.append(named)

    def _end(self) -> None:
        self._open.pop().__exit__(None, None, None)

    def __enter__(self) -> Marks:
        self._begin(f"{STEP}#{self._steps}")
        self._begin(self._parts[0])
        return self

    def __call__(self, part: str) -> None:
        """Ends the range of `part` and begins the next."""
        self._end()
        if part == self._parts[-1]:
            self._end()
            self._steps += 1
            self._begin(f"{STEP}#{self._steps}")
        self._begin(self._parts[(self._parts.index(part) + 1) % len(self._parts)])

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._end()


@dataclass(frozen=True)
class MarkedSteps:
    """A case's steps: `run(mark, n)` does n of them; `parts` are those that call `mark`, in order."""

    parts: tuple[str, ...]
    run: Callable[..., object]

    def traced(self, steps: int) -> None:
        """So many steps with their ranges."""
        with Marks(self.parts) as marks:
            self.run(marks, steps)


def steps_of(case: Case, prepared: Prepared) -> MarkedSteps:
    """The steps of a case: of an epoch its first ones, and of the next; a part alone is one range of its own."""
    if prepared.marked is None:
        return MarkedSteps((case.workload,), functools.partial(_repeat_part, case.workload, prepared.repeat))
    if case.workload != "epoch":
        return MarkedSteps(prepared.parts, functools.partial(_repeat, prepared.marked))
    assert prepared.images_per_repetition is not None
    whole = math.ceil(prepared.images_per_repetition / case.batch_size)
    return MarkedSteps(("fetch", *prepared.parts), functools.partial(_begin_epochs, prepared.marked, whole))


def _begin_epochs(marked: Callable[..., object], whole: int, mark: Callable[[str], None], steps: int) -> None:
    while steps > 0:
        marked(mark, steps=min(steps, whole))
        steps -= whole


def _repeat(marked: Callable[..., object], mark: Callable[[str], None], steps: int) -> None:
    for _ in range(steps):
        marked(mark)


def _repeat_part(name: str, repeat: Callable[[], object], mark: Callable[[str], None], steps: int) -> None:
    for _ in range(steps):
        repeat()
        mark(name)

"""Turns: what takes its turn, in which order, and the round that a list of them makes.

One idea for all that is compared: the cases of a run in one process, the two sides of a pair in two, the steps of the
ladder in one each. Whatever changes slowly on the machine meets all of them alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.workers.conversation import LIMIT_SECONDS, WorkerError


@dataclass(frozen=True)
class Turn:
    """Who is asked what when it is its turn.

    Attributes:
        key: What the turn is called.
        stops: Whether the worker is kept from running while it is another's turn, since its threads would spin.
    """

    key: str
    worker: Any
    request: str = "turn"
    arguments: dict[str, Any] = field(default_factory=dict)
    limit_seconds: float = LIMIT_SECONDS
    stops: bool = False

    def take(self) -> Any:
        """The worker's answer; raises TurnFailed."""
        if self.stops:
            self.worker.go_on()
        try:
            return self.worker.ask(self.request, self.limit_seconds, **self.arguments)
        except WorkerError as error:
            raise TurnFailed(self.key, error) from error
        finally:
            if self.stops:
                self.worker.stop()


class TurnFailed(WorkerError):
    """A turn that failed.

    Attributes:
        key: Whose turn it was.
        error: Why.
    """

    def __init__(self, key: str, error: WorkerError) -> None:
        super().__init__(str(error))
        self.key, self.error = key, error


def take(turns: Sequence[Turn]) -> list[Any]:
    """The answers of all, one turn after the other; raises TurnFailed."""
    return [turn.take() for turn in turns]


def shuffled(keys: Sequence[str], rng: random.Random, kinds: Sequence[str] | None = None) -> list[str]:
    """An order by chance, in which keys of a kind stay together: a device that idles lowers its clocks.

    Args:
        keys: What is to be ordered.
        rng: Chance.
        kinds: The kind of each key; one for all if there are none.
    """
    kinds = kinds or [""] * len(keys)
    order = list(dict.fromkeys(kinds))
    rng.shuffle(order)
    ordered = []
    for kind in order:
        members = [key for key, its in zip(keys, kinds, strict=True) if its == kind]
        rng.shuffle(members)
        ordered += members
    return ordered

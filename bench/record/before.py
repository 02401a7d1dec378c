"""What was known of a case before its run: from earlier runs of the machine, and from its newest ladder."""

from __future__ import annotations

from dataclasses import dataclass

from bench.record.kinds import PositiveFloat, PositiveInt, Text


@dataclass(frozen=True)
class Earlier:
    """What earlier runs of this machine saw of a case, on the same images and under the same timing rules.

    Attributes:
        runs: How many.
        lowest_seconds: Of their times of a repetition.
        highest_seconds: The same.
    """

    runs: PositiveInt
    lowest_seconds: PositiveFloat
    highest_seconds: PositiveFloat


@dataclass(frozen=True)
class EarlierLadder:
    """What this machine's newest ladder made of the same epoch, with the same images and torch.

    Attributes:
        best: The fastest step of those that learn as well as the tutorial.
        times_as_fast: As the tutorial, which is this epoch.
        gains: The largest of single changes, in their order: how many times as fast as the fastest step before it.
    """

    best: Text
    times_as_fast: PositiveFloat
    gains: dict[Text, PositiveFloat]

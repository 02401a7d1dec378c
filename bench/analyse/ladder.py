"""What came of a ladder: plain data, in SI units. `None` means not measured, never 0."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.analyse.statistics import Summary, summarise
from bench.errors import USAGE, BenchError
from bench.record import files
from bench.record.typed import converted

MOST_GAINS, LEAST_GAIN = 3, 1.1
LADDER_FILE = "ladder.json"


@dataclass(frozen=True)
class LadderStep:
    """What came of a row.

    Attributes:
        seconds: Epochs, each of a fresh training, one per round; empty where there is a `reason`.
        rounds: The number of the round that each of them is of. Round 0 is none: every step is then timed right after
            its epoch from cold, so that a ladder that is ended before the first round has a number for it.
        cold_seconds: The first epoch of a fresh process, with all that it prepares and compiles.
        accuracy_p: The probability of a mean accuracy so far from the reference's, were they of one distribution.
        lines: Lines of its function that the one before does not have; None for the first and for peers.
        reason: Why it could not be climbed; None if it was.
    """

    name: str
    removed: str
    lines: int | None
    is_peer: bool
    seconds: list[float] = field(default_factory=list)
    cold_seconds: float | None = None
    test_accuracy_fraction: list[float] = field(default_factory=list)
    accuracy_p: float | None = None
    reason: str | None = None
    rounds: list[int] = field(default_factory=list)

    @functools.cached_property
    def summary(self) -> Summary | None:
        """Seconds per epoch."""
        return summarise(self.seconds) if self.seconds else None

    @property
    def median(self) -> float | None:
        """Seconds per epoch."""
        return self.summary.time if self.summary else None

    def times(self, other: LadderStep) -> float | None:
        """How many times as long as this the other takes: the median over the rounds that both were in.

        Where they were in none together, that of their epochs in round 0, which were minutes apart.
        """
        ours, theirs = self._by_round(), other._by_round()
        both = ours.keys() & theirs.keys()
        ratios = [theirs[number] / ours[number] for number in both - {0} or both]
        return statistics.median(ratios) if ratios else None

    def _by_round(self) -> dict[int, float]:
        return dict(zip(self.rounds or itertools.count(1), self.seconds, strict=False))


@dataclass(frozen=True)
class Ladder:
    """All rows and the roofline bound of a device, of one run on one machine.

    Attributes:
        roofline_seconds: The least that an epoch can take here; None where it could not be measured.
        roofline_bound: What sets it, as `bench.analyse.roofline.Roofline.bound` has it.
        roofline_reason: What is not known of the roofline bound, and why; None if all is.
        disturbed: What went on beside it, so that the times are not the steps' own; None if nothing did.
        interrupted: Whether it was ended early: fewer rounds than were asked for, or steps that had no turn.
    """

    device: str
    machine: str
    dataset: str
    torch: str
    roofline_seconds: float | None
    steps: list[LadderStep]
    disturbed: str | None = None
    interrupted: bool = False
    roofline_bound: str | None = None
    roofline_reason: str | None = None

    @property
    def first(self) -> LadderStep:
        """The tutorial."""
        return self.steps[0]

    @functools.cached_property
    def judged(self) -> bool:
        """Whether there is a reference distribution of accuracies for these images."""
        return any(step.accuracy_p is not None for step in self.steps)

    @functools.cached_property
    def best(self) -> LadderStep:
        """The fastest step that is fit."""
        fit = [step for step in self.steps if self.fit(step)]
        return min(fit or [self.first], key=lambda step: step.median or float("inf"))

    @property
    def largest_gains(self) -> list[tuple[LadderStep, float]]:
        """The changes that made an epoch the most times as fast as the fastest step before, in their order."""
        gains, fastest = list[tuple[LadderStep, float]](), self.first
        for step in self.steps[1:]:
            gain = step.times(fastest) if self.fit(step) else None
            if gain is not None and gain >= LEAST_GAIN:
                gains.append((step, gain))
                fastest = step
        most = sorted((gain for _, gain in gains), reverse=True)[:MOST_GAINS]
        return [(step, gain) for step, gain in gains if gain in most]

    def fit(self, step: LadderStep) -> bool:
        """Whether the step has a time, and the tutorial's accuracy, if that could be judged; a peer is none."""
        return bool(step.seconds) and not step.is_peer and (same_accuracy(step) or not self.judged)


def same_accuracy(step: LadderStep) -> bool:
    """Whether the accuracies may be of the reference's distribution; what is not known does not pass."""
    return step.accuracy_p is not None and step.accuracy_p > 0.001


@dataclass(frozen=True)
class Kept:
    """What `ladder.json` holds.

    Attributes:
        asked: `rungs` (the steps), `device` and `epochs` as the command line said, the devices those that are here.
        identity: What `bench.ladder.kept.SAME` names.
        ladders: By device; of a device that was not begun there is none.
        visible_gpus: As `bench.axes.devices.visible_gpus` told it.
    """

    asked: Mapping[str, Any]
    identity: Mapping[str, Any]
    ladders: Mapping[str, Ladder]
    visible_gpus: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to measure."""
        return all(device in self.ladders and not self.ladders[device].interrupted for device in self.asked["device"])


def read_ladders(folder: Path) -> Kept:
    """What the ladder in `folder` has.

    Raises:
        BenchError: There is none, or one that cannot be gone on with.
    """
    path = folder / LADDER_FILE
    data = files.read_json(path)
    try:
        ladders = [converted(Ladder, ladder) for ladder in data["ladders"]]
        by_device = {ladder.device: ladder for ladder in ladders}
        return Kept(data["asked"], data["identity"], by_device, data.get("visible_gpus"))
    except (KeyError, TypeError, ValueError) as error:
        raise BenchError(f"{path}: is no ladder that this program can go on with: {error}", USAGE) from None

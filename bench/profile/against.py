"""Two profiles: which parts and operators account for the difference of their steps."""

from __future__ import annotations

import collections
from dataclasses import dataclass

from bench.profile.model import Profile


@dataclass(frozen=True)
class OperatorRow:
    """One operator of one part: seconds and calls per step on both sides, 0 where a side does not have it."""

    phase: str
    name: str
    a_seconds: float
    b_seconds: float
    a_calls: float
    b_calls: float

    @property
    def difference_seconds(self) -> float:
        """Above 0 where B takes longer."""
        return self.b_seconds - self.a_seconds


@dataclass(frozen=True)
class ProfileDifference:
    """B less A, a step: by part from unprofiled steps, by operator from the traces.

    Attributes:
        a_disturbed: `Profile.disturbed` of A, as `b_disturbed` is of B.
    """

    a: str
    b: str
    a_seconds: float
    b_seconds: float
    phases: list[OperatorRow]
    operators: list[OperatorRow]
    b_agrees: bool = True
    a_disturbed: str | None = None
    b_disturbed: str | None = None


def difference(a: Profile, b: Profile) -> ProfileDifference:
    """The rows with the largest differences first, whichever side is slower."""
    return ProfileDifference(
        a.source,
        b.source,
        a.cost.unprofiled_seconds,
        b.cost.unprofiled_seconds,
        _sorted(_phases(a), _phases(b)),
        _sorted(_operators(a), _operators(b)),
        b.cost.agrees,
        a.disturbed,
        b.disturbed,
    )


Totals = dict[tuple[str, str], tuple[float, float]]


def _phases(profile: Profile) -> Totals:
    return {(phase.phase, ""): (phase.unprofiled_seconds, 0.0) for phase in profile.phases}


def _operators(profile: Profile) -> Totals:
    totals: dict[tuple[str, str], list[float]] = collections.defaultdict(lambda: [0.0, 0.0])
    for operator in profile.operators:
        total = totals[operator.phase, operator.name]
        total[0] += operator.self_seconds
        total[1] += operator.calls
    return {key: (seconds, calls) for key, (seconds, calls) in totals.items()}


def _sorted(a: Totals, b: Totals) -> list[OperatorRow]:
    nothing = (0.0, 0.0)
    rows = [
        OperatorRow(phase, name, a.get((phase, name), nothing)[0], b.get((phase, name), nothing)[0],
            a.get((phase, name), nothing)[1], b.get((phase, name), nothing)[1])
        for phase, name in dict.fromkeys([*a, *b])
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -abs(row.difference_seconds))

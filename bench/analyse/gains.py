"""What would help: what was measured beside a case with one other choice, and by how much that is faster or slower."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.analyse.statistics import Ratio
from bench.axes.axis import AXES, Axis, Value
from bench.axes.workloads import workload
from bench.record.measurement import CaseFields

SLOWEST_FEED = "loader"  # the tutorial's, from which one changes, and to which nobody does to be faster


@dataclass(frozen=True)
class Gain:
    """One other choice.

    Attributes:
        field: The axis's.
        choice: Made there instead.
        id: Of the case that has it.
        ratio: How many times as fast that is: above 1, it helps.
        saved_seconds: What it takes off a repetition; below 0, what it adds.
    """

    field: str
    choice: Value
    id: str
    ratio: Ratio
    saved_seconds: float


@functools.cache
def changes(case: CaseFields) -> Sequence[tuple[Axis, Sequence[CaseFields]]]:
    """By axis, the cases that compute the same in another way, or get their images from elsewhere."""
    axes = [axis for axis in AXES if axis.rows and (axis.varies_step or _feeds(axis, case))]
    return [
        (
            axis,
            [
                dataclasses.replace(case, **{axis.field: choice})  # type: ignore[arg-type]
                for choice in axis.rows or ()
                if choice not in (getattr(case, axis.field), SLOWEST_FEED)
            ],
        )
        for axis in axes
    ]


def _feeds(axis: Axis, case: CaseFields) -> bool:
    return axis.field == "feed" and (workload(case.workload).repetition != "step" or case.device != "cpu")


def gains(
    case: CaseFields,
    seconds: float,
    others: Mapping[CaseFields, str],
    times_as_fast: Callable[[CaseFields], Ratio | None],
) -> tuple[Gain, ...]:
    """What one change gains, the most first.

    Args:
        case: What is to be faster.
        seconds: Its time.
        others: The ids of the measured cases.
        times_as_fast: How many times as fast another case is; None where that must not be said.
    """
    choices = [
        Gain(axis.field, getattr(other, axis.field), others[other], ratio, seconds * (1 - 1 / ratio.value))
        for axis, possible in changes(case)
        for other in possible
        if other in others and (ratio := times_as_fast(other))
    ]
    return tuple(sorted(choices, key=lambda gain: -gain.ratio.value))

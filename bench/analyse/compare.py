"""Two records side by side: like with like, or refused.

What one run can promise is a ratio within its rounds: the machine of another day is slower or faster as a whole, by
more than any interval of one run says. So a case is judged by how its ratio to a base case has changed from the one
record to the other, and how the runs differ as a whole is said apart, without a verdict.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analyse.levels import Estimate, difference, ratio_of, rounds_of, summary_of, time_of
from bench.analyse.statistics import Ratio, Summary
from bench.analyse.trust import judged, objections
from bench.record.model import Measurement, Record

# What must be the same for two records to be compared at all. Machines may differ: that is what one compares.
MUST_MATCH = (
    "timing_rule_version",
    "dataset.sha256",
    "environment.settings.flush_denormal",
    "environment.settings.cudnn_benchmark",
    "environment.settings.deterministic_algorithms",
    "environment.settings.garbage_collector_in_timed_blocks",
)
BASE = "the base of the others"


@dataclass(frozen=True)
class Row:
    """A case in both records.

    Attributes:
        ratio: B's time over A's, each as a multiple of its record's base case; None with the `reason` why it is not
            judged.
        base_id: That case; None where there is none.
    """

    id: str
    a: Summary | None
    b: Summary | None
    ratio: Ratio | None
    reason: str | None
    base_id: str | None = None

    @property
    def verdict(self) -> str:
        """What the interval says, in a few words."""
        if self.ratio is None:
            return self.reason or "-"
        if not self.ratio.clear:
            return "no clear difference"
        return "B is slower" if self.ratio.value > 1 else "B is faster"


def mismatch(a: Record, b: Record) -> str | None:
    """Why the records may not be compared, naming the field and both values; None if they may."""
    for name in MUST_MATCH:
        values = [_field(record, name) for record in (a, b)]
        if values[0] != values[1]:
            shown = [record.dataset.label if name.startswith("dataset") else value
                     for record, value in zip((a, b), values, strict=True)]  # fmt: skip
            return f"they differ in {name}: {shown[0]} against {shown[1]}"
    return None


def _field(record: Record, name: str) -> object:
    value: object = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    return value


@dataclass(frozen=True)
class _Side:
    """One record's measurements by id."""

    record: Record
    by_id: dict[str, Measurement]

    @classmethod
    def of(cls, record: Record) -> _Side:
        found = judged(record)
        return cls(found, {m.id: m for m in found.measurements})

    def group(self, id: str) -> str:
        """The group whose rounds a case is in."""
        return rounds_of(self.record)[self.by_id[id].rounds[0]].group

    def relative(self, id: str, base: str) -> Estimate | None:
        """A case's time over the base's."""
        return ratio_of(self.by_id[id], self.by_id[base], self.record)

    def summary(self, id: str) -> Summary | None:
        """A case's statistics; None if it is not there."""
        return summary_of(self.by_id[id], self.record) if id in self.by_id else None


def compare(a: Record, b: Record) -> list[Row]:
    """A row for every case of either record, in A's order and then B's.

    Raises:
        ValueError: The records must not be compared; the message says why.
    """
    if reason := mismatch(a, b):
        raise ValueError(reason)
    left, right = _Side.of(a), _Side.of(b)
    ids = list(dict.fromkeys([*left.by_id, *right.by_id]))
    reasons = {id: _why_not(id, left, right) for id in ids}
    bases: dict[str, str] = {}
    for id in sorted((id for id in ids if not reasons[id]), key=_plainness(left)):
        bases.setdefault(left.group(id), id)
    return [_row(id, left, right, reasons[id], bases) for id in ids]


def _plainness(side: _Side) -> Callable[[str], tuple[bool, ...]]:
    """Sorts the plainest case first: eager fp32 with plain Adam, the step, at batch 64."""

    def key(id: str) -> tuple[bool, ...]:
        case = side.by_id[id].case
        return (
            case.device != "cpu",
            case.workload != "step",
            case.batch_size != 64,
            case.precision != "fp32",
            case.compiler != "off",
            case.optimizer != "adam",
        )

    return key


def _why_not(id: str, left: _Side, right: _Side) -> str | None:
    for name, side in (("A", left), ("B", right)):
        if id not in side.by_id:
            return f"not in {name}"
        if names := objections(side.by_id[id]):
            return f"flagged in {name}: {names}"
    return "the cases differ in their threads" if left.by_id[id].case != right.by_id[id].case else None


def _row(id: str, left: _Side, right: _Side, reason: str | None, bases: dict[str, str]) -> Row:
    a, b = left.summary(id), right.summary(id)
    if reason:
        return Row(id, a, b, None, reason)
    base = bases[left.group(id)]
    if id == base:
        return Row(id, a, b, None, BASE, base)
    estimates = [side.relative(id, base) for side in (left, right)]
    if None in estimates:
        return Row(id, a, b, None, f"not measured in the rounds of {base}", base)
    first, second = (estimate for estimate in estimates if estimate)
    return Row(id, a, b, difference(first, second).ratio(), None, base)


def as_a_whole(a: Record, b: Record) -> float | None:
    """B's times over A's, the middle of the cases that both have; None if there are none."""
    left, right = _Side.of(a), _Side.of(b)
    common: Sequence[str] = [id for id in left.by_id if id in right.by_id]
    logs = [time_of(right.by_id[id], right.record).log - time_of(left.by_id[id], left.record).log for id in common]
    return Estimate(statistics.median(logs), 0.0, 1.0, 1).value if logs else None

"""Two records side by side: like with like, or refused."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analyse.statistics import Ratio, Summary, ratio, summarise
from bench.analyse.trust import objections
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


@dataclass(frozen=True)
class Row:
    """A case in both records; `ratio` is B's time over A's, None with the `reason` why it is not judged."""

    id: str
    a: Summary | None
    b: Summary | None
    ratio: Ratio | None
    reason: str | None

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


def compare(a: Record, b: Record) -> list[Row]:
    """A row for every case of either record, in A's order and then B's.

    Raises:
        ValueError: The records must not be compared; the message says why.
    """
    if reason := mismatch(a, b):
        raise ValueError(reason)
    left, right = ({m.id: m for m in record.measurements} for record in (a, b))
    return [_row(id, left.get(id), right.get(id)) for id in dict.fromkeys([*left, *right])]


def _row(id: str, a: Measurement | None, b: Measurement | None) -> Row:
    summaries = [summarise(m.samples_seconds) if m else None for m in (a, b)]
    reason = None
    for name, measurement in (("A", a), ("B", b)):
        if measurement is None:
            reason = reason or f"not in {name}"
        elif names := objections(measurement):
            reason = reason or f"flagged in {name}: {names}"
    if a and b and a.case != b.case:
        reason = reason or "the cases differ in their threads"
    left, right = summaries
    return Row(id, left, right, None if reason or not (left and right) else ratio(right, left), reason)

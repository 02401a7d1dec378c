"""Records side by side, one or several a side: like with like, or refused.

What one run can promise is a ratio within its rounds: the machine of another day is slower or faster as a whole, by
more than any interval of one run says. So a case is judged by how its ratio to a base case has changed from the one
side to the other. How the sides differ as a whole is said apart, and only several runs a side have an interval for it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analyse.levels import Estimate, difference, over_runs, ratio_of, rounds_of, time_of
from bench.analyse.statistics import Ratio
from bench.analyse.trust import judged, objections
from bench.axes.axis import AXES
from bench.record.measurement import Measurement
from bench.record.model import TIMING_RULE_VERSION, Record

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
    """A case on both sides.

    Attributes:
        a: Its time on side A; None where that has none.
        b: The same on side B.
        ratio: B's time over A's, each as a multiple of its runs' base case; None with the `reason` why it is not
            judged.
        base_id: That case; None where there is none.
    """

    id: str
    a: Estimate | None
    b: Estimate | None
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
    if a.timing_rule_version != TIMING_RULE_VERSION:
        return f"they are of timing rules {a.timing_rule_version}, under which two runs differed by more than they said"
    return None


def _field(record: Record, name: str) -> object:
    value: object = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    return value


@dataclass(frozen=True)
class _Run:
    """One record's measurements by id."""

    record: Record
    by_id: dict[str, Measurement]

    @classmethod
    def of(cls, record: Record) -> _Run:
        judged_record = judged(record)
        return cls(judged_record, {m.id: m for m in judged_record.measurements})

    def counts(self, id: str) -> bool:
        """Whether the case is here, and nothing speaks against it."""
        return id in self.by_id and not objections(self.by_id[id])

    def relative(self, id: str, base: str) -> Estimate | None:
        """A case's time over the base's."""
        if not self.counts(id) or not self.counts(base):
            return None
        return ratio_of(self.by_id[id], self.by_id[base], self.record)


@dataclass(frozen=True)
class _Side:
    """The runs of one side."""

    runs: list[_Run]

    @classmethod
    def of(cls, records: Sequence[Record]) -> _Side:
        return cls([_Run.of(record) for record in records])

    def measurements(self, id: str) -> list[Measurement]:
        """The case in every run that has it."""
        return [run.by_id[id] for run in self.runs if id in run.by_id]

    def group(self, id: str) -> str:
        """The group whose rounds a case is in."""
        run = next(run for run in self.runs if run.counts(id))
        return rounds_of(run.record)[run.by_id[id].rounds[0]].group

    def relative(self, id: str, base: str) -> Estimate | None:
        """A case's time over the base's."""
        ratios = [one for run in self.runs if (one := run.relative(id, base))]
        return over_runs(ratios) if ratios else None

    def time(self, id: str) -> Estimate | None:
        """A case's time; None if it is not there."""
        times = [time_of(run.by_id[id], run.record) for run in self.runs if id in run.by_id]
        return over_runs(times) if times else None

    def why_not(self, name: str, id: str) -> str | None:
        """Why the case is not judged on this side, which is called `name`."""
        if not (measurements := self.measurements(id)):
            return f"not in {name}"
        if not any(run.counts(id) for run in self.runs):
            return f"flagged in {name}: {', '.join(dict.fromkeys(objections(m) or '' for m in measurements))}"
        return None

    def wholes(self, ids: Sequence[str], reference: _Run) -> list[float]:
        """How much longer each run takes than `reference`, the middle of the cases, as a logarithm."""

        def level(run: _Run, id: str) -> float:
            return time_of(run.by_id[id], run.record).log

        return [statistics.median(level(run, id) - level(reference, id) for id in ids) for run in self.runs]


def compare(a: Sequence[Record], b: Sequence[Record]) -> list[Row]:
    """A row for every case of either side, in A's order and then B's.

    Args:
        a: The runs of one side, of one machine.
        b: Those of the other.

    Raises:
        ValueError: The records must not be compared; the message says why.
    """
    for side in (a, b):
        if len(machines := {record.machine.label for record in side}) > 1:
            raise ValueError(f"a side has runs of several machines: {' and '.join(sorted(machines))}")
    for record in (*a[1:], *b):
        if reason := mismatch(a[0], record):
            raise ValueError(reason)
    left, right = _Side.of(a), _Side.of(b)
    ids = list(dict.fromkeys(id for side in (left, right) for run in side.runs for id in run.by_id))
    reasons = {id: _why_not(id, left, right) for id in ids}
    bases: dict[str, str] = {}
    for id in sorted((id for id in ids if not reasons[id]), key=_plainness(left)):
        bases.setdefault(left.group(id), id)
    return [_row(id, left, right, reasons[id], bases) for id in ids]


def _plainness(side: _Side) -> Callable[[str], tuple[bool, ...]]:
    """Sorts the plainest case first: on the CPU, and then what is the reference's choice on the most axes, in order."""

    def key(id: str) -> tuple[bool, ...]:
        case = side.measurements(id)[0].case
        return (case.device != "cpu", *(getattr(case, axis.field) != axis.default for axis in AXES if axis.default))

    return key


def _why_not(id: str, left: _Side, right: _Side) -> str | None:
    if reason := left.why_not("A", id) or right.why_not("B", id):
        return reason
    cases = {m.case for side in (left, right) for m in side.measurements(id)}
    return "the cases differ in their threads" if len(cases) > 1 else None


def _row(id: str, left: _Side, right: _Side, reason: str | None, bases: dict[str, str]) -> Row:
    a, b = left.time(id), right.time(id)
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


def as_a_whole(a: Sequence[Record], b: Sequence[Record]) -> Ratio | None:
    """B's times over A's, the middle of the cases that all runs have; None if there are none.

    The interval is over runs, by Welch, and needs two of a side: the machine of another day is part of it.
    """
    left, right = _Side.of(a), _Side.of(b)
    runs = [*left.runs, *right.runs]
    if not (common := [id for id in runs[0].by_id if all(id in run.by_id for run in runs)]):
        return None
    # One number a run states no error of itself.
    first, second = (
        over_runs([Estimate(log, math.inf, 1.0, 1) for log in side.wholes(common, runs[0])]) for side in (left, right)
    )
    return difference(first, second).ratio()


def took_turns(a: Sequence[Record], b: Sequence[Record]) -> bool:
    """Whether runs of each side came after some of the other, so that no side has the machine of one day to itself."""
    first, second = ([record.created_utc for record in side] for side in (a, b))
    return max(first) > min(second) and max(second) > min(first)

"""Records side by side, one or several a side: like with like, or refused.

What one run can promise is a ratio within its rounds: the machine of another day is slower or faster as a whole, by
more than any interval of one run says. So a case is judged by how much more its time has changed from the one side to
the other than those of the cases that took turns with it. How the sides differ as a whole is said apart, and only
several runs a side have an interval for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.analyse.levels import Estimate, Level, beside, difference, levels_in, over_runs, time_of
from bench.analyse.pace import apart_from_each_other
from bench.analyse.rounds import counting, rounds_of
from bench.analyse.statistics import Ratio, middle_mean
from bench.analyse.trust import judged, objections
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
ALONE = "no other case took turns with it"
OTHERS_BARRED = "nothing in its rounds to judge it by"
FEW = 3  # others, of which one may have moved without moving their middle


@dataclass(frozen=True)
class Row:
    """A case on both sides.

    Attributes:
        a: Its time on side A; None where that has none.
        b: The same on side B.
        ratio: How many times as long it takes in B, beside the middle of the other cases of its rounds; None with the
            `reason` why it is not judged.
        others: How many other cases it is judged beside. Of fewer than `FEW`, either side may be the one that changed.
        flags: The names of those that keep it from being judged, of either side.
    """

    id: str
    a: Estimate | None
    b: Estimate | None
    ratio: Ratio | None
    reason: str | None
    others: int = 0
    flags: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """What the interval says, in a few words."""
        if self.ratio is None:
            return self.reason or "-"
        if not self.ratio.clear:
            return "no clear difference"
        return "B is slower" if self.ratio.value > 1 else "B is faster"


def other_programs(records: Sequence[Record]) -> str | None:
    """Why records are not of one program, naming those of the user's own by their files; None if they are."""
    names = dict.fromkeys(Path(r.program.file).name if r.program else "the reference" for r in records)
    return f"these are of different programs: {' and '.join(names)}" if len(names) > 1 else None


def mismatch(a: Record, b: Record) -> str | None:
    """Why the records may not be compared, naming the field and both values; None if they may."""
    if reason := other_programs([a, b]):
        return reason
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
    _levels: dict[frozenset[int], dict[str, Level]] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record) -> _Run:
        judged_record = judged(record)
        return cls(judged_record, {m.id: m for m in judged_record.measurements})

    def counts(self, id: str) -> bool:
        """Whether the case is here, and nothing speaks against it."""
        return id in self.by_id and not objections(self.by_id[id], to_other_runs=True)

    def group(self, id: str) -> str:
        """The group whose rounds a case is in."""
        return rounds_of(self.record)[self.by_id[id].rounds[0]].group

    def time(self, id: str) -> Estimate:
        """A case's time."""
        return time_of(self.by_id[id], self.record)

    def relative(self, id: str, others: Sequence[str], usual: Mapping[str, float]) -> Estimate | None:
        """How much longer than usual a case took beside others; None if none of them was in its rounds."""
        if not self.counts(id):
            return None
        rounds = frozenset(counting(self.by_id[id].rounds, self.record))
        if rounds not in self._levels:
            self._levels[rounds] = levels_in(rounds, self.record)
        levels = self._levels[rounds]
        if not (there := [other for other in others if other in levels and self.counts(other)]):
            return None
        return beside(levels[id], [levels[other] for other in there], usual[id], [usual[other] for other in there])


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

    def first(self, id: str) -> _Run:
        """The first run in which the case counts."""
        return next(run for run in self.runs if run.counts(id))

    def has_others(self, id: str) -> bool:
        """Whether other cases were in a case's rounds, whatever is said of them."""
        return any(run.group(one) == run.group(id) for run in self.runs if id in run.by_id for one in run.by_id
                   if one != id)  # fmt: skip

    def relative(self, id: str, others: Sequence[str], usual: Mapping[str, float]) -> Estimate | None:
        """How much longer than usual a case took beside others."""
        runs = [one for run in self.runs if (one := run.relative(id, others, usual))]
        return over_runs(runs) if runs else None

    def time(self, id: str) -> Estimate | None:
        """A case's time; None if it is not there."""
        times = [run.time(id) for run in self.runs if id in run.by_id]
        return over_runs(times) if times else None

    def why_not(self, name: str, id: str) -> str | None:
        """Why the case is not judged on this side, which is called `name`."""
        if not self.measurements(id):
            return f"not in {name}"
        if flags := self.flags(id):
            return f"flagged in {name}: {', '.join(flags)}"
        return None

    def flags(self, id: str) -> tuple[str, ...]:
        """The names of what keeps a case from counting in any run of this side; empty if it counts in one."""
        if any(run.counts(id) for run in self.runs):
            return ()
        return tuple(dict.fromkeys(name for m in self.measurements(id) for name in objections(m, to_other_runs=True)))

    def wholes(self, ids: Sequence[str], reference: _Run) -> list[float]:
        """How much longer each run takes than `reference`, the middle of the cases, as a logarithm."""
        return [middle_mean([run.time(id).log - reference.time(id).log for id in ids]) for run in self.runs]


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
    usual = _usual([id for id in ids if not reasons[id]], left)
    everywhere = [id for id in usual if all(run.counts(id) for run in (*left.runs, *right.runs))]
    rows = []
    for id in ids:
        others: list[str] = []
        if id in usual and len(others := _others(id, everywhere, left)) < FEW:
            others = _others(id, list(usual), left)
        rows.append(_row(id, left, right, reasons[id], others, usual))
    return rows


def _usual(ids: Sequence[str], side: _Side) -> dict[str, float]:
    """The logarithm of the time that each case usually takes: in one run, and in others for what did not count there.

    Of another run less what it takes longer as a whole: it may be the machine of another day.
    """
    runs = sorted(side.runs, key=lambda run: sum(run.counts(id) for id in ids), reverse=True)
    usual: dict[str, float] = {}
    for run in runs:
        logs = {id: run.time(id).log for id in ids if run.counts(id)}
        moved = [log - usual[id] for id, log in logs.items() if id in usual]
        later = middle_mean(moved) if moved else 0.0
        usual = {id: log - later for id, log in logs.items()} | usual
    return usual


def _others(id: str, ids: Sequence[str], side: _Side) -> list[str]:
    """The cases that a case is judged beside: those of its rounds, and on the CPU where it has some.

    Beside the others of a GPU alone, what makes all of them slower would be no difference.
    """
    group = [one for one in ids if side.first(one).group(one) == side.first(id).group(id)]
    on_cpu = [one for one in group if side.measurements(one)[0].case.device == "cpu"]
    return [one for one in on_cpu or group if one != id]


def _why_not(id: str, left: _Side, right: _Side) -> str | None:
    if reason := left.why_not("A", id) or right.why_not("B", id):
        return reason
    cases = {m.case for side in (left, right) for m in side.measurements(id)}
    if len(cases) > 1:
        return "the cases differ in their threads"
    if max((case.threads for case in cases if case.device == "cpu"), default=1) < 2:
        return None
    return apart_from_each_other([run.record for side in (left, right) for run in side.runs])


def _row(
    id: str, left: _Side, right: _Side, reason: str | None, others: Sequence[str], usual: Mapping[str, float]
) -> Row:
    a, b = left.time(id), right.time(id)
    if reason:
        return Row(id, a, b, None, reason, flags=left.flags(id) + right.flags(id))
    first, second = (side.relative(id, others, usual) for side in (left, right))
    if first is None or second is None:
        return Row(id, a, b, None, OTHERS_BARRED if left.has_others(id) else ALONE)
    return Row(id, a, b, difference(first, second).ratio(), None, len(others))


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

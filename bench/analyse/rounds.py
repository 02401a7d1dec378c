"""Which rounds of a record count: quiet ones, in which the cores of a team lay near each other, of whole processes."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.once import once_a_record
from bench.analyse.pace import apart, nearest
from bench.analyse.statistics import FEWEST_SAMPLES
from bench.record.measurement import Measurement
from bench.record.model import Record, Round

# Of the rounds; where fewer are undisturbed, all of them count. A process repeats at most half as many as were planned,
# so a third of all is half of the plan. Of eight runs of 18 cases on one thread, beside a process that was busy for 3 s
# of every 6, a bar at a half judged none; with a third, compared with eight quiet runs, 3.1% of 1,088 ratios are called
# different.
QUIET_SHARE = 1 / 3
# Where the host moves the cores, a round is of one kind or the other. Those of the near kind, few as they may be, are
# as good as in a run that has no others, if several processes have them. Of two sets of 22 and 10 quick reports, every
# two of a set compared, 60% of the cases were judged with a third as the bar here as well, and 3.3% of these called
# different; with `FEWEST_SAMPLES` of them, 69% and 3.0%. Of two processes no interval is worth its name:
# epochs of 4.0 and 5.1 s gave 4.6 s (1.0 to 19.8).
FEWEST_PROCESSES = 3
WHOLE_SHARE = 0.5  # of the most rounds that a process has; one with fewer was cut short


@once_a_record
def rounds_of(record: Record) -> dict[int, Round]:
    """The record's rounds by their numbers."""
    return {r.number: r for r in record.rounds}


def counting(numbers: Sequence[int], record: Record, *, team: bool = True) -> set[int]:
    """Which of these rounds count: the undisturbed ones, or all where too few are, of processes that are whole.

    Of those again, for a team, the ones in which its cores lay near, or all where too few are.

    Args:
        numbers: Of the rounds.
        record: Theirs.
        team: Whether it is a team of threads that computes, which minds how far apart the cores lie.
    """
    known = rounds_of(record)
    by_number: dict[int, int] = {}
    for number in numbers:
        by_number[known[number].process] = by_number.get(known[number].process, 0) + 1
    most = max(by_number.values(), default=0)
    whole = [n for n in numbers if by_number[known[n].process] >= WHOLE_SHARE * most]
    enough = QUIET_SHARE * len(whole)
    quiet = [n for n in whole if known[n].disturbed is None]
    kept = quiet if len(quiet) >= enough else whole
    near = [n for n in kept if not apart(known[n].beside, nearest(record))] if team else kept
    of_near, of_kept = ({known[n].process for n in some} for some in (near, kept))
    several = len(of_near) >= min(FEWEST_PROCESSES, len(of_kept))
    return set(near if several and len(near) >= min(FEWEST_SAMPLES, enough) else kept)


def is_team(measurement: Measurement) -> bool:
    """Whether a team of threads computes it, and not one thread or a GPU."""
    return measurement.case.device == "cpu" and measurement.case.threads > 1

"""How fast the machine was in the rounds of a record, by two pieces of work that never change: `bench.measure.pace`."""

from __future__ import annotations

from bench.analyse.once import once_a_record
from bench.analyse.statistics import fastest_quarter
from bench.record.model import Beside, Record, Round

# Times the best of the run, from which on the cores lie apart. On two cores of an EPYC it is 2.7 µs, within 5% in most
# rounds, and 4.4 to 5.1 in nearly all others.
FAR_APART = 1.3


def disturbance(of: Round, record: Record) -> str | None:
    """What disturbed a round, by what its surroundings told or by its pace beside the others'; None if nothing did."""
    return of.disturbed or ("the host had moved the cores apart" if apart(of.beside, nearest(record)) else None)


def apart(beside: Beside, nearest_seconds: float | None) -> bool:
    """Whether the threads of a round took far longer to hand work over than they do at best."""
    team = beside.team_seconds
    return nearest_seconds is not None and team is not None and team > FAR_APART * nearest_seconds


@once_a_record
def nearest(record: Record) -> float | None:
    """What it takes threads to hand work over at best, in seconds; None where there is one thread.

    The mean of the fastest quarter of the rounds: of many threads, the very least may be luck.
    """
    teams = [r.beside.team_seconds for r in record.rounds if r.beside.team_seconds]
    return fastest_quarter(teams) if teams else None


@once_a_record
def core_pace(record: Record) -> float | None:
    """What the calls of operators take one core undisturbed; None in records that do not have it."""
    paces = [r.beside.core_seconds for r in record.rounds if r.beside.core_seconds]
    return fastest_quarter(paces) if paces else None

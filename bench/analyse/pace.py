"""How fast the machine was in the rounds of a record, by two pieces of work that never change: `bench.measure.pace`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analyse.once import once_a_record
from bench.analyse.statistics import fastest_quarter
from bench.record.model import Beside, Record, Round

# Times the best of the run, from which on the cores lie apart. On two cores of an EPYC it is 2.7 µs, within 5% in most
# rounds, and 4.4 to 5.1 in nearly all others.
FAR_APART = 1.3
BEST_SHARE = 0.1


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

    The mean of the fastest tenth of the rounds: of many threads, the very least may be luck.
    """
    teams = sorted(r.beside.team_seconds for r in record.rounds if r.beside.team_seconds)
    best = teams[: max(1, round(BEST_SHARE * len(teams)))]
    return sum(best) / len(best) if best else None


def elsewhere(beside: Beside, record: Record) -> bool:
    """Whether threads now take far longer to hand work over, or far less, than they did at best in a record."""
    best, team = nearest(record), beside.team_seconds
    return best is not None and team is not None and max(best, team) > FAR_APART * min(best, team)


def mostly_apart(rounds: Sequence[Round], record: Record) -> bool:
    """Whether the cores lay apart in most of these rounds."""
    return sum(apart(one.beside, nearest(record)) for one in rounds) > len(rounds) / 2


@once_a_record
def core_pace(record: Record) -> float | None:
    """What the calls of operators take one core undisturbed; None in records that do not have it."""
    paces = [r.beside.core_seconds for r in record.rounds if r.beside.core_seconds]
    return fastest_quarter(paces) if paces else None


def apart_from_each_other(records: Sequence[Record]) -> str | None:
    """That the cores lay near in one run and apart in another, as a reason; None where they did not, or none can tell.

    Other machines, other versions of torch and other teams have paces of their own.
    """
    best = [one for record in records if (one := nearest(record))]
    if not best or len({_team(record) for record in records}) > 1 or max(best) <= FAR_APART * min(best):
        return None
    times = f"{1e6 * max(best):.1f} µs, {1e6 * min(best):.1f} at best"
    return f"in a run the host had the cores apart: handing work over took {times}"


def _team(record: Record) -> tuple[object, ...]:
    threads = max((m.case.threads for m in record.measurements if m.case.device == "cpu"), default=1)
    return record.machine.label, record.environment["software"].get("torch"), threads

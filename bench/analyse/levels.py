"""Estimates over two levels: rounds within processes.

What is estimated is the time that the program takes undisturbed: the mean of the fastest quarter of the
blocks. A neighbour, a scheduler, an interrupt only ever add time, and on shared machines so much of it, for so much of
a run, that a median is theirs as much as the program's. On a 2-core virtual machine beside busy neighbours, eight runs
of 18 cases in 30 s each on one thread: medians of a time moved by 13% from run to run, the fastest quarters by 2%; of
a ratio, by 1.9% and 1.2%. All samples are kept, and the median is reported beside it.

Two processes of one program differ by more than the blocks within one, so blocks are no independent values and
processes are. The standard error is the jackknife's over processes (Tukey, Annals of Mathematical Statistics 29, 1958;
Efron and Stein, Annals of Statistics 9, 1981): how much the estimate moves when each is left out. What a process is
like is part of it, and so is what changes on the machine from one to the next. The levels, and that repetition
belongs to the level that varies most, are those of Kalibera and Jones, Rigorous benchmarking in reasonable time (ISMM
2013). To it comes what no run can see of itself (`RUN_SCATTER`). The interval is Student's.

A ratio is of samples of the same rounds: what moves from round to round meets both sides alike. So is what two runs
are compared by: how a case's time has moved beside the middle of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analyse.once import once_a_record
from bench.analyse.rounds import counting, is_team, rounds_of
from bench.analyse.statistics import (
    FEWEST_SAMPLES,
    Ratio,
    Summary,
    fastest_quarter,
    middle_mean,
    spread,
    student_quantile,
)
from bench.record.measurement import Measurement
from bench.record.model import Record

# By how much runs differ beyond what their processes show, as a fraction: what changes on the machine in minutes. Four
# sets of 8 to 12 runs of 18 cases on a 2-core virtual machine (AMD EPYC), one and two threads, beside quiet and busy
# neighbours: with it 5.5, 6.3, 4.4 and 7.0% of all ratios of two runs are outside the interval of their difference;
# without it 9.0, 8.2, 18.9 and 18.8%. Whether the runs were forked from one process or from one each did not matter so.
RUN_SCATTER = 0.007
MOST_FREEDOM = 1e6


@dataclass(frozen=True)
class Estimate:
    """The logarithm of a time or of a ratio, over processes.

    Attributes:
        log: The estimate.
        error: Its standard error; infinite for one process.
        freedom: The error's degrees of freedom.
        processes: How many.
    """

    log: float
    error: float
    freedom: float
    processes: int

    @property
    def value(self) -> float:
        """The time or the ratio itself."""
        return math.exp(self.log)

    def bounds(self) -> tuple[float | None, float | None]:
        """The interval; (None, None) where there is none."""
        reach = self.reach()
        if not math.isfinite(reach):
            return None, None
        return math.exp(self.log - reach), math.exp(self.log + reach)

    def reach(self) -> float:
        """Half the interval's width, of the logarithm; infinite where there is none."""
        return student_quantile(self.freedom) * self.error

    def ratio(self) -> Ratio:
        """As a ratio with its interval."""
        return Ratio(self.value, *self.bounds())


@dataclass(frozen=True)
class Level:
    """An estimate over processes, before anything is said of its error.

    Attributes:
        log: The estimate.
        without: What it is without each of the processes, in their order; empty for a single one.
        few: Whether a few of the processes decide it.
    """

    log: float
    without: Sequence[float]
    few: bool

    @classmethod
    def of(cls, processes: Sequence[Any], estimate: Callable[[Sequence[Any]], float], *, few: bool) -> Level:
        """By an estimate of what several processes have seen."""
        n = len(processes)
        without = [estimate([*processes[:at], *processes[at + 1 :]]) for at in range(n)] if n > 1 else []
        return cls(estimate(processes), without, few)

    def with_error(self) -> Estimate:
        """With its standard error, as `over_processes` has it."""
        n = max(1, len(self.without))
        if n == 1:
            return Estimate(self.log, math.inf, 1.0, 1)
        variance = float(((np.array(self.without) - np.mean(self.without)) ** 2).sum()) * (n - 1) / n
        within = math.sqrt(variance * ((n + 1) / (n - 1) if self.few else 1))
        error = math.hypot(within, RUN_SCATTER)
        # Satterthwaite's (Biometrics Bulletin 2, 1946), the run's part being known.
        freedom = (n - 1.0) * (error / within) ** 4 if within > 0 else MOST_FREEDOM
        return Estimate(self.log, error, min(freedom, MOST_FREEDOM), n)


def undisturbed(samples: Sequence[float]) -> float:
    """The logarithm of the mean of the fastest quarter; of few samples, the mean of their logarithms."""
    if len(samples) < FEWEST_SAMPLES:
        return math.fsum(map(math.log, samples)) / len(samples)
    return math.log(fastest_quarter(samples))


def over_processes(
    processes: Sequence[Any], estimate: Callable[[Sequence[Any]], float], *, few: bool = False
) -> Estimate:
    """The estimate with its standard error.

    Args:
        processes: What each process has seen.
        estimate: The estimate from what several have seen.
        few: Whether a few of the processes decide the estimate, as they decide which blocks are the fastest. The
            jackknife is then too sure, and its error is taken as (n + 1) / (n - 1) of its square: by simulation, so
            that where processes differ little and where they differ by far more than their blocks, 3 to 7 of 100
            intervals of 95% do not hold.

    Raises:
        ValueError: There is no process.
    """
    if not processes:
        raise ValueError("no process")
    return Level.of(processes, estimate, few=few).with_error()


def difference(a: Estimate, b: Estimate) -> Estimate:
    """What parts two estimates of different runs, b less a; by Welch (Biometrika 34, 1947) and Satterthwaite."""
    error = math.hypot(a.error, b.error)
    parts = sum(e.error**4 / e.freedom for e in (a, b))
    freedom = error**4 / parts if math.isfinite(error) and parts > 0 else min(a.freedom, b.freedom)
    return Estimate(b.log - a.log, error, freedom, min(a.processes, b.processes))


def over_runs(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over runs of one program on one machine.

    Its error is what the runs state of themselves, or, where they scatter by more than that, what their scatter says
    (the scale factor of Birge, Physical Review 40, 1932).
    """
    n = len(estimates)
    if n == 1:
        return estimates[0]
    stated = math.sqrt(sum(e.error**2 for e in estimates)) / n
    logs = [e.log for e in estimates]
    seen = float(np.std(logs, ddof=1)) / math.sqrt(n)
    if seen > stated or not math.isfinite(stated):
        error, freedom = seen, n - 1.0
    else:
        error = stated
        freedom = stated**4 / sum((e.error / n) ** 4 / e.freedom for e in estimates)
    return Estimate(float(np.mean(logs)), error, min(freedom, MOST_FREEDOM), sum(e.processes for e in estimates))


@once_a_record
def by_process(measurement: Measurement, record: Record) -> dict[int, list[float]]:
    """The samples that count, in seconds, by the number of their process."""
    samples: dict[int, list[float]] = {}
    known, kept = rounds_of(record), counting(measurement.rounds, record, team=is_team(measurement))
    for number, seconds in zip(measurement.rounds, measurement.samples_seconds, strict=True):
        if number in kept:
            samples.setdefault(known[number].process, []).append(seconds)
    return samples


@once_a_record
def time_of(measurement: Measurement, record: Record) -> Estimate:
    """The time of a repetition."""
    processes = list(by_process(measurement, record).values())
    return over_processes(processes, _time, few=sum(map(len, processes)) >= FEWEST_SAMPLES)


def _time(processes: Sequence[Sequence[float]]) -> float:
    return undisturbed([seconds for of_process in processes for seconds in of_process])


def summary_of(measurement: Measurement, record: Record) -> Summary:
    """What is reported of a case: its time with the interval over processes, and the spread of all samples."""
    estimate = time_of(measurement, record)
    return spread(measurement.samples_seconds, estimate.value, *estimate.bounds())


def ratio_of(above: Measurement, below: Measurement, record: Record) -> Estimate | None:
    """The time of one case over another's, of the rounds that both were in; None if there are none."""
    other = dict(zip(below.rounds, below.samples_seconds, strict=True))
    shared = {n: s for n, s in zip(above.rounds, above.samples_seconds, strict=True) if n in other}
    known, pairs = rounds_of(record), dict[int, list[tuple[float, float]]]()
    for number in sorted(counting(list(shared), record, team=is_team(above) or is_team(below))):
        pairs.setdefault(known[number].process, []).append((shared[number], other[number]))
    processes = list(pairs.values())
    return over_processes(processes, _log_ratio, few=sum(map(len, processes)) >= FEWEST_SAMPLES) if pairs else None


def levels_in(rounds: Set[int], record: Record) -> dict[str, Level]:
    """The times of the cases that were in all of these rounds, over the same processes, by id."""
    known, levels = rounds_of(record), dict[str, Level]()
    for measurement in record.measurements:
        processes: dict[int, list[float]] = {}
        for number, seconds in zip(measurement.rounds, measurement.samples_seconds, strict=True):
            if number in rounds:
                processes.setdefault(known[number].process, []).append(seconds)
        if sum(map(len, processes.values())) == len(rounds):
            of_each = [processes[process] for process in sorted(processes)]
            levels[measurement.id] = Level.of(of_each, _time, few=len(rounds) >= FEWEST_SAMPLES)
    return levels


def beside(level: Level, others: Sequence[Level], usual: float, usual_of_others: Sequence[float]) -> Estimate:
    """How much longer than usual a case took, beside others of its rounds, all times being logarithms.

    A single case that one takes as the base of all others adds its own scatter to every ratio, and to all of them the
    same way: of ten runs of 18 cases on a noisy 2-core virtual machine, such ratios scattered by 5.4% from run to run,
    and 11.5% of those of two runs were outside the interval of their difference. Beside the middle of the other cases
    it was 2.8%, and 3.6%.

    Args:
        level: The case's time.
        others: Those of the others, over the same processes; at least one.
        usual: What the case takes otherwise, such as in another run.
        usual_of_others: The same of the others.
    """

    def relative(own: float, of_others: Sequence[float]) -> float:
        moved = [log - before for log, before in zip(of_others, usual_of_others, strict=True)]
        return own - usual - middle_mean(moved)

    without = [
        relative(own, [other.without[at] for other in others]) for at, own in enumerate(level.without)
    ]  # the same process is left out everywhere
    return Level(relative(level.log, [other.log for other in others]), without, level.few).with_error()


def _log_ratio(processes: Sequence[Sequence[tuple[float, float]]]) -> float:
    above, below = zip(*(pair for of_process in processes for pair in of_process), strict=True)
    return undisturbed(above) - undisturbed(below)

"""Estimates over rounds and processes: what the rounds give, and how often the intervals hold."""

import dataclasses
import math

import numpy as np
import pytest

from bench.analyse import levels
from bench.analyse.levels import (
    Estimate,
    Level,
    beside,
    difference,
    levels_in,
    over_processes,
    over_runs,
    ratio_of,
    undisturbed,
)
from bench.analyse.rounds import counting
from tests.analyse.synthetic import epoch, made, record, step
from tests.simulations import often, seldom, sizes


def test_of_many_samples_the_fastest_quarter_counts():
    assert undisturbed([1.0, 1.1, 0.9, *[5.0] * 9]) == pytest.approx(math.log(1.0))
    assert undisturbed([2.0] * 100 + [9.0] * 300) == pytest.approx(math.log(2.0))


def test_of_few_samples_all_count():
    assert undisturbed([1.0, math.e**2]) == pytest.approx(1.0)


def test_one_process_gives_an_estimate_without_an_interval():
    found = over_processes([3.0], lambda processes: sum(processes))
    assert (found.value, found.bounds(), found.ratio().low) == (pytest.approx(math.exp(3.0)), (None, None), None)
    with pytest.raises(ValueError, match="no process"):
        over_processes([], sum)


def test_of_a_mean_the_error_is_the_standard_error(monkeypatch):
    monkeypatch.setattr(levels, "RUN_SCATTER", 0.0)
    values = [0.1, 0.2, 0.4, 0.3]
    found = over_processes(values, lambda some: float(np.mean(some)))
    assert found.error == pytest.approx(np.std(values, ddof=1) / 2)
    assert (found.freedom, found.processes) == (3, 4)
    low, high = found.bounds()
    assert math.log(high) - math.log(low) == pytest.approx(2 * 3.1824 * found.error, rel=1e-4)


def test_what_a_run_cannot_see_of_itself_is_added():
    values = [0.1, 0.1, 0.1, 0.1]
    found = over_processes(values, lambda some: float(np.mean(some)))
    assert found.error == levels.RUN_SCATTER
    assert found.reach() == pytest.approx(1.96 * levels.RUN_SCATTER, rel=1e-3)
    spread = over_processes([0.1, 0.2, 0.4, 0.3], lambda some: float(np.mean(some)))
    assert 3 < spread.freedom < 3.1  # hardly more than that of the processes, where they scatter by far more


def test_two_runs_differ_by_welch():
    a, b = Estimate(0.0, 0.01, 7, 8), Estimate(0.05, 0.02, 3, 4)
    found = difference(a, b)
    assert found.log == 0.05
    assert found.error == pytest.approx(math.hypot(0.01, 0.02))
    assert found.freedom == pytest.approx(found.error**4 / (0.01**4 / 7 + 0.02**4 / 3))
    assert difference(a, dataclasses.replace(b, error=math.inf)).bounds() == (None, None)
    assert difference(dataclasses.replace(a, error=0.0), dataclasses.replace(b, error=0.0)).bounds() == (
        pytest.approx(math.exp(0.05)),
        pytest.approx(math.exp(0.05)),
    )


def test_runs_that_agree_have_the_error_that_they_state():
    one = Estimate(0.1, 0.02, 5.0, 6)
    assert over_runs([one]) == one
    found = over_runs([one, dataclasses.replace(one, log=0.101), one, one])
    assert found.log == pytest.approx(0.10025)
    assert (found.error, found.freedom, found.processes) == (pytest.approx(0.01), pytest.approx(20.0), 24)


def test_runs_that_scatter_by_more_than_they_state_have_the_error_of_their_scatter():
    found = over_runs([Estimate(log, 0.001, 5.0, 6) for log in (0.0, 0.1, 0.2)])
    assert (found.error, found.freedom) == (pytest.approx(0.1 / math.sqrt(3)), 2.0)


def test_runs_of_one_process_each_are_told_by_their_scatter_alone():
    found = over_runs([Estimate(log, math.inf, 1.0, 1) for log in (0.0, 0.0, 0.3)])
    assert found.error == pytest.approx(0.1)


def test_a_ratio_is_of_the_rounds_that_both_were_in():
    times = np.zeros((4, 4, 2))
    times[..., 0] = math.log(2.0)
    times[2:] += 3.0  # the machine is another from then on
    found = made(times)
    late = dataclasses.replace(found.measurements[1], rounds=list(range(8, 16)),
                               samples_seconds=found.measurements[1].samples_seconds[8:])  # fmt: skip
    assert ratio_of(found.measurements[0], late, found).value == pytest.approx(2.0)
    assert ratio_of(step(), epoch(), record(step(), epoch())) is None


def test_what_moved_is_told_beside_the_middle_of_the_others():
    times = np.zeros((4, 4, 6))
    times[..., 0] = math.log(2.0) + 0.1
    times[..., 1:] += np.array([0.3, 0.1, 0.1, 0.1, 5.0])  # the machine is slower, and one of the others is another
    kept = made(times)
    first, *others = levels_in(set(range(16)), kept).values()
    moved = beside(first, others, math.log(1.5), [0.2, 0.0, 0.0, 0.0, 0.0])
    assert moved.value == pytest.approx(2.0 / 1.5)
    assert moved.processes == 4
    single = [Level(log, [], few=False) for log in (0.2, 0.0)]
    assert beside(single[0], single[1:], 0.0, [0.0]).bounds() == (None, None)


def test_a_case_that_was_not_in_all_of_the_rounds_is_no_other():
    found = made(np.zeros((4, 4, 3)))
    short = dataclasses.replace(found.measurements[1], rounds=list(range(8)),
                                samples_seconds=found.measurements[1].samples_seconds[:8])  # fmt: skip
    record_of = dataclasses.replace(found, measurements=[found.measurements[0], short, found.measurements[2]])
    assert set(levels_in(set(range(16)), record_of)) == {found.measurements[0].id, found.measurements[2].id}
    assert len(levels_in(set(range(8)), record_of)) == 3


# How often the intervals hold. Seconds of a run are simulated: processes that differ, rounds that wander, neighbours.

PROCESSES, ROUNDS = 8, 10


def processes_differ(rng, cases=2):
    return 0.03 * rng.standard_normal((PROCESSES, 1, cases)) + 0.02 * rng.standard_normal((PROCESSES, ROUNDS, cases))


def drifting(rng, cases=2):
    """The machine gets slower by a tenth; all cases alike, but for a tenth of that."""
    time = np.linspace(0, 1, PROCESSES * ROUNDS).reshape(PROCESSES, ROUNDS, 1)
    return processes_differ(rng, cases) + rng.normal(0.05, 0.05) * time * np.linspace(1.0, 1.1, cases)


def bursts(rng, cases=2):
    """Now and then a neighbour adds half of the time for some rounds, to one case more than to the other."""
    busy = rng.random((PROCESSES, ROUNDS, 1)) < 0.3
    return processes_differ(rng, cases) + busy * rng.exponential(0.3, (PROCESSES, ROUNDS, cases))


def heavy_tails(rng, cases=2):
    return processes_differ(rng, cases) + 0.02 * np.abs(rng.standard_t(2, (PROCESSES, ROUNDS, cases)))


def neighbour(rng, cases=2):
    """One is busy for whole processes."""
    busy = rng.random((PROCESSES, 1, 1)) < 0.4
    return processes_differ(rng, cases) + busy * np.abs(rng.normal(0.2, 0.05, (PROCESSES, ROUNDS, cases)))


def identical(rng, cases=2):
    """Processes that are all alike: the rounds are all that varies."""
    return 0.02 * rng.standard_normal((PROCESSES, ROUNDS, cases))


SCENES = {f.__name__: f for f in (processes_differ, drifting, bursts, heavy_tails, neighbour, identical)}


def shares_outside(scene, pairs):
    """How often zero is outside the interval of a ratio, and of the difference of two runs' ratios."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(2 * pairs):
        kept = made(scene(rng))
        found.append(ratio_of(kept.measurements[0], kept.measurements[1], kept))
    apart = [difference(a, b) for a, b in zip(found[::2], found[1::2], strict=True)]
    return tuple(sum(abs(e.log) > e.reach() for e in estimates) for estimates in (found, apart))


def shares_moved(scene, pairs):
    """How often the first of six cases seems to have moved beside the others from one run to the next."""
    rng, moved = np.random.default_rng(2), []
    for _ in range(2 * pairs):
        kept = made(scene(rng, 6))
        first, *others = levels_in(counting(kept.measurements[0].rounds, kept), kept).values()
        moved.append(beside(first, others, 0.0, [0.0] * 5))
    apart = [difference(a, b) for a, b in zip(moved[::2], moved[1::2], strict=True)]
    return sum(abs(e.log) > e.reach() for e in apart)


@sizes(40, 2000)
@pytest.mark.parametrize("name", SCENES)
def test_intervals_hold_in_93_to_97_of_100(name, trials, record_property, monkeypatch):
    monkeypatch.setattr(levels, "RUN_SCATTER", 0.0)  # these runs have nothing but their processes
    alone, apart = shares_outside(SCENES[name], trials)
    record_property("outside", alone / (2 * trials))
    record_property("pairs_outside", apart / trials)
    for count, of in ((alone, 2 * trials), (apart, trials)):
        assert seldom(count, of, 0.07)
        assert often(count, of, 0.03)


@sizes(40, 2000)
@pytest.mark.parametrize("name", SCENES)
def test_two_runs_of_one_program_seldom_differ(name, trials, record_property, monkeypatch):
    monkeypatch.setattr(levels, "RUN_SCATTER", 0.0)
    moved = shares_moved(SCENES[name], trials)
    record_property("moved", moved / trials)
    assert seldom(moved, trials, 0.07)
    assert often(moved, trials, 0.02)

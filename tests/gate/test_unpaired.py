"""Error rates of the decision against records, on simulated processes."""

import math

import numpy as np
import pytest
import scipy.stats

from bench.gate.decide import FAIL, INCONCLUSIVE, PASS, TimingRule
from bench.gate.unpaired import MACHINE_FRACTION, decide, moved, two_samples
from tests.simulations import often, seldom, sizes

RULE = TimingRule()


def gate(records: int, slowdown: float, rng: np.random.Generator, deviation: float = 0.01, day: float = 0.0) -> str:
    """A gate against records of one day; on the candidate's day everything takes `day` longer."""

    def processes(count: int, shift: float = 0.0) -> list[float]:
        return list(math.log(8e-4) + shift + deviation * rng.standard_normal(count))

    baseline, shift = processes(records), math.log1p(slowdown) + math.log1p(day)
    screening = processes(6, shift)
    first = decide(baseline, screening, [], RULE).verdict
    return first if first == PASS else decide(baseline, screening, processes(10, shift), RULE).verdict


def verdicts(records: int, slowdown: float, trials: int, **options: float) -> dict[str, int]:
    rng = np.random.default_rng(1)
    found = [gate(records, slowdown, rng, **options) for _ in range(trials)]
    return {verdict: found.count(verdict) for verdict in (PASS, FAIL, INCONCLUSIVE)}


@sizes(40, 1000)
@pytest.mark.parametrize("records", [1, 5])
@pytest.mark.parametrize("deviation", [0.003, 0.01])
def test_error_rates_hold_on_any_day_that_the_calibrations_let_through(records, deviation, trials, record_property):
    for day in (-MACHINE_FRACTION, 0.0, MACHINE_FRACTION):
        same, slower = (
            verdicts(records, slowdown, trials, deviation=deviation, day=day) for slowdown in (0.0, RULE.bound_fraction)
        )
        record_property(f"on a day of {day:+.1%}", {"same": same, "slower": slower})
        assert seldom(same[FAIL], trials, 0.005)
        assert seldom(slower[PASS], trials, 0.02)


@sizes(100, 1000)
def test_several_records_tell_more_than_one(trials, record_property):
    same, slower = ({n: verdicts(n, slowdown, trials) for n in (1, 5)} for slowdown in (0.0, 0.10))
    record_property("same", same)
    record_property("slower", slower)
    assert often(same[5][PASS], trials, 0.95)
    assert often(slower[5][FAIL], trials, 0.95)
    assert same[1][PASS] < same[5][PASS]
    assert slower[1][FAIL] < slower[5][FAIL]


def test_two_samples_are_students():
    x, y = [1.0, 1.2, 0.9], [1.5, 1.4, 1.6, 1.7]
    distance, error, freedom = two_samples(x, y)
    found = scipy.stats.ttest_ind(y, x)
    assert (distance / error, freedom) == (pytest.approx(found.statistic), found.df)
    low, high = found.confidence_interval(0.95)
    assert moved(x, y) == pytest.approx((distance, low, high))


@pytest.mark.parametrize(("baseline", "candidate"), [([], [1.0, 2.0]), ([1.0], [1.0]), ([1.0], [])])
def test_too_few_processes_tell_nothing(baseline, candidate):
    assert math.isinf(two_samples(baseline, candidate)[1])
    assert decide(baseline, candidate, [], RULE).verdict == INCONCLUSIVE


def test_a_slowdown_in_the_screening_alone_does_not_fail():
    fresh = [0.01, -0.01] * 5
    assert decide([0.0, 0.001], [0.2] * 6, fresh, RULE).verdict != FAIL
    assert decide([0.0, 0.001], [-0.1] * 6, [0.2, 0.21] * 5, RULE).verdict != FAIL


def test_the_reason_has_the_numbers():
    found = decide([0.0, 0.002], [0.10, 0.102] * 3, [0.10, 0.102] * 5, RULE)
    assert found.verdict == FAIL
    assert found.reason.startswith("slower by 10.5% (10.")

"""Two callables that take turns, on a clock without time whose ratio is known."""

import itertools
import random

import numpy as np
import pytest

from bench.measure.comparison import FEWEST_ROUNDS, MOST_ROUNDS, Comparison, compare
from tests.measure.simulated import SimulatedTime


def compared(seed, ratio, noise=0.02, drift=0.0, seconds=2.0):
    """Steps of a millisecond that scatter, on a machine that gets slower by `drift` a simulated second."""
    time, rng = SimulatedTime(), np.random.default_rng(seed)

    def taking(middle):
        def durations():
            while True:
                yield middle * (1 + drift * time.seconds) * float(np.exp(rng.normal(0, noise)))

        return time.repeat_taking(durations())

    return compare(taking(1e-3), taking(ratio * 1e-3), time.clock(), seconds, random.Random(seed))


def test_the_ratio_is_the_candidates_time_over_the_references():
    found = Comparison([1.0, 2.0, 4.0] * 4, [1.5, 3.0, 6.0] * 4).ratio
    assert (found.value, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
    assert found.clear


def test_a_round_that_was_disturbed_hardly_moves_it():
    found = Comparison([1.0] * 12, [1.0] * 11 + [9.0]).ratio
    assert found.value == pytest.approx(1.0)


def test_a_planted_slowdown_is_found_on_a_machine_that_drifts():
    for seed in range(5):
        found = compared(seed, 1.05, drift=0.5).ratio
        assert found.clear
        assert found.value == pytest.approx(1.05, abs=0.01)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Binomial: of 200 with 95%, 180 or fewer happen once in 500, and the seeds are fixed."""
    held = [found.low <= 1.0 <= found.high for seed in range(200) for found in [compared(seed, 1.0, seconds=0.0).ratio]]
    assert 181 <= sum(held) <= 198


def test_rounds_go_on_for_as_long_as_was_asked_and_there_are_never_too_few():
    assert len(compared(0, 1.0, seconds=0.0).reference_seconds) == FEWEST_ROUNDS
    rounds = compared(0, 1.0, seconds=2.0)
    assert len(rounds.reference_seconds) == len(rounds.candidate_seconds) > 3 * FEWEST_ROUNDS


def test_a_long_comparison_has_longer_rounds_and_not_more():
    found = compared(0, 1.05, seconds=20.0)
    assert MOST_ROUNDS / 2 < len(found.reference_seconds) <= 1.1 * MOST_ROUNDS
    assert found.ratio.value == pytest.approx(1.05, abs=0.001)


def test_what_a_callable_raises_reaches_the_caller():
    time = SimulatedTime()
    with pytest.raises(ZeroDivisionError):
        compare(time.repeat_taking(itertools.repeat(1e-3)), lambda: 1 / 0, time.clock())

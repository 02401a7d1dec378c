"""Which rounds of a record count."""

import numpy as np
import pytest

from bench.analyse.levels import time_of
from bench.analyse.rounds import counting
from tests.analyse.synthetic import made


def test_disturbed_rounds_are_left_out():
    times = np.zeros((4, 4, 2))
    times[0] = 1.0  # the rounds 0 to 3
    kept = made(times, disturbed=range(4))
    assert counting(kept.measurements[0].rounds, kept) == set(range(4, 16))
    assert time_of(kept.measurements[0], kept).value == pytest.approx(1.0)


@pytest.mark.parametrize(("disturbed", "count"), [(10, set(range(10, 16))), (11, set(range(16)))])
def test_where_fewer_than_a_third_of_the_rounds_are_quiet_all_count(disturbed, count):
    kept = made(np.zeros((4, 4, 2)), disturbed=range(disturbed))
    assert counting(kept.measurements[0].rounds, kept) == count


@pytest.mark.parametrize(
    ("near", "count"),
    [
        pytest.param({*range(4), *range(16, 20), *range(32, 36)}, 12, id="twelve of three processes"),
        pytest.param({*range(4), *range(16, 20), *range(32, 35)}, 64, id="eleven"),
        pytest.param({*range(6), *range(16, 22)}, 64, id="twelve of two processes"),
        pytest.param(set(range(22)), 64, id="more than a third, of two processes"),
        pytest.param({*range(8), *range(16, 24), *range(32, 38)}, 22, id="more than a third, of three"),
    ],
)
def test_few_rounds_are_enough_if_the_cores_lay_near_in_them(near, count):
    times = np.ones((4, 16, 2))
    times.reshape(64, 2)[sorted(near)] = 0.0
    kept = made(times, near=near)
    assert counting(kept.measurements[0].rounds, kept) == (near if count < 64 else set(range(64)))
    if count < 64:
        assert time_of(kept.measurements[0], kept).value == pytest.approx(1.0)


def test_of_two_processes_two_are_enough():
    near = {*range(4), *range(16, 20)}
    kept = made(np.zeros((2, 16, 2)), near=near)
    assert counting(kept.measurements[0].rounds, kept) == set(range(32))
    more = {*range(6), *range(16, 21)}
    kept = made(np.zeros((2, 16, 2)), near=more)
    assert counting(kept.measurements[0].rounds, kept) == more


def test_where_the_cores_lay_apart_disturbed_rounds_are_still_left_out():
    kept = made(np.zeros((4, 4, 2)), disturbed=range(4), near={4, 5})
    assert counting(kept.measurements[0].rounds, kept) == set(range(4, 16))


def test_a_process_that_was_cut_short_does_not_count():
    times = np.zeros((4, 4, 2))
    times[3] = 1.0
    kept = made(times, processes=(4, 4, 4, 1))
    assert counting(kept.measurements[0].rounds, kept) == set(range(12))

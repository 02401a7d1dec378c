import math

import pytest

from bench.gate.paired import Pair, undisturbed


def test_a_slower_candidate_is_above_zero():
    assert Pair([1.0] * 8, [1.1] * 8).log_ratio == pytest.approx(math.log(1.1))
    assert Pair([1.1] * 8, [1.0] * 8).log_ratio == pytest.approx(-math.log(1.1))


def test_a_neighbour_that_slows_most_chunks_changes_nothing():
    assert undisturbed([1.0, 9.0, 5.0, 1.0, 7.0, 3.0, 8.0, 6.0]) == 1.0
    assert undisturbed([2.0]) == 2.0

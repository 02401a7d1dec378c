import math

import numpy as np
import pytest

from bench.gate.paired import CHUNK_SECONDS, FEWEST_ROUNDS, ROUNDS, Pace, Pair


def test_a_slower_candidate_is_above_zero():
    assert Pair([1.0] * 8, [1.1] * 8).log_ratio == pytest.approx(math.log(1.1))
    assert Pair([1.1] * 8, [1.0] * 8).log_ratio == pytest.approx(-math.log(1.1))


def test_a_machine_that_changes_its_speed_from_round_to_round_changes_nothing():
    speed = np.repeat(np.random.default_rng(0).uniform(0.3, 3, ROUNDS), 2)
    assert Pair(list(speed), list(1.05 * speed)).log_ratio == pytest.approx(math.log(1.05))


def test_a_neighbour_that_hits_a_quarter_of_the_rounds_of_one_side_changes_nothing():
    hit = [1.0] * (2 * ROUNDS)
    hit[: ROUNDS // 2] = [9.0] * (ROUNDS // 2)
    assert Pair([1.0] * len(hit), hit).log_ratio == 0
    assert Pair(hit, [1.0] * len(hit)).log_ratio == 0


def test_a_stall_in_every_round_is_seen():
    # What a fastest quarter would not see: one of two chunks waits.
    assert Pair([1.0] * 8, [1.0, 1.2] * 4).log_ratio == pytest.approx(math.log(1.1))


@pytest.mark.parametrize(
    ("seconds", "on_device", "expected"),
    [
        (0.5e-3, False, (ROUNDS, 4, True)),
        (5e-3, False, (30, 1, True)),
        (20e-3, False, (15, 1, False)),  # its caches are soon its own
        (1.0, False, (FEWEST_ROUNDS, 1, False)),
        (0.5e-3, True, (30, 10, True)),  # as long as the device works before it
    ],
)
def test_the_longer_a_repetition_the_fewer_rounds(seconds, on_device, expected):
    pace = Pace.of(seconds, on_device=on_device)
    assert (pace.rounds, pace.repetitions, pace.lead_seconds > 0) == expected
    assert pace.repetitions * seconds >= CHUNK_SECONDS

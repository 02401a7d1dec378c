import math

import numpy as np
import pytest

from bench.gate.paired import CHUNK_SECONDS, FEWEST_ROUNDS, ROUNDS, Pair, TurnSizes


def test_a_slower_candidate_is_above_zero():
    assert Pair([1.0] * 8, [1.1] * 8).log_ratio == pytest.approx(math.log(1.1))
    assert Pair([1.1] * 8, [1.0] * 8).log_ratio == pytest.approx(-math.log(1.1))


@pytest.mark.parametrize("candidate_first", [False, True])
def test_a_machine_that_gets_slower_all_the_time_changes_nothing(candidate_first):
    speed = np.exp(np.linspace(0, 1, 2 * ROUNDS))
    turns = {True: speed[::2], False: speed[1::2]}
    reference, candidate = turns[not candidate_first], 1.05 * turns[candidate_first]
    pair = Pair(list(reference), list(candidate), candidate_first=candidate_first)
    assert pair.log_ratio == pytest.approx(math.log(1.05), abs=1e-4)


@pytest.mark.parametrize("candidate_first", [False, True])
def test_a_machine_that_changes_its_speed_now_and_then_changes_nothing(candidate_first):
    speed = np.repeat(np.random.default_rng(0).uniform(0.3, 3, ROUNDS // 5), 5)
    pair = Pair(list(speed), list(1.05 * speed), candidate_first=candidate_first)
    assert pair.log_ratio == pytest.approx(math.log(1.05))


def test_a_neighbour_that_hits_a_fifth_of_the_turns_of_one_side_changes_nothing():
    hit = [9.0 if turn % 5 == 0 else 1.0 for turn in range(ROUNDS)]
    assert Pair([1.0] * ROUNDS, hit).log_ratio == 0
    assert Pair(hit, [1.0] * ROUNDS).log_ratio == 0


def test_a_stall_in_every_second_turn_is_seen():
    # The mean of the fastest quarter would not see it.
    assert Pair([1.0] * 80, [1.0, 1.2] * 40).log_ratio == pytest.approx(math.log(1.2) / 2, rel=0.02)


@pytest.mark.parametrize(
    ("seconds", "on_device", "expected"),
    [
        (0.5e-3, False, (ROUNDS, 4, True)),
        (10e-3, False, (30, 1, True)),
        (20e-3, False, (30, 1, False)),  # its caches are soon its own
        (1.0, False, (FEWEST_ROUNDS, 1, False)),
        (0.5e-3, True, (60, 10, True)),  # as long as the device works before it
    ],
)
def test_the_longer_a_repetition_the_fewer_rounds(seconds, on_device, expected):
    sizes = TurnSizes.of(seconds, on_device=on_device)
    assert (sizes.rounds, sizes.repetitions, sizes.lead_seconds > 0) == expected
    assert sizes.repetitions * seconds >= CHUNK_SECONDS

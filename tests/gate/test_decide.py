"""The decision's error rates on simulated pairs: no process, no clock."""

import itertools
import math

import numpy as np
import pytest

from bench.gate.decide import FAIL, INCONCLUSIVE, PASS, Rule, decide, interval, is_flat, sign_flip_p

RULE = Rule()


def gate(slowdown: float, rng: np.random.Generator, deviation: float = 0.011, heavy: bool = False) -> str:
    """A whole gate on pairs whose log ratios scatter as measured ones do: 1.1%, with a wild one now and then."""

    def pairs(count: int, shift: float) -> list[float]:
        noise = deviation * rng.standard_normal(count)
        if heavy:
            noise = noise + 0.08 * rng.standard_normal(count) * (rng.random(count) < 0.05)
        return list(shift + noise)

    shift = math.log1p(slowdown)
    screening, control = pairs(RULE.screening_pairs, shift), pairs(3, 0.0)
    first = decide(screening, [], control, RULE)
    if first.verdict == PASS:
        return PASS
    control += pairs(4, 0.0)
    return decide(screening, pairs(RULE.confirmation_pairs, shift), control, RULE).verdict


def verdicts(slowdown: float, trials: int, **options: object) -> dict[str, int]:
    rng = np.random.default_rng(1)
    found = [gate(slowdown, rng, **options) for _ in range(trials)]
    return {verdict: found.count(verdict) for verdict in (PASS, FAIL, INCONCLUSIVE)}


@pytest.mark.slow
@pytest.mark.parametrize("heavy", [False, True])
def test_identical_code_never_fails(heavy):
    found = verdicts(0.0, 1000, heavy=heavy)
    assert found[FAIL] == 0
    assert found[INCONCLUSIVE] <= 100


@pytest.mark.slow
@pytest.mark.parametrize(("slowdown", "least"), [(0.05, 0.95), (0.10, 0.98)])
def test_a_slowdown_of_the_bound_or_more_fails(slowdown, least):
    found = verdicts(slowdown, 300)
    assert found[FAIL] >= least * 300
    assert found[PASS] <= 3


def test_a_machine_that_differs_from_itself_is_inconclusive_even_for_a_slowdown():
    found = decide([0.1] * 8, [0.1] * 12, [0.05, 0.051, 0.049, 0.05], RULE)
    assert found.verdict == INCONCLUSIVE
    assert "the reference against itself is +5.1%" in found.reason


def test_no_control_and_no_pairs_are_inconclusive():
    assert decide([0.0] * 8, [], [], RULE).verdict == INCONCLUSIVE
    assert decide([], [], [0.0, 0.0], RULE).verdict == INCONCLUSIVE


def test_a_slowdown_in_the_screening_alone_does_not_fail():
    fresh = [0.06, -0.06] * 6
    assert decide([0.2] * 8, fresh, [0.0, 0.001, -0.001], RULE).verdict == INCONCLUSIVE


def test_passing_needs_evidence_and_is_not_the_absence_of_a_failure():
    wild = [0.3, -0.3, 0.25, -0.25, 0.2, -0.2, 0.28, -0.28]
    found = decide(wild, [], [0.0, 0.001, -0.001], RULE)
    assert found.verdict == INCONCLUSIVE
    assert "neither a slowdown is shown nor one of 5% refuted" in found.reason


def test_the_reason_has_the_numbers():
    found = decide([0.06] * 7 + [0.07], [0.06] * 11 + [0.07], [0.0, 0.001, -0.001], RULE)
    assert found.verdict == FAIL
    assert found.reason == "slower by 6.3% (6.1% to 6.4%)"
    assert found.slowdown_fraction == pytest.approx(math.expm1(0.061))


def test_sign_flips_are_counted_exactly():
    x = [1.0, 2.0, 4.0]  # sums of signs: 7, 5, 3, 1, -1, ...: 7 is the largest of 8
    assert sign_flip_p(x) == 1 / 8
    assert sign_flip_p([1.0, 2.0, -4.0]) == 5 / 8  # -1, and all above it
    assert sign_flip_p([]) == 1.0
    assert sign_flip_p([-1.0] * 5) == 1.0


def test_sign_flips_by_chance_agree_with_all_of_them():
    values = list(np.random.default_rng(2).normal(0.3, 1, 14))
    patterns = np.array(list(itertools.product((1, -1), repeat=14))) @ np.array(values)
    exact = float(np.mean(patterns >= sum(values) - 1e-12))
    assert sign_flip_p(values) == pytest.approx(exact)
    assert sign_flip_p([*values, 1e-9]) == pytest.approx(exact, abs=0.01)


def test_the_test_holds_its_level():
    rng = np.random.default_rng(3)
    rejected = sum(sign_flip_p(list(rng.standard_t(2, size=10))) <= 0.05 for _ in range(400))
    assert rejected <= 400 * 0.075


@pytest.mark.parametrize("cases", [1, 5, 50])
def test_pairs_suffice_to_fail_however_many_cases_there_are(cases):
    rule = Rule(cases=cases)
    pairs = [0.08] * rule.confirmation_pairs
    assert decide([0.08] * 8, pairs, [0.0, 0.001, -0.001], rule).verdict == FAIL


def test_a_flat_control():
    assert is_flat([0.01, -0.012, 0.004], RULE)
    assert is_flat([0.002, 0.0021, 0.0019, 0.002], RULE)  # surely not 0, and of no consequence
    assert not is_flat([0.03, 0.031, 0.029, 0.03], RULE)
    assert interval([0.1]) == (0.1, -math.inf, math.inf)

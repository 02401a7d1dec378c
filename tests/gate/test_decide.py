"""The decision's error rates on simulated pairs: no process, no clock."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from bench.gate import decide as decide_module
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS, TimingRule, decide, is_flat, sign_flip_p, student
from tests.simulations import often, seldom, sizes

RULE = TimingRule()


def gate(slowdown: float, rng: np.random.Generator, deviation: float = 0.011, heavy: bool = False) -> str:
    """A whole gate on pairs whose log ratios scatter as measured ones do: 1.1%, with a wild one now and then."""

    def pairs(count: int, shift: float) -> list[float]:
        noise = deviation * rng.standard_normal(count)
        if heavy:
            noise = noise + 0.08 * rng.standard_normal(count) * (rng.random(count) < 0.05)
        return list(shift + noise)

    shift = math.log1p(slowdown)
    screening, control = pairs(RULE.screening_pairs, shift), pairs(3, 0.0)
    confirmation: list[float] = []
    verdict = decide(screening, confirmation, control, RULE).verdict
    for count in RULE.confirmation_looks:
        if verdict == INCONCLUSIVE:
            control += pairs(3, 0.0)
            confirmation += pairs(count - len(confirmation), shift)
            verdict = decide(screening, confirmation, control, RULE).verdict
    return verdict


def verdicts(slowdown: float, trials: int, **options: object) -> dict[str, int]:
    rng = np.random.default_rng(1)
    found = [gate(slowdown, rng, **options) for _ in range(trials)]
    return {verdict: found.count(verdict) for verdict in (PASS, FAIL, INCONCLUSIVE)}


@sizes(100, 2000)
@pytest.mark.parametrize("heavy", [False, True])
def test_identical_code_never_fails(heavy, trials, record_property):
    found = verdicts(0.0, trials, heavy=heavy)
    record_property("verdicts", found)
    assert seldom(found[FAIL], trials, RULE.fail_alpha)
    assert seldom(found[INCONCLUSIVE], trials, 0.1)


@sizes(60, 1000)
@pytest.mark.parametrize(("slowdown", "least"), [(0.05, 0.95), (0.10, 0.98)])
def test_a_slowdown_of_the_bound_or_more_fails(slowdown, least, trials, record_property):
    found = verdicts(slowdown, trials)
    record_property("verdicts", found)
    assert often(found[FAIL], trials, least)
    assert seldom(found[PASS], trials, RULE.pass_alpha)


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
    found = decide([0.05, 0.07] * 4, [0.05, 0.07] * 6, [0.0, 0.001, -0.001], RULE)
    assert found.verdict == FAIL
    assert found.reason == "slower by 6.2% (5.1% to 7.3%)"
    assert found.slowdown_fraction == pytest.approx(math.expm1(0.06))


def test_sign_flips_are_counted_exactly():
    x = [1.0, 2.0, 2.0]  # sums of signs: 5, 3, 1, 1, -1, ...: 5 is the largest of 8
    assert sign_flip_p(x) == 1 / 8
    assert sign_flip_p([1.0, 2.0, -2.0]) == 4 / 8  # 1, and all above it
    assert sign_flip_p([1.0, 2.0, -400.0]) == 4 / 8  # counts as 2, the median
    assert sign_flip_p([]) == 1.0
    assert sign_flip_p([-1.0] * 5) == 1.0


def test_sign_flips_by_chance_agree_with_all_of_them(monkeypatch):
    values = np.random.default_rng(2).normal(0.3, 1, 14)
    values = np.clip(values, -np.median(abs(values)), np.median(abs(values)))
    patterns = np.array(list(itertools.product((1, -1), repeat=14))) @ values
    exact = float(np.mean(patterns >= sum(values) - 1e-12))
    assert sign_flip_p(list(values)) == pytest.approx(exact)
    monkeypatch.setattr(decide_module, "EXACT_UP_TO", 13)
    decide_module._signs.cache_clear()
    assert sign_flip_p(list(values)) == pytest.approx(exact, abs=0.005)
    decide_module._signs.cache_clear()


def test_the_test_holds_its_level():
    rng = np.random.default_rng(3)
    rejected = sum(sign_flip_p(list(rng.standard_t(2, size=10))) <= 0.05 for _ in range(400))
    assert rejected <= 400 * 0.075


@pytest.mark.slow
@pytest.mark.parametrize("cases", [1, 5, 50])
def test_a_clear_slowdown_fails_at_the_first_look_however_many_cases_there_are(cases):
    rule = TimingRule(cases=cases)
    first, *_, last = rule.confirmation_looks
    for pairs, verdict in ((first, FAIL), (last, FAIL), (first - 1, INCONCLUSIVE)):
        assert decide([0.08] * 8, [0.08] * pairs, [0.0, 0.001, -0.001], rule).verdict == verdict


def test_the_looks_spend_no_more_than_the_stated_error_rates():
    rule = TimingRule(cases=5)
    assert len(rule.confirmation_looks) * rule.cases * rule.look_alpha == pytest.approx(rule.fail_alpha)
    spent = rule.pass_alpha_at(fresh=False) + len(rule.confirmation_looks) * rule.pass_alpha_at(fresh=True)
    assert spent == pytest.approx(rule.pass_alpha)
    first = rule.confirmation_looks[0]
    assert 2.0**-first <= rule.look_alpha < 2.0 ** -(first - 1)


def test_a_flat_control():
    assert is_flat([0.01, -0.012, 0.004], RULE)
    assert is_flat([0.002, 0.0021, 0.0019, 0.002], RULE)  # surely not 0, and of no consequence
    assert not is_flat([0.03, 0.031, 0.029, 0.03], RULE)
    assert student([0.1], 0.99) == (0.1, -math.inf, math.inf)


def test_one_wild_pair_decides_nothing():
    steady = [0.10, 0.11, 0.09, 0.10, 0.12, 0.10, 0.09, 0.11]
    confirmation = [*steady, *steady, 0.1, -0.6]
    assert decide(steady, confirmation, [0.0, 0.001, -0.001], RULE).verdict == FAIL
    calm = [0.0, 0.002, -0.001, 0.001, -0.002, 0.0, 0.001]
    assert decide([*calm, 0.6], [*calm, -0.001, 0.002, 0.0, 0.001], [0.0, 0.001, -0.001], RULE).verdict == PASS


@pytest.mark.parametrize("n", [2, 5, 9])
def test_it_is_scipys_permutation_test_of_the_values_cut_at_their_median_size(n):
    values = np.random.default_rng(n).normal(0.3, 1.0, n)
    most = np.median(np.abs(values))
    cut = np.clip(values, -most, most)
    theirs = scipy.stats.permutation_test(
        (cut,), np.sum, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert sign_flip_p(values) == pytest.approx(theirs.pvalue)

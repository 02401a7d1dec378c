"""Gates that draw from measured pairs again, against the gate's own decisions."""

import math

import numpy as np
import pytest

from bench.gate import power
from bench.gate.decide import FAIL, INCONCLUSIVE, PASS, TimingRule, decide

RULE = TimingRule()
QUIET = [math.sin(17.0 * number) / 100 for number in range(200)]
NOISY = [10 * value for value in QUIET]


def decided(pairs, slowdown, gates=60):
    """Shares of PASS and FAIL of gates that decide by the exact tests."""
    generator = np.random.default_rng(2)
    verdicts = []
    for _ in range(gates):
        drawn = [float(value) + math.log1p(slowdown) for value in generator.choice(pairs, 48)]
        looks = (
            decide(drawn[:8], drawn[8 : 8 + count], [0.0, 1e-3, -1e-3], RULE) for count in (0, *RULE.confirmation_looks)
        )
        verdicts.append(next((one.verdict for one in looks if one.verdict != INCONCLUSIVE), INCONCLUSIVE))
    return verdicts.count(PASS) / gates, verdicts.count(FAIL) / gates


@pytest.mark.parametrize(
    ("pairs", "slowdown"),
    [
        *(pytest.param(QUIET, slowdown, id=f"quiet-{slowdown:g}") for slowdown in (0.0, 0.05, 0.15)),
        pytest.param(NOISY, 0.15, id="noisy-0.15"),
        # Most of their gates go on to the last look, which takes seconds to decide exactly.
        *(pytest.param(NOISY, slowdown, id=f"noisy-{slowdown:g}", marks=pytest.mark.slow) for slowdown in (0.0, 0.05)),
    ],
)
def test_shares_are_those_of_gates_that_decide_exactly(pairs, slowdown):
    assert power.shares(pairs, slowdown, RULE) == pytest.approx(decided(pairs, slowdown), abs=0.15)


def test_the_wider_pairs_scatter_the_larger_is_the_slowdown_that_surely_fails():
    quiet, noisy = power.fails_from(QUIET, RULE), power.fails_from(NOISY, RULE)
    assert 0.03 < quiet < 0.05 < noisy < 0.2
    assert power.shares(NOISY, noisy, RULE)[1] >= power.SURE > power.shares(NOISY, noisy - 0.01, RULE)[1]


def test_where_nothing_surely_fails_there_is_no_such_slowdown():
    assert power.fails_from([value * 100 for value in QUIET], RULE) is None

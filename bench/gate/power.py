"""How often a gate finds what, where pairs scatter as they do here: gates that draw from measured pairs again.

The bootstrap of B. Efron (The Annals of Statistics 7, 1979) on pairs of identical code, with a slowdown added. All
gates are decided at once: where nothing less is enough all signs must agree, else by the normal limit of the sign-flip
test, which is a little strict for so few pairs.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import numpy as np
import scipy.stats

from bench.gate.decide import TimingRule

Array = np.ndarray[tuple[int, int], np.dtype[np.float64]]
GATES = 2000
SURE = 0.95
STEP_FRACTION = 0.001
MOST_BOUNDS = 10  # times the bound; a machine that needs more is not fit for a gate


def shares(log_ratios: Sequence[float], slowdown_fraction: float, rule: TimingRule) -> tuple[float, float]:
    """The shares of gates that PASS and that FAIL.

    Args:
        log_ratios: Of pairs of identical code.
        slowdown_fraction: What the candidate is slower by.
        rule: How the gates decide. That their control is flat is taken for granted.
    """
    first, *fresh = (rule.screening_pairs, *rule.confirmation_looks)
    generator = np.random.default_rng(0)
    pairs = generator.choice(np.asarray(log_ratios), (GATES, first + fresh[-1])) + math.log1p(slowdown_fraction)
    passed = _shown(rule.bound - pairs[:, :first], rule.pass_alpha_at(fresh=False))
    failed = np.zeros(GATES, bool)
    for count in fresh:
        slower = _shown(pairs[:, first : first + count], rule.look_alpha) & (np.median(pairs[:, :first], axis=1) > 0)
        failed |= slower & ~passed
        passed |= _shown(rule.bound - pairs[:, : first + count], rule.pass_alpha_at(fresh=True)) & ~failed
    return float(passed.mean()), float(failed.mean())


def _shown(values: Array, alpha: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Of each row, whether `bench.gate.decide.sign_flip_p` would be at most `alpha`."""
    if 2 * 2.0 ** -values.shape[1] > alpha:  # nothing but all signs alike is rare enough
        return np.asarray((values > 0).all(axis=1))
    most = np.median(np.abs(values), axis=1, keepdims=True)
    clipped = np.clip(values, -most, most)
    size = np.sqrt((clipped**2).sum(axis=1))
    return np.asarray(clipped.sum(axis=1) >= scipy.stats.norm.isf(alpha) * size)


def fails_from(log_ratios: Sequence[float], rule: TimingRule) -> float | None:
    """The smallest slowdown that fails in 95 of 100 gates; None if that is far beyond the bound."""
    steps = range(1, round(MOST_BOUNDS * rule.bound_fraction / STEP_FRACTION) + 1)
    at = bisect.bisect_left(steps, SURE, key=lambda step: shares(log_ratios, step * STEP_FRACTION, rule)[1])
    return steps[at] * STEP_FRACTION if at < len(steps) else None

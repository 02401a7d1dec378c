"""The decision where sides cannot take turns, because the baseline's processes are of another day.

Student's test for two samples stands in for the sign flips, which need pairs; stages, bounds and error rates are those
of `bench.gate.decide`. Days differ, too, and the scatter of one day's processes does not know it: so a slowdown must be
shown to exceed what the calibrations could have missed, and one of the bound refuted with as much to spare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.stats

from bench.gate.decide import FAIL, INCONCLUSIVE, PASS, Decision, TimingRule, refuted

MACHINE_FRACTION = 0.02  # the calibrations' means must be within this of the baseline's


def two_samples(baseline: Sequence[float], candidate: Sequence[float]) -> tuple[float, float, float]:
    """How far the means of two samples are apart, that distance's standard error, and its degrees of freedom.

    Student's, with one deviation for both: a baseline of one value borrows the candidate's. Infinite error where all
    values together are too few to tell one.
    """
    x, y = np.asarray(baseline, dtype=float), np.asarray(candidate, dtype=float)
    freedom = float(len(x) + len(y) - 2)
    distance = float(y.mean() - x.mean()) if len(x) and len(y) else 0.0
    if not (len(x) and len(y) and freedom >= 1):
        return distance, math.inf, 1.0
    squares = float(((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum())
    return distance, math.sqrt(squares / freedom * (1 / len(x) + 1 / len(y))), freedom


def moved(
    baseline: Sequence[float], candidate: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """The distance of two samples' means with its interval."""
    distance, error, freedom = two_samples(baseline, candidate)
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom)) * error
    return distance, distance - reach, distance + reach


def decide(
    baseline: Sequence[float], screening: Sequence[float], confirmation: Sequence[float], rule: TimingRule
) -> Decision:
    """The verdict after one or both stages, as in `bench.gate.decide`.

    Args:
        baseline: Log seconds of the baseline's processes, one or more.
        screening: Log seconds of the candidate's first processes.
        confirmation: Log seconds of fresh ones, run because the screening did not pass.
        rule: Bounds and error rates; of its looks there are two.
    """

    def p(candidate: Sequence[float], shift: float, direction: int) -> float:
        distance, error, freedom = two_samples(baseline, candidate)
        if not error:
            return float(direction * (distance - shift) <= 0)
        return float(scipy.stats.t.sf(direction * (distance - shift) / error, freedom))

    everything = [*screening, *confirmation]
    middle, low, high = moved(baseline, everything)
    spare = math.log1p(MACHINE_FRACTION)
    fail_p, pass_p = p(confirmation, spare, 1), p(everything, rule.bound - spare, -1)
    if confirmation and fail_p <= rule.fail_alpha / rule.cases and two_samples(baseline, screening)[0] > 0:
        verdict, reason = FAIL, f"slower by {math.expm1(middle):.1%} ({math.expm1(low):.1%} to {math.expm1(high):.1%})"
    elif pass_p <= rule.pass_alpha / 2:
        verdict, reason = PASS, refuted(rule, pass_p, middle, low, high)
    else:
        verdict = INCONCLUSIVE
        reason = (
            f"between {math.expm1(low):+.1%} and {math.expm1(high):+.1%}: neither a slowdown is shown nor one of "
            f"{100 * rule.bound_fraction:g}% refuted, with {MACHINE_FRACTION:.0%} to spare for another day; several "
            "records tell more than one, and a larger --bound is decided sooner"
        )
    return Decision(verdict, math.expm1(middle), math.expm1(low), math.expm1(high), fail_p, pass_p, reason)

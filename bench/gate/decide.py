"""From pairs' log ratios to PASS, FAIL or INCONCLUSIVE, with exact tests and a stated error rate.

A pair is one run of the reference beside one of the candidate, in separate processes; its log ratio is above 0 where
the candidate is slower. If the two are the same program, the sign of every log ratio is as likely plus as minus,
whatever the noise: that is all the sign-flip test needs (Fisher, The Design of Experiments, 1935, section 21).

Two stages keep errors rare and the usual answer quick. Screening: if a slowdown of the bound is refuted, PASS; if not,
more pairs are run. Confirmation: FAIL only on the fresh pairs' own evidence, which the screening has not selected.
There are four looks, one after the screening and three at the fresh pairs, and each spends its own part of the error
rates: the sequential rule is valid by the union bound, and a gate that is sure at an early look stops there. The last
is for a machine whose pairs scatter by several percent, where the looks before it seldom see 5%.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analyse.statistics import hodges_lehmann

EXACT_UP_TO = 18  # pairs: 262,144 sign patterns, enough to fail for a hundred cases; beyond, some random ones
RANDOM_PATTERNS = 2**18
BLOCKS = 16  # of sign patterns, one after the other: all at once are 100 MB
LOOKS = (0, 1, 4)  # at fresh pairs: after how many times `more_pairs` beyond the least
PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"


@dataclass(frozen=True)
class TimingRule:
    """When to say what.

    Attributes:
        bound_fraction: The slowdown that must not pass, 0.05 for 5%.
        screening_pairs: Pairs before the first look.
        more_pairs: Fresh pairs from the second look to the third; to the last, `LOOKS` times as many.
        fail_alpha: Largest probability of FAIL for an unchanged program, over all `cases`.
        pass_alpha: Largest probability of PASS for a slowdown of `bound_fraction` or more, a case.
        control_fraction: The A/A control is flat if its 99% interval holds 0 or it is within this and a fifth of the
            bound.
        cases: Cases judged in one run; `fail_alpha` is shared among them (Bonferroni, a stricter form of Holm).
    """

    bound_fraction: float = 0.05
    screening_pairs: int = 8
    more_pairs: int = 7
    fail_alpha: float = 0.001
    pass_alpha: float = 0.01
    control_fraction: float = 0.01
    cases: int = 1

    @property
    def bound(self) -> float:
        """The log of the slowdown that must not pass."""
        return math.log1p(self.bound_fraction)

    @property
    def look_alpha(self) -> float:
        """Of `fail_alpha`, the part of one case at one of its looks at fresh pairs."""
        return self.fail_alpha / self.cases / len(LOOKS)

    def pass_alpha_at(self, *, fresh: bool) -> float:
        """Of `pass_alpha`, the part of a look: half for the one at which a program that is as fast as before ends."""
        return self.pass_alpha / 2 / (len(LOOKS) if fresh else 1)

    @property
    def confirmation_looks(self) -> tuple[int, ...]:
        """Fresh pairs at each look; at the first as few as can reach `look_alpha`, since n pairs reach 2**-n."""
        first = math.ceil(-math.log2(self.look_alpha))
        return tuple(first + times * self.more_pairs for times in LOOKS)


@dataclass(frozen=True)
class Decision:
    """The verdict on a case.

    Attributes:
        slowdown_fraction: Estimated change of the step's time, 0.05 for 5% slower; `low` and `high` its 95% interval.
        fail_p: Probability of such evidence for a slowdown, were there none.
        pass_p: Probability of such evidence against a slowdown of the bound, were it there.
        reason: A sentence.
    """

    verdict: str
    slowdown_fraction: float
    low: float
    high: float
    fail_p: float
    pass_p: float
    reason: str


def sign_flip_p(values: Sequence[float]) -> float:
    """The probability that random signs give a sum as large as that of `values`; 1 for no values.

    What lies beyond the median size counts as that much: a pair that a neighbour has hit is not to outweigh the others.
    Sizes do not depend on signs, so the test stays exact.

    All sign patterns where they are few enough, else random ones with the observed one among them, which keeps the
    test valid (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 2010).
    """
    n = len(values)
    if n == 0:
        return 1.0
    most = float(np.median(np.abs(values)))
    x = np.clip(values, -most, most)
    signs, observed = _signs(n), float(x.sum())
    least = observed - 1e-12 * abs(observed)
    as_large = sum(int(np.sum(block @ x >= least)) for block in np.array_split(signs, BLOCKS))
    if n <= EXACT_UP_TO:
        return as_large / len(signs)
    return (1 + as_large) / (1 + len(signs))


@functools.cache
def _signs(n: int) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    """All patterns of n signs, or some random ones; the same ones every time."""
    if n <= EXACT_UP_TO:
        return np.asarray(1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1), np.int8)
    return 2 * np.random.default_rng(0).integers(0, 2, (RANDOM_PATTERNS, n), np.int8) - 1


def student(log_ratios: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Mean and Student's interval of the log ratios, for very few of them; infinite bounds for fewer than 2."""
    import scipy.stats

    x = np.asarray(log_ratios, dtype=float)
    if len(x) < 2:
        return (float(x.mean()) if len(x) else 0.0), -math.inf, math.inf
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, len(x) - 1) * scipy.stats.sem(x))
    return float(x.mean()), float(x.mean()) - reach, float(x.mean()) + reach


def refuted(rule: TimingRule, p: float, middle: float, low: float, high: float) -> str:
    """Why a case passes, with the estimate and its interval, as logs."""
    estimate = f"{math.expm1(middle):+.1%}"
    if math.isfinite(low) and math.isfinite(high):
        estimate += f" ({math.expm1(low):+.1%} to {math.expm1(high):+.1%})"
    return f"{estimate}: a slowdown of {100 * rule.bound_fraction:g}% is refuted (p = {p:.2g})"


def is_flat(control: Sequence[float], rule: TimingRule) -> bool:
    """Whether a program against itself shows no difference, as it must; no control is not flat."""
    if not control:
        return False
    mean, low, high = student(control, 0.99)
    return low <= 0 <= high or abs(mean) <= min(rule.control_fraction, rule.bound_fraction / 5)


def decide(
    screening: Sequence[float], confirmation: Sequence[float], control: Sequence[float], rule: TimingRule
) -> Decision:
    """The verdict at one of the looks; `confirmation` is empty at the first.

    Args:
        screening: Log ratios of the first pairs.
        confirmation: Log ratios of fresh pairs, run because the screening did not pass; as many as a look has.
        control: Log ratios of pairs of the reference against itself, run in between.
        rule: Stages, bounds and error rates.
    """
    everything = [*screening, *confirmation]
    middle, low, high = hodges_lehmann(everything)
    fail_p = sign_flip_p(confirmation)
    pass_p = sign_flip_p([rule.bound - value for value in everything])

    def decision(verdict: str, reason: str) -> Decision:
        return Decision(verdict, math.expm1(middle), math.expm1(low), math.expm1(high), fail_p, pass_p, reason)

    if not everything:
        return decision(INCONCLUSIVE, "no pair was measured")
    if not is_flat(control, rule):
        shown = f"{math.expm1(hodges_lehmann(control)[0]):+.1%}" if control else "missing"
        return decision(INCONCLUSIVE, f"the reference against itself is {shown}: this machine is too unsteady now")
    # A slowdown is confirmed on fresh pairs alone, and both stages must see it.
    if confirmation and fail_p <= rule.look_alpha and hodges_lehmann(screening)[0] > 0:
        return decision(FAIL, f"slower by {math.expm1(middle):.1%} ({math.expm1(low):.1%} to {math.expm1(high):.1%})")
    if pass_p <= rule.pass_alpha_at(fresh=bool(confirmation)):
        return decision(PASS, refuted(rule, pass_p, middle, low, high))
    return decision(
        INCONCLUSIVE,
        f"between {math.expm1(low):+.1%} and {math.expm1(high):+.1%}: neither a slowdown is shown "
        f"nor one of {100 * rule.bound_fraction:g}% refuted",
    )

"""Whether the 95% intervals hold the truth in 95 of 100 measurements, stop rule and flags included.

The intervals of given samples are tested in `tests/analyse/test_statistics.py`; here they come from `measure`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import norm

from bench.measure.sampling import Samples, measure
from tests.measure.simulated import SimulatedTime
from tests.simulations import often, seldom, sizes

BLOCK = 0.01  # seconds; longer than the shortest block, so that every draw is a sample
Draws = Iterator[float]


def relative(one: Callable[[np.random.Generator], np.ndarray]) -> Callable[[np.random.Generator], Draws]:
    def draws(rng: np.random.Generator) -> Draws:
        while True:
            yield from BLOCK * (1 + one(rng))

    return draws


def autocorrelated(rng: np.random.Generator, rho: float = 0.5) -> Draws:
    x = rng.standard_normal()
    while True:
        yield BLOCK * (1 + 0.03 * x)
        x = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal()


def drifting(rng: np.random.Generator) -> Draws:
    for call in itertools.count():
        yield BLOCK * (1 + 0.05 * call / 100 + 0.02 * rng.standard_normal())


normal = relative(lambda rng: 0.03 * rng.standard_normal(500))
skewed = relative(lambda rng: 0.05 * rng.exponential(size=500))
spiky = relative(lambda rng: 0.02 * rng.standard_normal(500) + 0.5 * (rng.random(500) < 0.02))
bimodal = relative(lambda rng: 0.01 * rng.standard_normal(500) + 0.1 * (rng.random(500) < 0.3))


def measured(draws: Callable[[np.random.Generator], Draws], trial: int) -> tuple[Samples, bool, SimulatedTime]:
    """The samples, whether a flag keeps them out of every comparison, and the clock."""
    time = SimulatedTime()
    samples = measure(time.repeat_taking(draws(np.random.default_rng([trial, 1]))), time.clock())
    return samples, bool({flag.name for flag in samples.flags} - {"wide"}), time


KINDS = {
    "normal": (normal, BLOCK),
    "skewed": (skewed, BLOCK * (1 + 0.05 * math.log(2))),
    "autocorrelated": (autocorrelated, BLOCK),
    # 2% are far above: the median is the 0.5 / 0.98 quantile of the others.
    "spikes": (spiky, BLOCK * (1 + 0.02 * norm.ppf(0.5 / 0.98))),
}


@sizes(12, 4000)
@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_holds_the_true_median_in_95_of_100(kind, trials, record_property):
    draws, truth = KINDS[kind]
    judged = missed = 0
    for trial in range(trials):
        samples, barred, _ = measured(draws, trial)
        summary = samples.summary
        if barred or summary.low is None or summary.high is None:
            continue
        judged += 1
        missed += not summary.low <= truth <= summary.high
    record_property("judged", judged)
    record_property("missed", missed)
    assert often(judged, trials, 0.95)
    assert seldom(missed, judged, 0.05)
    assert often(missed, judged, 0.03)  # nor are the intervals wider than they say


@sizes(12, 4000)
def test_two_levels_are_flagged_or_the_interval_holds_the_median(trials, record_property):
    # 30% on the upper level: the median is the 0.5 / 0.7 quantile of the lower one.
    truth = BLOCK * (1 + 0.01 * norm.ppf(0.5 / 0.7))
    wrong = flagged = 0
    for trial in range(trials):
        samples, barred, _ = measured(bimodal, trial)
        flagged += barred
        wrong += not (barred or samples.summary.low <= truth <= samples.summary.high)
    record_property("flagged", flagged)
    record_property("wrong", wrong)
    assert seldom(wrong, trials, 0.05)
    assert often(flagged, trials, 0.9)


@sizes(12, 4000)
def test_a_drift_is_flagged_or_the_interval_holds_the_middle_of_it(trials, record_property):
    wrong = flagged = 0
    for trial in range(trials):
        samples, barred, time = measured(drifting, trial)
        middle = time.calls - (len(samples.seconds) + 1) / 2
        truth = BLOCK * (1 + 0.05 * middle / 100)
        flagged += barred
        wrong += not (barred or samples.summary.low <= truth <= samples.summary.high)
    record_property("flagged", flagged)
    record_property("wrong", wrong)
    assert seldom(wrong, trials, 0.05)
    assert often(flagged, trials, 0.3)

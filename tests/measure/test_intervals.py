"""Whether the 95% intervals hold the truth in 95 of 100 measurements, stop rule and flags included."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import norm

from bench.measure import sampling
from bench.measure.sampling import Samples, measure
from tests.measure.simulated import SimulatedTime

BLOCK = 0.01  # seconds; longer than the shortest block, so that every draw is a sample
TRIALS = 1000
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


@pytest.fixture(autouse=True)
def nothing_to_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting garbage for every one of thousands of trials would take more time than they do."""
    monkeypatch.setattr(sampling, "garbage_collector_off", contextlib.nullcontext)


def measured(draws: Callable[[np.random.Generator], Draws], trial: int) -> tuple[Samples, bool]:
    """The samples and whether a flag keeps them out of every comparison."""
    time = SimulatedTime()
    samples = measure(time.repeat_taking(draws(np.random.default_rng([trial, 1]))), time.clock())
    return samples, bool({flag.name for flag in samples.flags} - {"wide"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draws", "truth"),
    [
        (normal, BLOCK),
        (skewed, BLOCK * (1 + 0.05 * math.log(2))),
        (autocorrelated, BLOCK),
        # 2% are far above: the median is the 0.5 / 0.98 quantile of the others.
        (spiky, BLOCK * (1 + 0.02 * norm.ppf(0.5 / 0.98))),
    ],
    ids=["normal", "skewed", "autocorrelated", "spikes"],
)
def test_the_interval_holds_the_true_median_in_95_of_100(draws, truth):
    covered = judged = 0
    for trial in range(TRIALS):
        samples, barred = measured(draws, trial)
        summary = samples.summary
        if barred or summary.low is None or summary.high is None:
            continue
        judged += 1
        covered += summary.low <= truth <= summary.high
    assert judged > 0.95 * TRIALS
    assert 0.93 <= covered / judged <= 0.97


@pytest.mark.slow
def test_two_levels_are_flagged_or_the_interval_holds_the_median():
    # 30% on the upper level: the median is the 0.5 / 0.7 quantile of the lower one.
    truth = BLOCK * (1 + 0.01 * norm.ppf(0.5 / 0.7))
    right = flagged = 0
    for trial in range(TRIALS):
        samples, barred = measured(bimodal, trial)
        flagged += barred
        right += barred or samples.summary.low <= truth <= samples.summary.high
    assert right >= 0.93 * TRIALS
    assert flagged >= 0.9 * TRIALS


@pytest.mark.slow
def test_a_drift_is_flagged_or_the_interval_holds_the_middle_of_it():
    right = flagged = 0
    for trial in range(TRIALS):
        rng = np.random.default_rng([trial, 1])
        time = SimulatedTime()
        samples = measure(time.repeat_taking(drifting(rng)), time.clock())
        middle = time.calls - (len(samples.seconds) + 1) / 2
        truth = BLOCK * (1 + 0.05 * middle / 100)
        barred = bool({flag.name for flag in samples.flags} - {"wide"})
        flagged += barred
        right += barred or samples.summary.low <= truth <= samples.summary.high
    assert right >= 0.93 * TRIALS
    assert flagged >= 0.3 * TRIALS

import numpy as np
import pytest

from bench.analyse.steadiness import modes, trend
from tests.simulations import seldom, sizes


def autocorrelated(rng, n, rho):
    noise = rng.standard_normal(n + 100)
    series = np.zeros(n + 100)
    for i in range(1, n + 100):
        series[i] = rho * series[i - 1] + noise[i]
    return series[100:] * np.sqrt(1 - rho**2)


STEADY = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "skewed": lambda rng, n: rng.lognormal(sigma=0.7, size=n),
    "spikes": lambda rng, n: rng.standard_normal(n) + 20 * (rng.random(n) < 0.04),
    "flat": lambda rng, n: rng.random(n),
    "coarse": lambda rng, n: np.round(rng.standard_normal(n)),
    "moody": lambda rng, n: autocorrelated(rng, n, 0.4),
}


def series(kind, seed, n=60, noise=0.01):
    """So many samples of 1 ms, with noise of a kind."""
    return 1e-3 * (1 + noise * STEADY[kind](np.random.default_rng(seed), n))


@sizes(100, 4000)
@pytest.mark.parametrize("n", [40, 150])
@pytest.mark.parametrize("kind", list(STEADY))
def test_steady_noise_seldom_seems_to_trend(kind, n, trials, record_property):
    # From 40 samples that correlate, how much they do is a rough estimate: 111 of 4,000 then seem to trend.
    rate = 0.03 if kind == "moody" else 0.015
    trends = sum(trend(series(kind, seed, n)) is not None for seed in range(trials))
    record_property("trends", trends)
    assert seldom(trends, trials, rate)


@sizes(100, 4000)
@pytest.mark.parametrize("n", [40, 150])
def test_noise_that_wanders_seldom_seems_to_trend(n, trials, record_property):
    """As a series does whose neighbours correlate by 0.8, in which a test for independent samples sees four of ten."""
    wandering = (1e-3 * (1 + 0.01 * autocorrelated(np.random.default_rng(seed), n, 0.8)) for seed in range(trials))
    trends = sum(trend(samples) is not None for samples in wandering)
    record_property("trends", trends)
    assert seldom(trends, trials, 0.05)


@sizes(100, 4000)
@pytest.mark.parametrize("n", [40, 150])
@pytest.mark.parametrize("kind", [kind for kind in STEADY if kind != "coarse"])  # which is on several levels indeed
def test_one_level_seldom_seems_two(kind, n, trials, record_property):
    pairs = sum(modes(series(kind, seed, n)) is not None for seed in range(trials))
    record_property("pairs of levels", pairs)
    assert seldom(pairs, trials, 0.02)


@pytest.mark.parametrize("change", [0.05, -0.05])
def test_a_drift_is_found_with_its_size(change):
    for seed in range(20):
        found = trend(series("normal", seed) * np.linspace(1, 1 + change, 60))
        assert found.change_fraction == pytest.approx(change, abs=0.015)


def test_a_drift_is_found_beneath_spikes():
    found = [trend(series("spikes", seed) * np.linspace(1, 1.05, 60)) for seed in range(20)]
    assert sum(drift is not None for drift in found) >= 19


def test_two_levels_are_found_with_their_distance_and_share():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        upper = rng.permutation(np.arange(60) < 20)
        found = modes(series("normal", seed) * np.where(upper, 1.2, 1.0))
        assert found.distance_fraction == pytest.approx(0.2, abs=0.02)
        assert found.upper_share == pytest.approx(1 / 3)


def test_a_few_outliers_are_no_level():
    found = [modes(series("normal", seed) * np.where(np.arange(60) < 5, 1.2, 1.0)) for seed in range(20)]
    assert found == [None] * 20


def test_a_step_from_one_level_to_another_is_told_one_way_or_the_other():
    found = series("normal", 1) * np.where(np.arange(60) < 30, 1.0, 1.2)
    assert modes(found) is not None


def test_few_or_equal_samples_tell_nothing():
    assert trend([1.0, 2.0, 3.0]) is None
    assert trend([1.0] * 50) is None
    assert modes([1.0] * 9 + [2.0] * 9) is None
    assert modes([1.0] * 50) is None


def test_two_exact_levels_are_two():
    found = modes([1.0, 1.5] * 20)
    assert (found.distance_fraction, found.upper_share) == (0.5, 0.5)

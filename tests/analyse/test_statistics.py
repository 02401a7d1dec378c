import math

import numpy as np
import pytest
import scipy.stats

from bench.analyse.statistics import (
    Ratio,
    correlation_time,
    fastest_quarter,
    hodges_lehmann,
    mean_interval,
    median_interval,
    middle_mean,
    ratio,
    summarise,
)


def test_summary_of_known_numbers():
    summary = summarise([3.0, 1.0, 2.0, 5.0, 4.0, 6.0, 7.0, 100.0])
    assert (summary.median, summary.minimum, summary.n, summary.outliers) == (4.5, 1.0, 8, 1)
    assert summary.p95 == pytest.approx(np.percentile([1, 2, 3, 4, 5, 6, 7, 100], 95))


def test_no_samples_is_an_error_and_not_a_number():
    with pytest.raises(ValueError, match="no samples"):
        summarise([])


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([3.0], 3.0),
        ([1.0, 2.0], 1.5),
        ([1.0, 9.0, 2.0], 2.0),
        ([9.0, 1.0, 2.0, 4.0], 3.0),
        ([1.0, 2.0, 9.0, 3.0, 0.0], 2.0),
        ([5.0, 1.0, 2.0, 3.0, 6.0, 4.0, 99.0, -99.0], 3.5),
    ],
)
def test_the_middle_mean_is_of_half_of_the_values_at_most(values, middle):
    assert middle_mean(values) == pytest.approx(middle)


@pytest.mark.parametrize("n", [6, 10, 20, 40])
def test_interval_lies_between_the_tabulated_ranks(n):
    # Ranks (from 1) whose closed interval holds the median with just over and just under 95%, by the binomial table.
    outer, inner = {6: (1, 2), 10: (2, 3), 20: (6, 7), 40: (14, 15)}[n]
    values = [value for pair in zip(range(1, n // 2 + 1), range(n, n // 2, -1), strict=True) for value in pair]
    low, high = median_interval(values)  # alternating high and low: no positive autocorrelation
    assert outer <= low <= inner
    assert n + 1 - inner <= high <= n + 1 - outer


def test_three_to_five_samples_get_students_interval_and_fewer_none():
    assert median_interval([0.92, 0.93, 0.94]) == (pytest.approx(0.93 - 0.024842), pytest.approx(0.93 + 0.024842))
    low, high = median_interval([1.0, 1.0, 1.0, 1.0, 2.0])
    assert low <= 1.0 <= high
    assert median_interval([1.0, 2.0]) == (None, None)
    assert summarise([1.0, 2.0]).half_width_fraction is None


def test_samples_that_are_nearly_one_have_no_interval():
    slow_wave = np.sin(np.linspace(0, np.pi, 30))
    assert median_interval(list(slow_wave)) == (None, None)


def draws(kind: str, rng: np.random.Generator, n: int) -> np.ndarray:
    if kind == "normal":
        return rng.normal(size=n)
    if kind == "skewed":
        return rng.lognormal(size=n) - 1
    if kind == "spikes":
        return rng.normal(size=n) + 50 * (rng.random(n) < 0.02)
    noise, series = rng.normal(size=n + 50), np.zeros(n + 50)
    for i in range(1, n + 50):
        series[i] = 0.5 * series[i - 1] + noise[i]
    return series[50:]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "skewed", "spikes", "autocorrelated"])
def test_interval_covers_the_true_median(kind):
    rng = np.random.default_rng(1)
    # With spikes 2% of the samples are far above: the median is the 0.5 / 0.98 quantile of the normal part.
    truth = 0.0255 if kind == "spikes" else 0.0
    hits = 0
    for _ in range(1000):
        low, high = median_interval(draws(kind, rng, 120))
        hits += low <= truth <= high
    assert 925 <= hits <= 990


def test_correlation_time_of_known_series():
    rng = np.random.default_rng(3)
    assert correlation_time(rng.normal(size=4000)) == pytest.approx(1, abs=0.2)
    # The exact sum for the signs of a first-order process: 1 + 2 sum of 2/pi arcsin(0.8**k).
    expected = 1 + 2 * sum(2 / np.pi * np.arcsin(0.8**k) for k in range(1, 200))
    series = np.zeros(20000)
    for i in range(1, len(series)):
        series[i] = 0.8 * series[i - 1] + rng.normal()
    assert correlation_time(series) == pytest.approx(expected, rel=0.15)
    assert correlation_time([1.0] * 50) == 1.0


def test_ratio_is_of_medians_with_an_interval_that_reflects_both():
    rng = np.random.default_rng(4)
    slow = summarise(list(2 * (1 + 0.05 * rng.normal(size=100))))
    fast = summarise(list(1 + 0.05 * rng.normal(size=100)))
    found = ratio(slow, fast)
    assert found.value == slow.median / fast.median
    assert found.low < 2 < found.high
    assert found.clear
    assert not ratio(fast, fast).clear


def test_a_ratio_without_an_interval_is_never_clear():
    few, many = summarise([1.0, 2.0]), summarise([5.0] * 20)
    assert ratio(many, few) == Ratio(5.0 / 1.5, None, None)
    assert not ratio(many, few).clear


def test_one_wild_sample_of_three_leaves_a_ratio_without_an_interval():
    wild, calm = summarise([0.4, 0.4, 0.8]), summarise([0.40, 0.41, 0.42])
    assert wild.low == 0.0
    assert ratio(wild, calm) == Ratio(0.4 / 0.41, None, None)
    assert ratio(calm, wild) == Ratio(0.41 / 0.4, None, None)


@pytest.mark.slow
def test_ratio_interval_covers_the_true_ratio():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(500):
        a, b = (summarise(list(scale * rng.lognormal(sigma=0.1, size=40))) for scale in (3.0, 2.0))
        found = ratio(a, b)
        hits += found.low <= 1.5 <= found.high
    assert 465 <= hits <= 498


def test_mean_interval_is_students():
    mean, low, high = mean_interval([0.92, 0.93, 0.94])
    assert mean == pytest.approx(0.93)
    # t(0.975, 2) = 4.3027, standard error 0.01 / sqrt(3)
    assert (low, high) == (pytest.approx(0.93 - 0.024842, abs=1e-6), pytest.approx(0.93 + 0.024842, abs=1e-6))
    assert mean_interval([0.93]) == (0.93, None, None)


def test_hodges_lehmann_is_the_estimate_of_the_signed_rank_test():
    x = list(np.random.default_rng(4).normal(0.03, 0.01, 12))
    middle, low, high = hodges_lehmann(x)
    # scipy's test of the shift is just refuted outside of the interval and just not inside.
    for edge, outwards in ((low, -1), (high, 1)):
        p = [scipy.stats.wilcoxon(np.array(x) - edge - outwards * step).pvalue for step in (1e-6, -1e-6)]
        assert p[0] <= 0.05 < p[1]
    assert low < middle < high


@pytest.mark.slow
def test_hodges_lehmanns_interval_covers_as_stated():
    rng = np.random.default_rng(5)
    found = [hodges_lehmann(list(rng.normal(0.02, 1, 10))) for _ in range(1000)]
    assert 0.93 <= np.mean([low <= 0.02 <= high for _, low, high in found]) <= 0.985


def test_hodges_lehmann_of_too_few_has_no_bounds():
    assert hodges_lehmann([]) == (0.0, -math.inf, math.inf)
    assert hodges_lehmann([0.1, 0.2, 0.6]) == (pytest.approx(0.275), -math.inf, math.inf)


def test_a_wild_value_hardly_moves_hodges_lehmann_and_many_values_are_no_problem():
    x = list(np.random.default_rng(6).normal(0.0, 0.01, 400))
    assert hodges_lehmann([*x, 1e6])[0] == pytest.approx(hodges_lehmann(x)[0], abs=1e-4)
    _, low, high = hodges_lehmann(x)
    assert low < 0 < high


def test_the_fastest_quarter_is_at_least_one():
    assert fastest_quarter([3.0]) == 3.0
    assert fastest_quarter([5.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 9.0]) == 1.5

"""A sample's median with an honest interval, and ratios of two of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """What is reported of a sample: the median with its 95% interval, minimum, 95th percentile, n, outliers.

    `low` and `high` are None when there are too few samples for a 95% interval (fewer than 6).
    """

    median: float
    low: float | None
    high: float | None
    minimum: float
    p95: float
    n: int
    outliers: int

    @property
    def half_width_fraction(self) -> float | None:
        """Half the interval's width as a fraction of the median."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / self.median


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians with its 95% interval (None where one of them has none)."""

    value: float
    low: float | None
    high: float | None

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 1: one of the two is faster, not only seems so."""
        return self.low is not None and self.high is not None and (self.low > 1 or self.high < 1)


def summarise(samples: Sequence[float]) -> Summary:
    """Derives the reported statistics; no sample is dropped. Raises ValueError on an empty sample."""
    if not samples:
        raise ValueError("no samples")
    x = np.sort(np.asarray(samples, dtype=float))
    low, high = median_interval(samples)
    q1, q3 = np.percentile(x, [25, 75])
    # Tukey's fences (Exploratory Data Analysis, 1977); outliers are counted, never dropped.
    reach = 1.5 * (q3 - q1)
    return Summary(
        median=float(np.median(x)),
        low=low,
        high=high,
        minimum=float(x[0]),
        p95=float(np.percentile(x, 95)),
        n=len(x),
        outliers=int(np.sum((x < q1 - reach) | (x > q3 + reach))),
    )


def median_interval(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95% confidence interval of the median from order statistics, widened for autocorrelation.

    Independent samples: the ranks of the binomial(n, 1/2) quantiles (David and Nagaraja, Order Statistics, 2003,
    section 7.1), which assumes nothing of the distribution. Neighbouring blocks share the machine's mood, so the
    ranks are taken for the effective sample size n / tau instead, tau being the integrated autocorrelation time of
    the indicator "above the median", the series whose mean the order statistics count.

    Returns:
        (low, high) in the samples' unit; (None, None) when fewer than 6 effective samples leave no such ranks.
    """
    x = np.asarray(samples, dtype=float)
    n = len(x)
    tau = correlation_time(x > np.median(x))
    # The share of samples below the true median has mean 1/2 and variance 1 / (4 * effective size).
    reach = _rank_reach(n, round(n / tau))
    if reach is None:
        return None, None
    ordered = np.sort(x)
    low, high = math.floor(n / 2 - reach), math.ceil(n / 2 + reach) - 1
    return float(ordered[max(low, 0)]), float(ordered[min(high, n - 1)])


@functools.lru_cache(maxsize=4096)
def _rank_reach(n: int, effective: int) -> float | None:
    """How many ranks either side of n/2 the interval reaches; None if 95% cannot be had."""
    if effective < 6:  # 2 * 0.5**n <= 0.05 needs n >= 6
        return None
    below = int(scipy.stats.binom.ppf((1 - CONFIDENCE) / 2, effective, 0.5))
    if scipy.stats.binom.cdf(below, effective, 0.5) > (1 - CONFIDENCE) / 2:
        below -= 1
    return (effective / 2 - below) * n / effective if below >= 0 else None


def correlation_time(series: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    """The integrated autocorrelation time in samples, at least 1: n / tau samples are worth n independent ones.

    Sums autocorrelations over a window of 5 tau (Sokal's automatic windowing, Monte Carlo Methods in Statistical
    Mechanics, 1997, section 3).
    """
    x = np.asarray(series, dtype=float)
    x = x - x.mean()
    n = len(x)
    variance = float(x @ x)
    if n < 8 or variance == 0:
        return 1.0
    spectrum = np.fft.rfft(x, 2 * n)
    correlation = np.fft.irfft(spectrum * spectrum.conj())[: n // 2] / variance
    taus = 2 * np.cumsum(correlation) - 1
    window = np.arange(len(taus)) >= 5 * taus
    return max(1.0, float(taus[int(np.argmax(window)) if window.any() else len(taus) - 1]))


def ratio(numerator: Summary, denominator: Summary) -> Ratio:
    """Ratio of two medians. The two intervals' half-widths are added in quadrature on the log scale (delta method)."""
    value = numerator.median / denominator.median
    bounds = (numerator.low, numerator.high, denominator.low, denominator.high)
    if None in bounds:
        return Ratio(value, None, None)
    nl, nh, dl, dh = (float(bound) for bound in bounds if bound is not None)
    down = math.hypot(math.log(numerator.median / nl), math.log(dh / denominator.median))
    up = math.hypot(math.log(nh / numerator.median), math.log(denominator.median / dl))
    return Ratio(value, value * math.exp(-down), value * math.exp(up))


def mean_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean and its 95% Student interval, for small samples of independent values such as accuracies by seed."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    reach = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * scipy.stats.sem(values))
    return mean, mean - reach, mean + reach

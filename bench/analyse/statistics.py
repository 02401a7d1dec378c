"""A sample's median with an honest interval, and ratios of two of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special  # and not scipy.stats, whose import takes a second of every command

FASTEST_SHARE = 0.25
FEWEST_SAMPLES = 12  # whose fastest quarter is more than one of them, or nearly
CONFIDENCE = 0.95
FEWEST_INDEPENDENT = 8  # autocorrelated samples that are worth fewer show too little of how they correlate
Z = float(scipy.special.ndtri((1 + CONFIDENCE) / 2))
Array = np.ndarray[tuple[int], np.dtype[Any]]


@dataclass(frozen=True)
class Summary:
    """What is reported of a sample: the time with its 95% interval, median, minimum, 95th percentile, n, outliers.

    `time` is what is compared: of a plain sample its median, of rounds as `bench.analyse.levels` has it. `low` and
    `high` are None when there are too few samples for a 95% interval (fewer than 3, or autocorrelated).
    """

    time: float
    low: float | None
    high: float | None
    median: float
    minimum: float
    p95: float
    n: int
    outliers: int

    @property
    def half_width_fraction(self) -> float | None:
        """Half the interval's width as a fraction of the median."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / self.time


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


def middle_mean(values: Sequence[float]) -> float:
    """The mean of what is left without the lowest and the highest quarter, both rounded up: at least the median.

    So a quarter of the values may be anything, one of three included; of two, it is the mean of both.
    """
    cut = min(math.ceil(len(values) / 4), (len(values) - 1) // 2)
    middle = sorted(values)[cut : len(values) - cut]
    return math.fsum(middle) / len(middle)


def fastest_quarter(seconds: Sequence[float]) -> float:
    """The mean of the fastest quarter, at least of one: what is in the way only ever adds time."""
    kept = sorted(seconds)[: max(1, round(FASTEST_SHARE * len(seconds)))]
    return math.fsum(kept) / len(kept)


def student_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Half the width of Student's two-sided interval, in standard errors, for so many degrees of freedom."""
    return float(scipy.special.stdtrit(freedom, (1 + confidence) / 2))


def summarise(samples: Sequence[float]) -> Summary:
    """Derives the reported statistics; no sample is dropped. Raises ValueError on an empty sample."""
    if not samples:
        raise ValueError("no samples")
    low, high = median_interval(samples)
    if low is not None and low < 0 <= min(samples):
        low = 0.0  # of what cannot be negative, such as a time
    return spread(samples, float(np.median(samples)), low, high)


def spread(samples: Sequence[float], time: float, low: float | None, high: float | None) -> Summary:
    """The statistics of samples for which the time and its interval are known."""
    x = np.sort(np.asarray(samples, dtype=float))
    q1, median, q3, p95 = np.percentile(x, [25, 50, 75, 95])
    # Tukey's fences (Exploratory Data Analysis, 1977); outliers are counted, never dropped.
    reach = 1.5 * (q3 - q1)
    return Summary(
        time=time,
        low=low,
        high=high,
        median=float(median),
        minimum=float(x[0]),
        p95=float(p95),
        n=len(x),
        outliers=int(np.sum((x < q1 - reach) | (x > q3 + reach))),
    )


def median_interval(samples: Sequence[float]) -> tuple[float | None, float | None]:
    """The 95% confidence interval of the median from order statistics, widened for autocorrelation.

    The number of samples below the true median is binomial(n, 1/2), whatever the distribution, so the interval lies
    between two ranks (David and Nagaraja, Order Statistics, 2003, section 7.1); between whole ranks it is
    interpolated, for a coverage of 95% and not more (Hettmansperger and Sheather, Statistics and Probability Letters
    4, 1986). Neighbouring blocks share the machine's mood: the ranks are those of n / `correlation_time` independent
    samples.

    Fewer than 6 samples have no such ranks. From 3 to 5 it is Student's interval of the mean, stretched to hold the
    median: right for samples that are long sums themselves, such as epochs, and wide.

    Returns:
        (low, high) in the samples' unit; (None, None) for 1 or 2 samples, or if 6 or more are so alike in time that
        they are worth fewer than `FEWEST_INDEPENDENT` independent ones.
    """
    x = np.asarray(samples, dtype=float)
    n, tau = len(x), correlation_time(x)
    if 3 <= n < 6:
        _, low, high = mean_interval(samples)
        median = float(np.median(x))
        return (None, None) if low is None or high is None else (min(low, median), max(high, median))
    if n / tau < (6 if tau == 1 else FEWEST_INDEPENDENT):
        return None, None
    # How many independent ones they are worth is an estimate itself, hence Student's quantile.
    quantile = Z if tau == 1 else student_quantile(n / tau - 1)
    reach = quantile / 2 * math.sqrt(n * tau)
    middle = (n - 1) / 2
    low, high = np.interp([middle - reach, middle + reach], np.arange(n), np.sort(x))
    return float(low), float(high)


def correlation_time(samples: Sequence[float] | Array) -> float:
    """How many samples are worth one independent one, for an estimate of the median; at least 1.

    It is the integrated autocorrelation time of the series "above the median", the one whose mean the ranks count.
    A short series shows too little of it, so it is the larger of two estimates: the plain sum, and that of the
    first-order autoregressive process with the observed rank correlation of neighbours, which is corrected for the
    estimate's bias of -(1 + 4 rho) / n (Marriott and Pope, Biometrika 41, 1954). A series of fewer than 12, or with
    no sign of correlation on the one-sided 10% level, counts as independent.
    """
    x = np.asarray(samples, dtype=float)
    n = len(x)
    ranks = _ranks(x) - (n + 1) / 2
    power = float(ranks @ ranks)
    if n < 12 or power == 0:
        return 1.0
    rho = float(ranks[1:] @ ranks[:-1]) / power
    if (rho + 1 / n) * math.sqrt(n) < 1.28:
        return 1.0
    # And half a standard error more: an estimate that is too low does more harm than one that is too high.
    rho += (1 + 4 * rho) / n + 0.5 * math.sqrt(max(0.0, 1 - rho**2) / n)
    rho = min(rho, 0.98)
    # The signs of a Gaussian pair with correlation r correlate by 2/pi arcsin r (the orthant formula).
    lags = np.arange(1, math.ceil(10 / (1 - rho)))
    autoregressive = 1 + 2 * float(np.sum(2 / np.pi * np.arcsin(rho**lags)))
    return max(1.0, autoregressive, _summed_correlation(x > np.median(x)))


def _ranks(x: Array) -> Array:
    """From 1 to the number of values; equal ones share the mean of theirs."""
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _summed_correlation(series: Array) -> float:
    """1 + 2 times the sum of autocorrelations, over a window of 5 times the result.

    Automatic windowing: Sokal, Monte Carlo Methods in Statistical Mechanics, 1997, section 3.
    """
    x = series - series.mean()
    if not x.any():
        return 1.0
    spectrum = np.fft.rfft(x, 2 * len(x))
    correlation = np.fft.irfft(spectrum * spectrum.conj())[: len(x) // 2] / float(x @ x)
    sums = 2 * np.cumsum(correlation) - 1
    enough = np.arange(len(sums)) >= 5 * sums
    return float(sums[int(np.argmax(enough)) if enough.any() else -1])


def ratio(numerator: Summary, denominator: Summary) -> Ratio:
    """Ratio of two medians. The two intervals' half-widths are added in quadrature on the log scale (delta method).

    An interval that reaches down to 0, as one wild sample among few makes it, says nothing of the ratio.
    """
    value = numerator.median / denominator.median
    bounds = (numerator.low, numerator.high, denominator.low, denominator.high)
    if any(bound is None or bound <= 0 for bound in bounds):
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
    reach = student_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


def hodges_lehmann(values: Sequence[float]) -> tuple[float, float, float]:
    """The middle of values that scatter evenly to both sides, and its interval; a wild one hardly moves it.

    The median of the means of all two values, with those bounds that the signed-rank test does not refute (Hodges and
    Lehmann, Annals of Mathematical Statistics 34, 1963).

    Returns:
        (middle, low, high) in the values' unit; infinite bounds where the values are too few, 0 in the middle of none.
    """
    n = len(values)
    if n == 0:
        return 0.0, -math.inf, math.inf
    x = np.asarray(values, dtype=float)
    means = np.sort(np.add.outer(x, x)[np.triu_indices(n)] / 2)
    ways = np.ones(1)  # in which ranks 1 to n, each taken or not, sum to 0, 1, 2 ..., out of all
    for rank in range(1, n + 1):
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    outside = int(np.searchsorted(np.cumsum(ways), (1 - CONFIDENCE) / 2, side="right"))
    middle = float(np.median(means))
    if outside == 0:
        return middle, -math.inf, math.inf
    return middle, float(means[outside - 1]), float(means[-outside])

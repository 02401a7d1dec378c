"""Whether samples come from one steady state: no trend, not two modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats

from bench.analyse.statistics import correlation_time


@dataclass(frozen=True)
class Trend:
    """A significant drift: the change over all samples as a fraction of their median, by Theil and Sen's slope."""

    change_fraction: float


@dataclass(frozen=True)
class Modes:
    """Two separate levels: their distance as a fraction of the lower, and the share of samples on the upper."""

    distance_fraction: float
    upper_share: float


TREND_LEVEL = 0.01  # chance of finding a drift where there is none


def trend(samples: Sequence[float]) -> Trend | None:
    """The drift of `samples` in the order taken, if the Mann-Kendall test finds one.

    Autocorrelated noise wanders without drifting, so the test counts the samples by their independent worth: the
    statistic is divided by the root of the correlation time (Hamed and Rao, Journal of Hydrology 204, 1998). The time
    is that of the samples with the slope taken out.
    """
    x = np.asarray(samples, dtype=float)
    n = len(x)
    if n < 10 or np.ptp(x) == 0:
        return None
    slope = float(scipy.stats.theilslopes(x).slope)
    tau = correlation_time(x - slope * np.arange(n))
    statistic = scipy.stats.kendalltau(np.arange(n), x).statistic
    z = statistic / np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)) * tau)
    if 2 * scipy.stats.norm.sf(abs(z)) >= TREND_LEVEL:
        return None
    return Trend(slope * (n - 1) / float(np.median(x)))


def modes(samples: Sequence[float]) -> Modes | None:
    """Two levels in `samples`, if each holds at least an eighth of them and they stand clearly apart.

    The cut is the one that makes the two parts tightest (Otsu, IEEE Transactions on Systems, Man and Cybernetics 9,
    1979). Clearly apart is Ashman's D above 3 (Ashman, Bird and Zepf, Astronomical Journal 108, 1994) together with
    a valley: fewer than 5% of the samples lie in the middle half between the two means. A single skewed or flat hump
    has no valley.
    """
    x = np.sort(np.asarray(samples, dtype=float))
    n = len(x)
    if n < 20 or x[0] == x[-1]:
        return None
    sums, squares = np.cumsum(x), np.cumsum(x**2)
    k = np.arange(n // 8, n - n // 8)
    below = squares[k - 1] - sums[k - 1] ** 2 / k
    above = (squares[-1] - squares[k - 1]) - (sums[-1] - sums[k - 1]) ** 2 / (n - k)
    cut = int(k[np.argmin(below + above)])
    low, high = x[:cut], x[cut:]
    distance = float(high.mean() - low.mean())
    d = distance * np.sqrt(2) / max(float(np.hypot(low.std(), high.std())), 1e-12 * distance)
    quarter = distance / 4
    valley = np.mean((x > low.mean() + quarter) & (x < high.mean() - quarter))
    if d < 3 or valley >= 0.05:
        return None
    return Modes(distance / float(low.mean()), (n - cut) / n)

"""From which batch size is one device (or mode) faster than another?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.analyse.levels import Estimate
from bench.analyse.statistics import Array

POINTS = 128  # looked at between two measured batch sizes


@dataclass(frozen=True)
class Crossover:
    """Where the second curve becomes the faster one, and stays it to the end of the range.

    Attributes:
        batch_size: The estimate, between measured batch sizes; None if there is no crossover in the range.
        low: Lower end of its 95% interval; None if the crossover may lie below the range.
        high: Upper end; None if it may lie above the range, or may not exist.
        faster: Where there is no crossover: `first` or `second` if that one is clearly faster all over the range,
            `not second` if the second is clearly slower at its end, and `unclear` where the curves are too close.
    """

    batch_size: float | None
    low: float | None
    high: float | None
    faster: str | None = None

    def sentence(self, first: str, second: str) -> str:
        """The finding in words, with the names of the two curves."""
        if self.batch_size is None:
            if self.faster == "unclear":
                return f"{first} and {second} are too close to tell where one becomes faster"
            if self.faster == "not second":
                return f"no crossover in the range: {second} does not become faster than {first}"
            faster, slower = (first, second) if self.faster == "first" else (second, first)
            return f"no crossover in the range: {faster} is faster than {slower} at every batch size measured"
        low = "below the smallest" if self.low is None else f"{self.low:,.0f}"
        high = "above the largest" if self.high is None else f"{self.high:,.0f}"
        return f"{second} is faster than {first} from a batch of about {self.batch_size:,.0f} ({low} to {high})"


def crossover(ratios: Mapping[int, Estimate]) -> Crossover | None:
    """Finds the crossover of two curves of time against batch size.

    Args:
        ratios: By batch size, the second curve's time over the first's.

    The log ratio of the times is interpolated over the log of the batch size by a monotone cubic, whose last change of
    sign is the crossover. A 95% band around it has two causes of error: the ratios', by their intervals, and the
    interpolation's, taken to be as large as what straight lines between the points would make of them. The interval
    holds every batch size from the last at which the whole band is above zero to the last at which any of it is: those
    at which "the times are the same" is not refuted (a test turned into an interval, as by Fieller, Journal of the
    Royal Statistical Society B 16, 1954). It needs no bootstrap, and it holds however flat the curves cross.

    Returns:
        The crossover; None if fewer than 3 ratios have intervals.
    """
    sizes = sorted(size for size, its_ratio in ratios.items() if math.isfinite(its_ratio.error))
    if len(sizes) < 3:
        return None
    from scipy.interpolate import PchipInterpolator  # here, since it takes a third of a second

    x, knots = np.log2(sizes), np.arange(len(sizes))
    ratio = np.array([ratios[size].log for size in sizes])
    error = np.array([ratios[size].reach() for size in sizes])
    fine = np.interp(np.linspace(0, knots[-1], knots[-1] * POINTS + 1), knots, x)
    middle = PchipInterpolator(x, ratio)(fine)
    weights = np.array([np.interp(fine, x, knots == knot) for knot in knots])
    reach = np.sqrt(error**2 @ weights**2) + np.abs(middle - ratio @ weights)
    low, estimate, high = (_last_crossing(fine, curve) for curve in (middle - reach, middle, middle + reach))
    if math.isfinite(estimate) and (low, high) != (-math.inf, math.inf):
        return Crossover(2**estimate, _batch_size(low), _batch_size(high))
    return Crossover(None, None, None, _faster(middle - reach, middle + reach))


def _last_crossing(x: Array, ratio: Array) -> float:
    """Where the ratio turns negative for good; -inf if it always is, inf if it is not at the end."""
    above = np.flatnonzero(ratio >= 0)
    if not len(above):
        return -math.inf
    last = int(above[-1])
    if last == len(x) - 1:
        return math.inf
    share = ratio[last] / (ratio[last] - ratio[last + 1])
    return float(x[last] + share * (x[last + 1] - x[last]))


def _batch_size(logarithm: float) -> float | None:
    return 2**logarithm if math.isfinite(logarithm) else None


def _faster(low: Array, high: Array) -> str:
    """Which curve is the faster one where there is no crossover, by the band of their ratio."""
    if (high < 0).all():
        return "second"
    if (low > 0).all():
        return "first"
    return "not second" if low[-1] > 0 else "unclear"

"""From which batch size is one device (or mode) faster than another?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from bench.analyse.statistics import Summary, Z

DRAWS = 2000


@dataclass(frozen=True)
class Crossover:
    """Where the second curve becomes the faster one, and stays it to the end of the range.

    Attributes:
        batch_size: The estimate, between measured batch sizes; None if there is no crossover in the range.
        low: Lower end of its 95% interval; None if the crossover may lie below the range.
        high: Upper end; None if it may lie above the range, or may not exist.
        faster: Which one is faster all over the range, `first` or `second`, where there is no crossover; `unclear`
            where the curves are too close to tell.
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
            name = first if self.faster == "first" else second
            return f"no crossover in the range: {name} is faster at every batch size"
        low = "below the smallest" if self.low is None else f"{self.low:,.0f}"
        high = "above the largest" if self.high is None else f"{self.high:,.0f}"
        return f"{second} is faster than {first} from a batch of about {self.batch_size:,.0f} ({low} to {high})"


def crossover(first: Mapping[int, Summary], second: Mapping[int, Summary], seed: int = 0) -> Crossover | None:
    """Finds the crossover of two curves of time against batch size.

    The log ratio of the times is interpolated over the log of the batch size by a monotone cubic, whose last change of
    sign is the crossover. The interval is by parametric bootstrap: every point is drawn anew from a normal
    distribution with the standard error that its median's interval tells.

    Returns:
        The crossover; None if the curves have fewer than 3 batch sizes with intervals in common.
    """
    sizes = sorted(size for size in first.keys() & second.keys() if _has_interval(first[size], second[size]))
    if len(sizes) < 3:
        return None
    x = np.log2(sizes)
    ratio = np.array([math.log(second[size].median / first[size].median) for size in sizes])
    error = np.array([math.hypot(_log_error(first[size]), _log_error(second[size])) for size in sizes])
    draws = ratio + error * np.random.default_rng(seed).standard_normal((DRAWS, len(sizes)))
    found = np.array([_last_crossing(x, drawn) for drawn in draws])
    estimate = _last_crossing(x, ratio)
    if not math.isfinite(estimate):
        share = float(np.mean(found == estimate))
        clear = "second" if estimate == -math.inf else "first"
        return Crossover(None, None, None, clear if share > 0.95 else "unclear")
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return Crossover(
        2**estimate,
        2 ** float(low) if math.isfinite(low) else None,
        2 ** float(high) if math.isfinite(high) else None,
    )


def _has_interval(*summaries: Summary) -> bool:
    return all(s.low is not None and s.high is not None and s.low > 0 for s in summaries)


def _log_error(summary: Summary) -> float:
    assert summary.low is not None
    assert summary.high is not None
    return math.log(summary.high / summary.low) / (2 * Z)


def _last_crossing(x: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]],
                   ratio: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:  # fmt: skip
    """Where the ratio turns negative for good; -inf if it always is, inf if it is not at the end."""
    if ratio[-1] >= 0:
        return math.inf
    if (ratio < 0).all():
        return -math.inf
    roots = PchipInterpolator(x, ratio).roots(extrapolate=False)
    return float(np.max(roots)) if len(roots) else -math.inf

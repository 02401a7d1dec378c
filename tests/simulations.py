"""Simulations in two sizes: a small one with every run of the tests, and the full one by hand and once a week.

`pytest -m statistical --simulations results/reference/simulations.json` runs the full ones and keeps what they found.
"""

from __future__ import annotations

import pytest
import scipy.stats

FALSE_ALARM = 1e-6  # of a test, were its random numbers drawn anew


def sizes(small: int, full: int) -> pytest.MarkDecorator:
    """Parametrizes a test by its number of trials."""
    small_size = pytest.param(small, marks=pytest.mark.slow)
    return pytest.mark.parametrize("trials", [small_size, pytest.param(full, marks=pytest.mark.statistical)])


def seldom(events: int, trials: int, rate: float) -> bool:
    """Whether so many events in so many trials may be chance, if each trial has one with probability `rate`."""
    return events <= scipy.stats.binom.isf(FALSE_ALARM, trials, rate)


def often(events: int, trials: int, rate: float) -> bool:
    """Whether so few events in so many trials may be chance, if each trial has one with probability `rate`."""
    return seldom(trials - events, trials, 1 - rate)

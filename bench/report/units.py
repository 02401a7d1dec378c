"""Numbers as text. Records hold SI units; they are scaled here and nowhere else.

How many digits are shown follows the uncertainty: to the leading digit of the interval's half-width.
"""

from __future__ import annotations

import math

from bench.analyse.statistics import Ratio, Summary

MISSING = "-"
MOST_DECIMALS = 6
_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def duration(seconds: float) -> str:
    """A time to three digits, such as `485 µs`, `2.54 s` or `3 min 20 s`."""
    if seconds >= 120:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes:,} min {rest} s"
    if seconds == 0:
        return "0 s"
    scale, unit = _scale(seconds)
    value = seconds / scale
    return f"{value:,.{decimals(value)}f} {unit}"


def span(low_seconds: float, high_seconds: float) -> str:
    """Two times in one unit, such as `463 to 875 µs`."""
    scale, unit = _scale(low_seconds)
    low, high = low_seconds / scale, high_seconds / scale
    return f"{low:,.{decimals(low)}f} to {high:,.{decimals(low)}f} {unit}"


def round_duration(seconds: float) -> str:
    """A round time on a plot's axis, without trailing zeros: `10 µs`, `2.5 ms`."""
    if seconds <= 0:
        return "0"
    scale, unit = _scale(seconds * (1 + 1e-9))  # 1e-3 computed as 0.000999... is 1 ms, not 1,000 µs
    return f"{seconds / scale:.4g} {unit}"


def _scale(seconds: float) -> tuple[float, str]:
    return next((row for row in _SCALES if seconds >= row[0]), _SCALES[-1])


def decimals(value: float, low: float | None = None, high: float | None = None) -> int:
    """Digits after the point that the interval justifies: 2 to 4 significant ones, 3 without an interval."""
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    wanted = 2 - magnitude
    if low is not None and high is not None:
        half = (high - low) / 2
        # 0.1 computed as 0.0999... has its leading digit in the first place all the same.
        wanted = -math.floor(math.log10(half * (1 + 1e-9))) if half > 0 else 3 - magnitude
    return max(0, min(max(wanted, 1 - magnitude), 3 - magnitude))


def time(summary: Summary) -> str:
    """The time with its unit, such as `485.3 µs`."""
    return _time_and_bounds(summary.time, summary.low, summary.high)[0]


def interval(summary: Summary) -> str:
    """The 95% interval in the time's unit and digits, such as `484.9 to 485.8`; `-` if there is none."""
    return _time_and_bounds(summary.time, summary.low, summary.high)[1]


def seconds(value: float, low: float | None, high: float | None) -> str:
    """A time with its interval, such as `485.3 µs (484.9 to 485.8)`."""
    shown, bounds = _time_and_bounds(value, low, high)
    return shown if bounds == MISSING else f"{shown} ({bounds})"


def measured(summary: Summary) -> str:
    """Median and interval for a sentence; says so where there is no interval."""
    shown = seconds(summary.time, summary.low, summary.high)
    return shown if shown.endswith(")") else f"{shown} (too few samples for an interval)"


def _time_and_bounds(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    scale, unit = _scale(value)
    if low is None or high is None:
        return f"{value / scale:,.{decimals(value / scale)}f} {unit}", MISSING
    digits = decimals(value / scale, low / scale, high / scale)
    return f"{value / scale:,.{digits}f} {unit}", f"{low / scale:,.{digits}f} to {high / scale:,.{digits}f}"


def ratio(value: Ratio) -> str:
    """A ratio with its interval: `1.80 (1.72 to 1.89)`; of one that excludes 1, no bound is shown as 1."""
    digits = decimals(value.value, value.low, value.high)
    if value.low is not None and value.high is not None and value.clear:
        nearest = value.low if value.low > 1 else value.high
        digits = next((more for more in range(digits, MOST_DECIMALS) if round(nearest, more) != 1), MOST_DECIMALS)
    if value.low is None or value.high is None:
        return f"{value.value:,.{digits}f} (no interval)"
    if value.low == value.high:
        return f"{value.value:g}"
    return f"{value.value:,.{digits}f} ({value.low:,.{digits}f} to {value.high:,.{digits}f})"


def times(value: Ratio, what: str) -> str:
    """A ratio for a sentence: `1.80× as fast (1.72 to 1.89)`."""
    number, _, bounds = ratio(value).partition(" ")
    return f"{number}× {what} {bounds}".rstrip()


def slower(value: Ratio) -> str:
    """How many times as fast something is, where that is below 1: `1.80× slower (1.72 to 1.89)`."""
    return times(inverse(value), "slower")


def inverse(value: Ratio) -> Ratio:
    """The same comparison the other way round."""
    low, high = (None if bound is None else 1 / bound for bound in (value.high, value.low))
    return Ratio(1 / value.value, low, high)


def rate(per_second: float) -> str:
    """A rate, or how many times, to three digits with thousands separators, such as `132,000`."""
    if per_second <= 0:
        return "0"
    magnitude = math.floor(math.log10(per_second))
    return f"{round(per_second, 2 - magnitude):,.{max(0, 2 - magnitude)}f}"


def percent(fraction: float, digits: int = 2) -> str:
    """A fraction in percent: `93.08%`; without trailing zeros for a round one such as a target."""
    return f"{100 * fraction:.{digits}f}%"


def round_percent(fraction: float) -> str:
    """A chosen fraction, such as a target of 93%."""
    return f"{100 * fraction:g}%"


def share(fraction: float) -> str:
    """A part of a whole to the digits that matter: `62%`, `3.4%`, `0.050%`, `<0.01%`."""
    if 0 < fraction < 1e-4:
        return "<0.01%"
    return f"{100 * fraction:#.2g}%" if 0 < fraction < 0.0995 else f"{100 * fraction:.0f}%"


def count(number: int | None) -> str:
    """An exact number with thousands separators; `-` if there is none."""
    return MISSING if number is None else f"{number:,}"


def energy(joules: float) -> str:
    """Joules to three digits, such as `31.2 mJ`."""
    scale, prefix = next((row for row in ((1.0, ""), (1e-3, "m")) if joules >= row[0]), (1e-6, "µ"))
    return f"{rate(joules / scale)} {prefix}J"


def size(count_bytes: float) -> str:
    """Memory in binary units: `24.0 GiB`."""
    return f"{count_bytes / 2**30:.1f} GiB"


def day(created_utc: str) -> str:
    """The day of a record's time stamp."""
    return created_utc.partition("T")[0]

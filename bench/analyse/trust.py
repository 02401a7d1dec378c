"""The flags that need the whole record: a machine that changed under way, and rates that cannot be."""

from __future__ import annotations

import dataclasses

from bench.analyse.floor import Floor, floor
from bench.analyse.statistics import ratio, summarise
from bench.record.model import Flag, Measurement, Record, Yardstick

DRIFT_FRACTION = 0.03
# A yardstick concerns the cases of which it could account for so much. Memory bandwidth wanders on shared machines all
# the time, and a step whose bytes stay in the cache does not notice.
CONCERNED_SHARE = 0.1
# A wide interval is no reason to hide a number: every ratio made from it carries the width, and claims nothing that the
# width does not allow. All other flags say that the median itself, or its interval, may be wrong.
HARMLESS = ("wide",)


def objections(measurement: Measurement) -> str | None:
    """The names of the flags that bar a measurement from every comparison; None if there are none."""
    return ", ".join(dict.fromkeys(flag.name for flag in measurement.flags if flag.name not in HARMLESS)) or None


def drift(yardstick: Yardstick) -> str | None:
    """How a yardstick moved between the start and the end of the run, if clearly and by more than 3%.

    A machine that has changed is slower or faster at its best, too. A neighbour that was busy for the tenth of a second
    of one probe moves the median alone, and has not changed the machine that the cases saw.
    """
    if yardstick.after_samples_seconds is None:
        return None
    before, after = summarise(yardstick.samples_seconds), summarise(yardstick.after_samples_seconds)
    moved = ratio(after, before)
    # Samples too alike in time for an interval have their median and their best to be judged by.
    if (moved.low is not None and not moved.clear) or abs(moved.value - 1) <= DRIFT_FRACTION:
        return None
    best = after.minimum / before.minimum - 1
    if best * (moved.value - 1) <= 0 or abs(best) <= DRIFT_FRACTION / 2:
        return None
    direction = "slower" if moved.value > 1 else "faster"
    return f"yardstick {yardstick.name} was {abs(moved.value - 1):.1%} {direction} after the run than before"


def impossible(measurement: Measurement, record: Record) -> str | None:
    """Why the measured time cannot be: it computes faster than the machine's measured peak, or is far below its floor.

    Bandwidth wanders on shared machines, so half of what the bytes take is still no proof.
    """
    bounds = floor(measurement, record)
    if bounds is None:
        return None
    median = summarise(measurement.samples_seconds).median
    share = bounds.share_of_peak(median)
    if share <= 1:
        below = bounds.seconds / median
        return f"{below:.1f} times as fast as its bytes can be moved here" if below > 2 else None
    return f"{share:.1f} times the measured peak of {bounds.peak_flops_per_second / 1e9:,.0f} GFLOP/s"


def judged(record: Record) -> Record:
    """The record with `drift` and `impossible` noted on the measurements they concern."""
    return dataclasses.replace(record, measurements=[_judged(m, record) for m in record.measurements])


def _judged(measurement: Measurement, record: Record) -> Measurement:
    found = [Flag("drift", reason) for y in concerning(measurement, record) if (reason := drift(y))][:1]
    if reason := impossible(measurement, record):
        found.append(Flag("impossible", reason))
    return dataclasses.replace(measurement, flags=[*measurement.flags, *found]) if found else measurement


def concerning(measurement: Measurement, record: Record) -> list[Yardstick]:
    """The yardsticks whose movement would move this case.

    What an operator's call costs concerns every case: on the CPU, which drives every device, and on the case's own
    device. A rate does if at least a tenth of the case's time could be its doing.
    """
    bounds, device = floor(measurement, record), measurement.case.device
    shares = _shares(bounds, measurement) if bounds else {}
    return [
        y
        for y in record.yardsticks
        if (y.unit == "call" and y.device in ("cpu", device))
        or (y.device == device and (bounds is None or shares.get(y.name, 0.0) >= CONCERNED_SHARE))
    ]


def _shares(bounds: Floor, measurement: Measurement) -> dict[str, float]:
    """By yardstick, the share of the case's time that its floor lays to it."""
    seconds = summarise(measurement.samples_seconds).median
    return {
        f"matmul_{measurement.case.precision}": bounds.compute_seconds / seconds,
        "copy": bounds.images_seconds / seconds,
        "copy_cached": bounds.update_seconds / seconds,
    }

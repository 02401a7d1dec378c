"""The flags that are derived from a record when it is read: what its samples, its rounds and its calibrations say."""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Callable

import numpy as np

from bench.analyse.levels import by_process, time_of
from bench.analyse.once import once_a_record
from bench.analyse.pace import apart, mostly_apart, nearest
from bench.analyse.roofline import MEMORY, Roofline, roofline
from bench.analyse.rounds import counting, is_team, rounds_of
from bench.analyse.statistics import ratio, summarise
from bench.record.measurement import Flag, Measurement
from bench.record.model import Calibration, Record

DRIFT_FRACTION = 0.03
# A calibration concerns the cases of which it could account for so much. Memory bandwidth wanders on shared machines
# all the time, and a step whose bytes stay in the cache does not notice.
CONCERNED_SHARE = 0.1
# What a ratio within rounds does not mind: a machine that changes meets both sides alike, and what processes differ by
# is in the interval. All other flags say that the estimate itself, or its interval, may be wrong.
HARMLESS = ("drift", "processes-differ", "crowded", "apart")
# What a ratio within rounds bears, and one to another run does not.
OF_THIS_RUN = ("crowded", "apart")
DIFFER_FRACTION = 0.02
DIFFER_TIMES = 3.0
# Cores that others keep busy on average, and a team of threads on all cores is crowded. A team waits for the slowest of
# its threads, and what that does lasts longer than the round in which others are seen. Eight runs of 18 cases on a
# 2-core virtual machine, beside a process that was busy for half of the time (0.4 to 0.6 cores): on both cores
# `compare` called 19% of what it judged different and single ratios were off by up to 22%, on one 3% and 4%. Without
# that process it was 0.1 cores at most.
CROWDED_CORES = 0.25


def objections(measurement: Measurement, *, to_other_runs: bool = False) -> list[str]:
    """The names of the flags that bar a measurement from comparisons, each once.

    Args:
        measurement: With its flags, also those that are derived.
        to_other_runs: Whether it would be compared with another run, which minds more than one of the same rounds.
    """
    harmless = {*HARMLESS} - ({*OF_THIS_RUN} if to_other_runs else set())
    return list(dict.fromkeys(flag.name for flag in measurement.flags if flag.name not in harmless))


def drift(calibration: Calibration) -> str | None:
    """How a calibration moved between the start and the end of the run, if clearly and by more than 3%.

    A machine that has changed is slower or faster at its best, too. A neighbour that was busy for the tenth of a second
    of one probe moves the median alone, and has not changed the machine that the cases saw.
    """
    if not calibration.samples_seconds or not calibration.after_samples_seconds:
        return None
    before, after = summarise(calibration.samples_seconds), summarise(calibration.after_samples_seconds)
    moved = ratio(after, before)
    # Samples too alike in time for an interval have their median and their best to be judged by.
    if (moved.low is not None and not moved.clear) or abs(moved.value - 1) <= DRIFT_FRACTION:
        return None
    best = after.minimum / before.minimum - 1
    if best * (moved.value - 1) <= 0 or abs(best) <= DRIFT_FRACTION / 2:
        return None
    direction = "slower" if moved.value > 1 else "faster"
    return f"calibration probe {calibration.name} was {abs(moved.value - 1):.1%} {direction} after the run than before"


@once_a_record
def drifts(record: Record) -> dict[tuple[str, str], str]:
    """How the calibrations moved that did, by device and name."""
    return {(y.device, y.name): reason for y in record.calibrations if (reason := drift(y))}


def impossible(measurement: Measurement, record: Record) -> str | None:
    """Why the measured time cannot be: it computes faster than the measured peak, or is far below its roofline bound.

    Bandwidth wanders on shared machines, so half of what the bytes take is still no proof.
    """
    bounds = roofline(measurement, record)
    if bounds is None:
        return None
    median = time_of(measurement, record).value
    share = bounds.share_of_peak(median)
    if share <= 1:
        below = bounds.seconds / median
        what = "its bytes can be moved" if bounds.bound == MEMORY else "its steps can follow one another"
        return f"{below:.1f} times as fast as {what} here" if below > 2 else None
    return f"{share:.1f} times the measured peak of {bounds.peak_flops_per_second / 1e9:,.0f} GFLOP/s"


def unsynchronised(measurement: Measurement, record: Record) -> str | None:
    """That the device was not waited for: its events say that it worked longer than the host waited."""
    device = measurement.device_samples_seconds
    if device is None:
        return None
    short = sum(host < 0.95 * busy for host, busy in zip(measurement.samples_seconds, device, strict=True))
    return f"in {short} blocks the device was still busy when the clock was read" if short > len(device) // 10 else None


def cold(measurement: Measurement, record: Record) -> str | None:
    """That most processes were not warm: their first sample is above all others and twice their median."""
    processes = [x for x in by_process(measurement, record).values() if len(x) > 2]
    lazy = [x[0] / statistics.median(x[1:]) for x in processes if x[0] > max(*x[1:], 2 * statistics.median(x[1:]))]
    if not lazy or len(lazy) <= len(processes) / 2:
        return None
    return f"no warm-up: the first sample of a process took {statistics.median(lazy):.1f} times as long as the others"


def recompiled(measurement: Measurement, record: Record) -> str | None:
    """That torch.compile worked within timed blocks."""
    count = measurement.recompilations
    return f"torch.compile made {count} new graph{'s' * (count > 1)} within timed blocks" if count else None


def disturbed(measurement: Measurement, record: Record) -> tuple[str, str] | None:
    """The flag and the reason of rounds that were disturbed so often that all of them had to count; None if not."""
    rounds = rounds_of(record)
    kept = [rounds[number] for number in counting(measurement.rounds, record, team=is_team(measurement))]
    reasons = collections.Counter(r.disturbed for r in kept if r.disturbed)
    if not reasons:
        return None
    name = "gpu-shared" if "GPU" in (first := reasons.most_common(1)[0][0] or "") else "contended"
    name = "throttled" if any(words in first for words in ("quota", "lowered its clocks", "held back")) else name
    return name, f"{sum(reasons.values())} of {len(kept)} rounds were disturbed, so all count: {first}"


def processes_differ(measurement: Measurement, record: Record) -> str | None:
    """That processes of the one program differ by more than their rounds let expect, and by more than 2%."""
    processes = [np.log(x) for x in by_process(measurement, record).values() if len(x) > 2]
    if len(processes) < 3:
        return None
    spread = float(np.std([np.median(x) for x in processes], ddof=1))
    # A median's standard error is a quarter above a mean's (normal noise).
    within = 1.25 * math.sqrt(float(np.mean([np.var(x, ddof=1) / len(x) for x in processes])))
    if spread <= max(DIFFER_FRACTION, DIFFER_TIMES * within):
        return None
    return f"processes of this program differ by {spread:.1%} (standard deviation), their rounds by less"


def crowded(measurement: Measurement, record: Record) -> str | None:
    """That it computes on all cores, several, while others kept some of them busy for much of the run."""
    threads, hardware = measurement.case.threads, record.environment["hardware"]
    cores = hardware.get("cpu_cores_usable")
    if hardware.get("cpu_quota_cores"):  # which is time, and no core that another could take
        cores = hardware.get("cpu_cores_physical")
    if not isinstance(cores, int) or threads < max(2, cores):
        return None
    rounds = [rounds_of(record)[number] for number in measurement.rounds]
    busy = sum((one.beside.others_cores or 0.0) * one.seconds for one in rounds)
    others = busy / sum(one.seconds for one in rounds)
    if others <= CROWDED_CORES:
        return None
    return f"other processes kept {others:.1f} cores busy on average, and it needs all {cores}"


def cores_apart(measurement: Measurement, record: Record) -> str | None:
    """That the host had the cores of its team of threads apart in most of the rounds that count."""
    rounds = [rounds_of(record)[number] for number in counting(measurement.rounds, record)]
    best = nearest(record)
    if best is None or not is_team(measurement) or not mostly_apart(rounds, record):
        return None
    far = [one.beside.team_seconds or 0.0 for one in rounds if apart(one.beside, best)]
    took = f"handing work over took {1e6 * statistics.median(far):.1f} µs, {1e6 * best:.1f} at best"
    return f"in {len(far)} of {len(rounds)} rounds the host had moved the cores apart: {took}"


DERIVED: dict[str, Callable[[Measurement, Record], str | None]] = {
    "unsynchronised": unsynchronised,
    "cold": cold,
    "recompiled": recompiled,
    "processes-differ": processes_differ,
    "crowded": crowded,
    "apart": cores_apart,
    "impossible": impossible,
}


def judged(record: Record) -> Record:
    """The record with what it says against its own measurements noted on them."""
    return dataclasses.replace(record, measurements=[_judged(m, record) for m in record.measurements])


def _judged(measurement: Measurement, record: Record) -> Measurement:
    derived = [Flag(name, reason) for name, why in DERIVED.items() if (reason := why(measurement, record))]
    if beside := disturbed(measurement, record):
        derived.append(Flag(*beside))
    moved = drifts(record)
    concerned = ((y.device, y.name) for y in concerning(measurement, record))
    derived += [Flag("drift", moved[name]) for name in concerned if name in moved][:1]
    return dataclasses.replace(measurement, flags=[*measurement.flags, *derived]) if derived else measurement


def concerning(measurement: Measurement, record: Record) -> list[Calibration]:
    """The calibrations whose movement would move this case.

    What an operator's call costs concerns every case: on the CPU, which drives every device, and on the case's own
    device. A rate does if at least a tenth of the case's time could be its doing.
    """
    bounds, device = roofline(measurement, record), measurement.case.device
    shares = _shares(bounds, measurement, record) if bounds else {}
    return [
        y
        for y in record.calibrations
        if (y.unit == "call" and y.device in ("cpu", device))
        or (y.device == device and (bounds is None or shares.get(y.name, 0.0) >= CONCERNED_SHARE))
    ]


def _shares(bounds: Roofline, measurement: Measurement, record: Record) -> dict[str, float]:
    """By calibration, the share of the case's time that its roofline bound lays to it."""
    seconds = time_of(measurement, record).value
    return {
        f"matmul_{measurement.case.precision}": bounds.compute_seconds / seconds,
        "copy": bounds.images_seconds / seconds,
        "copy_cached": bounds.update_seconds / seconds,
        **({bounds.latency: bounds.latency_seconds / seconds} if bounds.latency else {}),
    }
